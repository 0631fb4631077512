"""Reports as a page with the scores, which needs nothing else."""

from importlib import resources

import jinja2

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


def text(reports: list[Report]) -> str:
    """Return the page as HTML."""
    source = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(source).render(
        reports=reports, percent=percent, colour=colour, signs=SIGNS, Status=Status
    )
