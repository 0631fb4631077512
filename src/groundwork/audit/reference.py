"""The reference of the checks, which cannot lag behind them."""

from .catalogue import checks, families

_INTRO = """\
# Checks

What `groundwork audit` checks, by family. `repo-review` runs the same checks where groundwork is
installed beside it. Each has a reason, a mend and a command; [how to audit a
repository](../how-to/audit-a-repository.md) says how exceptions are declared.

*Written by `groundwork checks` from the checks; a test fails when this page is out of date.*
"""


def markdown() -> str:
    """Return the reference page, as Markdown."""
    lines = [_INTRO]
    for name, about in families().items():
        found = [one for one in checks().values() if one.family == name]
        if not found:
            continue
        lines += [f"\n## {about['name']}\n", f"{about['description']}\n"]
        for one in found:
            after = f" Checked after {', '.join(sorted(one.requires))}." if one.requires else ""
            lines += [
                f"\n### {one.id}: {one.title}\n",
                f"{one.reason}{after}\n",
                f"- Mend: {one.mend}\n- Command: `{one.command}`",
                *([f"- More: <{one.link}>"] if one.link else []),
                "",
            ]
    return "\n".join(lines)
