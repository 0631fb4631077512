"""The score as a badge."""

_SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" \
aria-label="groundwork audit: {score}">
<title>groundwork audit: {score} of 100</title>
<clipPath id="r"><rect width="{width}" height="20" rx="3"/></clipPath>
<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#444"/>
<rect x="{left}" width="{right}" height="20" fill="{colour}"/></g>
<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="{left_middle}" y="14">groundwork audit</text>
<text x="{right_middle}" y="14">{score}</text></g>
</svg>
"""


def colour(score: int) -> str:
    """Return the colour of a score, dark enough for white text on it."""
    return "#17692b" if score >= 90 else "#8a5a00" if score >= 70 else "#a31515"  # noqa: PLR2004


def text(score: int) -> str:
    """Return the badge as SVG, which needs nothing else."""
    left, right = 112, 34
    return _SVG.format(
        score=score,
        colour=colour(score),
        left=left,
        right=right,
        width=left + right,
        left_middle=left / 2,
        right_middle=left + right / 2,
    )
