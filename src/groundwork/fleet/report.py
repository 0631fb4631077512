"""What is known of the projects of a fleet, as a table, a page, JSON and CSV."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import resources

import jinja2

from .records import UNRECORDED, Figure, Records

# Each column, and what it says.
COLUMNS = {
    "project": "the folder or address as it was given",
    "branch": "its default branch, whose files all else is about",
    "version": "the version of the standard that it has",
    "newest": "the version that it could have",
    "behind": "how many versions lie between",
    "days": "how many days lie between the dates of those two versions",
    "changed": "how many files of the standard were edited there",
    "audit": "its score in groundwork audit, of 100",
    "uses": "the version of the package that was asked for, as its lock has it",
    "advisories": "how many known vulnerabilities its locked packages have, by the given database",
    "reproduced": "when reproduce last ran in that folder, and what came of it",
    "owner": "who owns it: by its CODEOWNERS, else by its address at the host",
    "ci": "what came of CI for the last push to the default branch, as the host says",
    "request": "the open pull or merge request with an update of the standard, as the host says",
    "since": "what changed since the earlier result",
    "state": "what came of it, and what to do",
}
# Shown only where at least one project has something there.
OPTIONAL = {"uses", "advisories", "reproduced", "owner", "ci", "request", "since"}
NUMBERS = {"behind", "days", "changed", "audit", "advisories"}
# From what needs a person most.
MEANINGS = {
    "failed": "it could not be looked at or updated",
    "conflict": "a draft of the update has conflicts that a person must decide",
    "behind": "there is a newer version of the standard",
    "updated": "a branch with the newest version is there",
    "current": "it has the newest version",
    "gone": "it is in the earlier result and no longer given",
}
STATES = tuple(MEANINGS)
WRONG = STATES[:2]


@dataclass
class Row:
    """What is known of a project. `state` is one of STATES."""

    name: str
    state: str = "failed"
    note: str = ""
    branch: str = ""
    version: str = ""
    newest: str = ""
    behind: int | None = None
    days: int | None = None
    changed: list[str] | None = field(default=None)
    # The files in which a person must decide.
    conflicts: list[str] = field(default_factory=list)
    # The score of `groundwork audit`.
    audit: int | None = None
    reproduced: str = ""
    # The version of the package that was asked for.
    uses: str = ""
    owner: str = ""
    ci: str = ""
    request: str = ""
    # What changed since the earlier result that was given.
    since: str = ""
    # Of the locked packages; None where it was not asked or there is no lock.
    advisories: list[str] | None = None
    locked: dict[str, tuple[str, ...]] | None = field(default=None, repr=False)
    # When it was looked at, in UTC.
    at: str = ""
    # What its checkout recorded of the work, or why that is not known.
    records: Records | None = None
    unrecorded: str = UNRECORDED
    # Where the host shows the project, its CI and the request.
    page: str = ""
    ci_page: str = ""
    request_page: str = ""

    def cells(self) -> dict[str, str]:
        """Return what a table shows, by column."""
        words = f"{self.state}: {self.note}" if self.note else self.state
        special = {"project": self.name, "state": words}
        return {name: special.get(name, _cell(vars(self).get(name))) for name in COLUMNS}


def _cell(value: object) -> str:
    """Return a value as a cell has it: of files, how many."""
    return "" if value is None else str(len(value) if isinstance(value, list) else value)


def ordered(rows: list[Row]) -> list[Row]:
    """Return rows with those first that need a person."""
    return sorted(rows, key=lambda row: STATES.index(row.state))


def shown(rows: list[Row]) -> list[str]:
    """Return the columns that a table needs."""
    cells = [row.cells() for row in rows]
    return [name for name in COLUMNS if name not in OPTIONAL or any(one[name] for one in cells)]


def table(rows: list[Row]) -> str:
    """Return rows as text, in columns."""
    columns = shown(rows)
    return _aligned([columns, *([row.cells()[name] for name in columns] for row in rows)])


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )
    return "\n".join(line.rstrip() for line in padded)


def _known(row: Row) -> dict[str, object]:
    """Return a row without what only the comparison with advisories needs."""
    return {name: value for name, value in asdict(row).items() if name != "locked"}


def as_json(rows: list[Row]) -> str:
    """Return rows as JSON: a list of objects, None where something is not known."""
    return json.dumps([_known(row) for row in rows], indent=2) + "\n"


def as_csv(rows: list[Row]) -> str:
    """Return rows as CSV, with the names of files between blanks."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_known(Row(""))], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        values = {name: _flat(value) for name, value in _known(row).items()}
        writer.writerow(values)
    return text.getvalue()


def _flat(value: object) -> object:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return json.dumps(value) if isinstance(value, dict) else value


def work(found: list[Figure]) -> str:
    """Return how the work goes as text, in columns; nothing where nothing is recorded."""
    lines = [(one.name, one.found, one.target, one.verdict) for one in found]
    return _aligned([("work", "found", "target", ""), *lines]) if lines else ""


def page(rows: list[Row], found: Sequence[Figure] = (), changes: str = "") -> str:
    """Return rows as an HTML page that needs nothing else, with the work and changes if known."""
    text = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    states = {
        state: number for state in STATES if (number := sum(row.state == state for row in rows))
    }
    # What to do comes second: a table with every column is wider than a screen.
    names = sorted(shown(rows), key=lambda name: name not in {"project", "state"})
    columns = {name: COLUMNS[name] for name in names}
    return environment.from_string(text).render(
        rows=rows,
        columns=columns,
        numbers=NUMBERS,
        states=states,
        meanings={name: MEANINGS[name] for name in states},
        now=now,
        work=found,
        changes=changes,
    )
