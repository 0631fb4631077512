"""One audit: every check asked by repo-review, with the repository's own exceptions applied."""

from __future__ import annotations

import gc
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repo_review.processor import CollectionReturn, process

from groundwork.errors import UserError

from .catalogue import checks, families
from .declared import exceptions
from .model import Result, Status
from .repository import Audited

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

# What counts for the score; exceptions and what is not applicable do not.
COUNTED = {Status.PASSED, Status.FAILED, Status.INCOMPLETE}


@dataclass
class Report:
    """What came of an audit."""

    name: str
    root: Path
    day: date
    results: list[Result]
    # One line for each file that was not read.
    unread: list[str]
    files: int

    @property
    def score(self) -> int:
        """Return the share of checks that passed, of those that count, in percent; rounded down."""
        return percent(self.results)

    @property
    def failed(self) -> bool:
        """Whether any check failed."""
        return any(one.status is Status.FAILED for one in self.results)

    def count(self, status: Status) -> int:
        """Return how many checks have an outcome."""
        return sum(one.status is status for one in self.results)

    def by_family(self) -> Iterator[tuple[str, str, list[Result]]]:
        """Yield the title, the question and the results of each family."""
        for name, about in families().items():
            found = [one for one in self.results if one.check.family == name]
            if found:
                yield about["name"], about["description"], found


def percent(results: Collection[Result]) -> int:
    """Return the share of passed checks among those that count; 100 where none does."""
    counted = [one for one in results if one.status in COUNTED]
    passed = sum(one.status is Status.PASSED for one in counted)
    return passed * 100 // len(counted) if counted else 100


def opened(root: Path, today: date | None = None, processes: int = 1) -> Audited:
    """Return a repository with its exceptions read."""
    if not isinstance(root, Path):  # repo-review lists the checks, or reads over the network
        with tempfile.TemporaryDirectory() as nothing:
            return Audited(Path(nothing))
    repo = Audited(root, processes=processes)
    day = today or datetime.now(UTC).date()
    repo.exceptions = exceptions(repo.files, checks().keys(), day)
    return repo


def audit(
    folder: Path,
    *,
    today: date | None = None,
    select: Collection[str] = (),
    processes: int = 1,
) -> Report:
    """Audit a folder, whose files are read and never run.

    `select` names checks by id, or by the letters of a family. Many Python files are read by so
    many `processes`. Raises UserError where the folder or a check is not there.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; give the path of a repository")
    day = today or datetime.now(UTC).date()
    repo, known = opened(folder, day, processes), checks()
    short = {name.rstrip("0123456789") for name in known}
    if unknown := sorted(set(select) - known.keys() - short):
        raise UserError(f"there is no check {', '.join(unknown)}; see docs/reference/checks.md")
    with _without_collection():
        return _report(repo, day, select)


@contextmanager
def _without_collection() -> Iterator[None]:
    """Hold garbage collection, which would look at millions of nodes that all stay."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _report(repo: Audited, day: date, select: Collection[str]) -> Report:
    known = checks()
    # Only the repository's exceptions leave a check out: with a reason and a date.
    fixtures = {"audited_repository": repo, "pyproject": {}}
    asked: dict[str, Any] = dict(known)  # the protocol wants attributes that classes cannot have
    collected = CollectionReturn(fixtures, asked, families())
    done = process(repo.files.root, select=frozenset(select), collected=collected)
    results = [_result(repo, known[one.name].id, one.result) for one in done.results]
    unread = [f"{path}: {why}" for path, (_, why) in sorted(repo.files.unread.items())]
    root = repo.files.root
    return Report(root.name or str(root), root, day, results, unread, len(repo.files.paths))


def _result(repo: Audited, name: str, passed: bool | None) -> Result:  # noqa: FBT001
    check = checks()[name]
    if passed is None:
        before = {repo.outcome(checks()[one])[0] for one in check.requires}
        if Status.INCOMPLETE in before and Status.FAILED not in before:
            return Result(check, Status.INCOMPLETE)
        needed = ", ".join(sorted(check.requires))
        note = f"after {needed}" if needed and check.applies(repo) else ""
        return Result(check, Status.SKIPPED, note=note)
    status, findings = repo.outcome(check)
    valid = repo.exceptions.of(name) if repo.exceptions else []
    covered = [one for one in findings if any(each.covers(one) for each in valid)]
    left = [one for one in findings if one not in covered]
    if covered and not left:
        status = Status.EXCEPTED
    note = "; ".join(one.note for one in valid) if covered else ""
    command = check.mend_with(repo) if left else ""
    return Result(check, status, left, covered, note, command)
