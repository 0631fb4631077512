"""Reports as a page with the scores, which needs nothing else."""

from importlib import resources

import jinja2
import markupsafe

from groundwork.audit.model import Status
from groundwork.audit.run import Report, percent

from .badge import colour

SIGNS = {
    Status.PASSED: "✓",
    Status.FAILED: "✗",
    Status.EXCEPTED: "~",
    Status.INCOMPLETE: "?",
    Status.SKIPPED: "-",
}


def code(told: str) -> markupsafe.Markup:
    """Return a text of a check's with what is between backticks as code."""
    parts = map(markupsafe.escape, told.split("`"))
    marked = (f"<code>{part}</code>" if n % 2 else part for n, part in enumerate(parts))
    return markupsafe.Markup("".join(marked))  # noqa: S704 - each part is escaped


def text(reports: list[Report]) -> str:
    """Return the page as HTML."""
    source = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["code"] = code
    return environment.from_string(source).render(
        reports=reports, percent=percent, colour=colour, signs=SIGNS, Status=Status
    )
