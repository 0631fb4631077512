"""What a check is, what it finds, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .repository import Audited

# The check that fails for each file that was not read.
UNREAD = "AU101"


class Status(StrEnum):
    """What became of a check."""

    PASSED = "passed"
    FAILED = "failed"
    EXCEPTED = "excepted"  # it fails, and a valid exception says why and until when
    INCOMPLETE = "incomplete"  # nothing was found, but a file that it depends on was not read
    SKIPPED = "skipped"  # the repository has nothing that it is about


@dataclass(frozen=True, order=True)
class Finding:
    """A place that breaks a rule. Without a path it is the repository as a whole."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        """Return `path:line: message`, as editors and terminals link it."""
        place = f"{self.path}:{self.line}: " if self.line else f"{self.path}: "
        return (place if self.path else "") + self.message


class Check:
    """A rule for a repository. The docstring of a subclass is the rule."""

    id: ClassVar[str]
    family: ClassVar[str]
    reason: ClassVar[str]
    # What to do, as a sentence, and a command or an edit that does it.
    mend: ClassVar[str]
    command: ClassVar[str]
    # Days of work to mend it in a repository of a usual size, for the plan.
    days: ClassVar[float] = 0.5
    # A page that explains the rule.
    link: ClassVar[str] = ""
    # The kinds of files that it depends on: where one was not read, it does not pass.
    reads: ClassVar[frozenset[str]] = frozenset()
    # Checks that must pass before this one has a meaning.
    requires: ClassVar[frozenset[str]] = frozenset()

    @property
    def title(self) -> str:
        """The rule, in one line."""
        return (self.__doc__ or "").strip().splitlines()[0].rstrip(".")

    @property
    def url(self) -> str:
        """Where the rule is explained, for repo-review."""
        return self.link

    def applies(self, repo: Audited) -> bool:  # noqa: ARG002
        """Return whether the repository has what the rule is about."""
        return True

    def find(self, repo: Audited) -> Iterable[Finding]:
        """Return each place that breaks the rule."""
        raise NotImplementedError

    def mend_with(self, repo: Audited) -> str:  # noqa: ARG002
        """Return the command that mends it in this repository."""
        return self.command

    def check(self, audited_repository: Audited) -> bool | str | None:
        """Return True, None where it is not applicable, or what is wrong: for repo-review."""
        status, findings = audited_repository.outcome(self)
        if status is Status.SKIPPED:
            return None
        if status is Status.INCOMPLETE:
            return f"A file that this depends on was not read: see {UNREAD}."
        lines = "\n".join(f"- {finding}" for finding in findings)
        return f"{self.reason}\n\n{lines}\n\n{self.mend}" if findings else True


@dataclass
class Result:
    """A check with its outcome."""

    check: Check
    status: Status
    findings: list[Finding] = field(default_factory=list)
    # Findings that a valid exception covers, and what the exception says.
    excepted: list[Finding] = field(default_factory=list)
    note: str = ""
    command: str = ""
