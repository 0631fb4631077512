"""Checks of the audit itself: everything is read, and each exception explained."""

from collections.abc import Iterator

from groundwork.audit.declared import EXCEPTIONS
from groundwork.audit.model import UNREAD, Check, Finding
from groundwork.audit.repository import Audited


class EverythingRead(Check):
    """Every file that a check depends on can be read."""

    id = UNREAD
    family = "audit"
    reason = "A file that is broken, huge or not UTF-8 may hide what the other checks look for."
    mend = "Mend the file, or take it out of the repository; or except it by path and date."
    command = "python -m compileall -q ."

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return each file that was not read."""
        for path, (kind, why) in sorted(repo.files.unread.items()):
            yield Finding(path, 0, f"was not read ({kind}): {why}")


class ExceptionsExplained(Check):
    """Every exception has a reason and a date that is not past."""

    id = EXCEPTIONS
    family = "audit"
    reason = "An exception without an end is a rule given up, and one without a reason a riddle."
    mend = 'Write `exceptions = [{ check = "…", reason = "…", until = 2027-01-31 }]`.'
    command = "$EDITOR pyproject.toml"
    days = 0.25

    def applies(self, repo: Audited) -> bool:
        """Return whether any exception is declared."""
        return bool(repo.exceptions and repo.exceptions.declared)

    def find(self, repo: Audited) -> list[Finding]:
        """Return each exception that is not valid."""
        return repo.exceptions.wrong if repo.exceptions else []


CHECKS = (EverythingRead, ExceptionsExplained)
