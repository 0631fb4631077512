"""Exceptions that the audited repository declares, each with a reason and a date."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from . import settings
from .model import Finding

if TYPE_CHECKING:
    from collections.abc import Collection

    from .files import Files

EXCEPTIONS = "AU102"
KEYS = {"check", "reason", "until", "paths"}


@dataclass(frozen=True)
class Exempt:
    """A valid exception: a check, why it may fail until when, and where if not everywhere."""

    check: str
    reason: str
    until: date
    paths: tuple[str, ...] = ()

    def covers(self, finding: Finding) -> bool:
        """Return whether a finding is of the places that it names."""
        return not self.paths or any(fnmatchcase(finding.path, one) for one in self.paths)

    @property
    def note(self) -> str:
        """What a report says of it."""
        return f"until {self.until}: {self.reason}"


@dataclass
class Exceptions:
    """What is declared: the valid exceptions, and what is wrong with the others."""

    valid: list[Exempt] = field(default_factory=list)
    wrong: list[Finding] = field(default_factory=list)
    declared: bool = False

    def of(self, check: str) -> list[Exempt]:
        """Return the valid exceptions of a check."""
        return [one for one in self.valid if one.check == check]


def exceptions(files: Files, known: Collection[str], today: date) -> Exceptions:
    """Read the exceptions of a repository, from each file that has any."""
    found = Exceptions()
    for path in settings.FILES:
        if path not in files.paths or (text := files.text(path, "configuration")) is None:
            continue
        try:
            content = settings.settings(path, text)
        except ValueError as error:
            files.not_read(path, "configuration", str(error))
            continue
        if listed := content.get("exceptions"):
            _read(listed, found, path, text, known, today)
    return found


def _read(  # noqa: PLR0913, PLR0917
    listed: Any,  # noqa: ANN401
    found: Exceptions,
    path: str,
    text: str,
    known: Collection[str],
    today: date,
) -> None:
    found.declared = True
    for said in listed if isinstance(listed, list) else [listed]:
        about = said if isinstance(said, dict) else {}
        check = str(about.get("check", ""))
        where = text.find(f'"{check}"') if check else text.find("exceptions")
        line = text.count("\n", 0, max(where, 0)) + 1
        until = about.get("until")
        until = until.date() if isinstance(until, datetime) else until
        why = ""
        if unknown := about.keys() - KEYS:
            why = f"has {', '.join(sorted(unknown))}; it may have {', '.join(sorted(KEYS))}"
        elif check not in known or check == EXCEPTIONS:
            why = f"names no check that may be excepted: {check or 'check is not given'}"
        elif not str(about.get("reason", "")).strip():
            why = "has no reason"
        elif not isinstance(until, date):
            why = "has no date: until = 2027-01-31, without quotes"
        elif until < today:
            why = f"expired on {until}"
        if why or not isinstance(until, date):
            found.wrong.append(Finding(path, line, f"the exception of {check or '?'} {why}"))
            continue
        paths = about.get("paths", [])
        paths = tuple(map(str, paths if isinstance(paths, list) else [paths]))
        found.valid.append(Exempt(check, str(about["reason"]).strip(), until, paths))
