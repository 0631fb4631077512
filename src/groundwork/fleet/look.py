"""One project: how far it is behind the standard, and an update of it on a branch."""

import json
import shutil
import tempfile
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from groundwork.audit.run import audit
from groundwork.errors import UserError
from groundwork.locks.pins import pinned
from groundwork.update.answers import Answers
from groundwork.update.drift import drift
from groundwork.update.lockfile import LOCK, resolved
from groundwork.update.merge import Merged, merge
from groundwork.update.ownership import ANSWERS
from groundwork.update.repository import Repository
from groundwork.update.standard import Standard

from .hosted import ask
from .owners import owners
from .place import Place, kept, opened
from .records import UNRECORDED, Records, records
from .report import Row


@dataclass(frozen=True)
class Task:
    """What is to be done with each project, in `seconds` at most."""

    update: bool = False
    to: str = ""
    uses: str = ""
    # Whether the rows are to have what is locked.
    locked: bool = False
    seconds: int = 600


def fill(row: Row, name: str, cache: Path, task: Task) -> None:
    """Look at a project, write into its row what is found, and update it where the task says so.

    Raises:
        UserError: it is no project, or its default branch cannot be told.
        GitError: git failed, for example a host that refuses.
    """
    place = opened(name, cache)
    repository = place.repository
    row.branch, row.owner = place.branch, owners(repository)
    answers = Answers(_read(place, ANSWERS))
    standard = Standard(answers.source, kept(cache / "templates", answers.source))
    row.version, row.newest = answers.version, task.to or standard.newest()
    row.behind = standard.behind(answers.version)
    row.days = standard.days(row.version, row.newest)
    ask(row, place, _names([*standard.versions, row.newest], repository))
    if place.checkout:
        row.reproduced = _reproduced(place.checkout)
        row.records, row.unrecorded = _records(place.checkout)
    if task.uses or task.locked:
        pins = _pins(repository)
        row.uses = _used(pins or {}, task.uses) if task.uses else ""
        row.locked = pins
    with tempfile.TemporaryDirectory(dir=cache) as work:
        old, new = Path(work, "old"), Path(work, "new")
        old.mkdir()
        standard.render(answers.version, answers, old)
        row.changed = [one.path for one in drift(repository, old, repository.tree())]
        row.audit = _score(repository, Path(work, "audited"))
        row.state = "behind" if row.behind else "current"
        if task.update and (row.behind or task.to):
            _update(row, place, standard, answers, (old, new))


def _update(
    row: Row, place: Place, standard: Standard, answers: Answers, renders: tuple[Path, Path]
) -> None:
    """Make a branch with the update, or a draft of it where a person must decide."""
    repository = place.repository
    branch, draft = _names([row.newest], repository)
    if there := place.has(branch):
        row.state, row.note = "updated", f"branch {there} was there"
        return
    old, new = renders
    new.mkdir()
    standard.render(row.newest, answers, new)
    merged = merge(repository, old, new)
    if merged.tree == repository.tree():
        row.state = "current"
        return
    row.conflicts = merged.conflicts
    row.state = "conflict" if merged.conflicts else "updated"
    own = not merged.conflicts and not resolved(repository, merged.tree, new)
    if merged.conflicts:
        branch = draft
    there = place.has(branch)
    if not there:
        message = _message(answers.version, row.newest, merged, own=own)
        place.make(branch, repository.commit_project(merged.tree, message))
    was = " was there" if there else ""
    row.note = f"branch {there or branch}{was}"
    if merged.conflicts:
        row.note += f"; decide in {', '.join(merged.conflicts)}"
    elif own:
        row.note += "; run scripts/lock.sh on it"


def _names(versions: Iterable[str], repository: Repository) -> list[str]:
    """Return what branches with updates to these versions are called, and drafts of them."""
    # One of several projects in a repository has branches of its own.
    within = repository.prefix.strip("/").replace("/", "-")
    updates = ["-".join(filter(None, ["standard", one, within])) for one in versions]
    return [name for update in updates for name in (update, f"draft-{update}")]


def _message(version: str, newest: str, merged: Merged, *, own: bool) -> str:
    """Return what the commit of a branch says: of a draft, that it is none to merge."""
    if merged.conflicts:
        files = "\n".join(f"- {name}" for name in merged.conflicts)
        return (
            f"Draft, do not merge: the standard from {version} to {newest}, with conflicts\n\n"
            "The project and the standard changed the same lines. The conflict markers are in the\n"
            f"files; a person has to decide in each:\n\n{files}\n\n"
            "scripts/update.sh on the default branch leads through the same update."
        )
    message = f"Update the standard from {version} to {newest}"
    if own:
        message += "\n\nThis project has packages of its own: run scripts/lock.sh."
    return message


def _read(place: Place, path: str) -> str:
    repository = place.repository
    line = repository.files(repository.tree()).get(path)
    if line is None:
        raise UserError(
            f"{place.branch} has no {path}; groundwork adopt brings a project onto the standard"
        )
    return repository.text(line)


def _score(repository: Repository, folder: Path) -> int:
    """Return the score of an audit of the default branch's files, tracked there as here."""
    repository.write(repository.tree(), folder)
    (folder / ".git").mkdir()
    kind = "sha256" if len(repository.nothing) == 64 else "sha1"  # noqa: PLR2004 - digits
    (folder / ".git/config").write_text(f"[extensions]\nobjectFormat = {kind}\n", "utf-8")
    with repository.index(repository.tree()) as index:
        shutil.copy(index, folder / ".git/index")
    return audit(folder).score


def _pins(repository: Repository) -> dict[str, tuple[str, ...]] | None:
    """Return the versions of all packages in the project's lock, or None where it has no lock."""
    line = repository.files(repository.tree()).get(LOCK)
    try:
        return pinned(repository.text(line)) if line else None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{LOCK} cannot be read: {error}") from None


def _used(pins: dict[str, tuple[str, ...]], package: str) -> str:
    """Return the version of a package in a lock, or that it has none."""
    return " ".join(sorted(set(pins.get(canonicalize_name(package), ())))) or "none"


def _records(checkout: Path) -> tuple[Records | None, str]:
    """Return what a checkout recorded, or why that is not known."""
    try:
        found = records(checkout)
    except (KeyError, TypeError, ValueError, OSError) as error:
        return None, f"its records in var/ cannot be read: {error!r}"
    return found, UNRECORDED if found is None else ""


def _reproduced(folder: Path) -> str:
    """Return when the last `reproduce` was and what came of it, where this machine knows."""
    try:
        record = json.loads((folder / "var/reproduced.json").read_text(encoding="utf-8"))
        return f"{record['at'][:10]} {record['verdict']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
