"""What is known of the projects of a fleet, as a table and as a page."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources

import jinja2

COLUMNS = ("project", "version", "newest", "behind", "changed", "audit", "reproduced", "")


@dataclass
class Row:
    """What is known of a project. `state` is current, behind, updated, conflict or failed."""

    name: str
    state: str = "failed"
    note: str = ""
    version: str = ""
    newest: str = ""
    behind: int | None = None
    changed: list[str] | None = field(default=None)
    # The score of `groundwork audit`.
    audit: int | None = None
    reproduced: str = ""

    def cells(self) -> list[str]:
        """Return what a table shows, in the order of COLUMNS."""
        changed = None if self.changed is None else len(self.changed)
        numbers = (self.behind, changed, self.audit)
        counts = ["" if number is None else str(number) for number in numbers]
        words = f"{self.state}: {self.note}" if self.note else self.state
        return [self.name, self.version, self.newest, *counts, self.reproduced, words]


def table(rows: list[Row]) -> str:
    """Return rows as text, in columns."""
    lines = [list(COLUMNS), *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )
    return "\n".join(line.rstrip() for line in padded)


def page(rows: list[Row]) -> str:
    """Return rows as an HTML page that needs nothing else."""
    text = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    states = {
        state: sum(row.state == state for row in rows) for state in (row.state for row in rows)
    }
    return environment.from_string(text).render(rows=rows, columns=COLUMNS, states=states, now=now)
