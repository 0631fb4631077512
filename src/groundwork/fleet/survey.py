"""Many projects: how far each is behind the standard, and updates of all of them at once."""

import json
import os
import re
import signal
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

from packaging.utils import canonicalize_name

from groundwork.audit.run import audit
from groundwork.errors import UserError
from groundwork.locks.pins import pinned
from groundwork.update.answers import Answers
from groundwork.update.drift import drift
from groundwork.update.git import GitError, git
from groundwork.update.lockfile import LOCK, resolved
from groundwork.update.merge import merge
from groundwork.update.ownership import ANSWERS
from groundwork.update.repository import Repository
from groundwork.update.standard import Standard

from .report import WRONG, Row


@dataclass(frozen=True)
class Task:
    """What is to be done with each project, in `seconds` at most."""

    update: bool = False
    to: str = ""
    uses: str = ""
    seconds: int = 600


def survey(
    names: list[str], task: Task, *, jobs: int | None = None, wave: int = 0
) -> Iterator[Row]:
    """Look at each project, and where the task says so make a branch with the newest standard.

    Yields a row for each as soon as it is known. A project is a folder in a git repository, a bare
    repository or the address of one; nothing that is checked out changes. Where the branch is
    there already, it is left as it is. With a first `wave` of so many projects, the others are
    updated only if each of those could be.
    """
    first = names[:wave] if task.update else []
    with tempfile.TemporaryDirectory(prefix="groundwork-fleet-") as cache:
        held = False
        for row in _together(first, task, Path(cache), jobs):
            held = held or row.state in WRONG
            yield row
        rest = replace(task, update=False) if held else task
        for row in _together(names[len(first) :], rest, Path(cache), jobs):
            if held and row.state == "behind":
                row.note = "left as it is, since one of the first wave could not be updated"
            yield row


def _together(names: list[str], task: Task, cache: Path, jobs: int | None) -> Iterator[Row]:
    # Ctrl+C is for this process, which lets the others end what they are at.
    ignore = (signal.SIGINT, signal.SIG_IGN)
    pool = ProcessPoolExecutor(jobs or os.cpu_count(), None, signal.signal, ignore)
    try:
        asked = {pool.submit(_look, name, cache, task): name for name in names}
        for future in as_completed(asked):
            try:
                yield future.result()
            except BrokenProcessPool:
                note = "the process that looked at it was killed; run this again"
                yield Row(asked[future], note=note)
    finally:
        pool.shutdown(cancel_futures=True)


def _look(name: str, cache: Path, task: Task) -> Row:
    row = Row(name)

    def give_up(*_: object) -> NoReturn:
        raise UserError(f"not done after {task.seconds} s; --timeout gives it more")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(task.seconds)
    try:
        _fill(row, cache, task)
    except (UserError, GitError, OSError) as error:
        row.state, row.note = "failed", " ".join(str(error).split())
    except Exception as error:  # noqa: BLE001 - one project must not stop the others
        row.state, row.note = "failed", f"{type(error).__name__}: {' '.join(str(error).split())}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return row


def _fill(row: Row, cache: Path, task: Task) -> None:
    remote = re.match(r"[\w.+-]+://|[\w.-]+@[\w.-]+:", row.name) is not None
    repository = _open(row.name, cache, remote=remote)
    text = _read(repository, ANSWERS)
    answers = Answers(text)
    standard = Standard(answers.source, _place(cache / "templates", answers.source))
    row.version, row.newest = answers.version, task.to or standard.newest()
    row.behind = standard.behind(answers.version)
    row.reproduced = _reproduced(repository.folder)
    row.uses = _locked(repository, task.uses) if task.uses else ""
    with tempfile.TemporaryDirectory(dir=cache) as place:
        old, new = Path(place, "old"), Path(place, "new")
        old.mkdir()
        standard.render(answers.version, answers, old)
        row.changed = [one.path for one in drift(repository, old, repository.tree())]
        row.audit = _score(repository, Path(place, "audited"))
        row.state = "behind" if row.behind else "current"
        if not task.update or (not row.behind and not task.to):
            return
        # One of several projects in a repository has a branch of its own.
        place_in = repository.prefix.strip("/").replace("/", "-")
        branch = "-".join(filter(None, ["standard", row.newest, place_in]))
        if _has(repository, branch, remote=remote):
            row.state, row.note = "updated", f"branch {branch} was there"
            return
        new.mkdir()
        standard.render(row.newest, answers, new)
        merged = merge(repository, old, new)
        if merged.tree == repository.tree():
            row.state = "current"
            return
        if merged.conflicts:
            row.state = "conflict"
            row.note = f"scripts/update.sh, then decide in {', '.join(merged.conflicts)}"
            return
        own = not resolved(repository, merged.tree, new)
        message = f"Update the standard from {answers.version} to {row.newest}"
        if own:
            message += "\n\nThis project has packages of its own: run scripts/lock.sh."
        commit = repository.commit_project(merged.tree, message)
        if remote:
            git(repository.folder, "push", "--quiet", "origin", f"{commit}:refs/heads/{branch}")
        else:
            git(repository.folder, "update-ref", f"refs/heads/{branch}", commit, "0" * len(commit))
        row.state = "updated"
        row.note = f"branch {branch}" + ("; run scripts/lock.sh on it" if own else "")


def _place(cache: Path, name: str) -> Path:
    """Return where what is known by a name of any length is kept."""
    return cache / sha256(name.encode()).hexdigest()[:16]


def _open(name: str, cache: Path, *, remote: bool) -> Repository:
    if remote:
        clone = _place(cache / "projects", name)
        clone.parent.mkdir(exist_ok=True)
        options = ("--quiet", "--bare", "--depth", "1", "--origin", "origin")
        git(clone.parent, "clone", *options, "--", name, str(clone))
        return Repository(clone)
    folder = Path(name)
    if not folder.is_dir():
        raise UserError("there is no such folder")
    try:
        repository = Repository(folder)
        repository.tree()
    except GitError:
        raise UserError("it is not a git repository with a commit") from None
    return repository


def _read(repository: Repository, path: str) -> str:
    line = repository.files(repository.tree()).get(path)
    if line is None:
        raise UserError(f"it has no {path}; groundwork adopt brings a project onto the standard")
    return repository.text(line)


def _has(repository: Repository, branch: str, *, remote: bool) -> bool:
    where = f"refs/heads/{branch}"
    if remote:
        return bool(git(repository.folder, "ls-remote", "origin", where))
    return bool(repository.git("for-each-ref", where))


def _score(repository: Repository, place: Path) -> int:
    """Return the score of an audit: of the folder, or of a bare repository's files in `place`."""
    if Path(repository.git_dir) != repository.folder:
        return audit(repository.folder).score
    repository.write(repository.tree(), place)
    return audit(place).score


def _locked(repository: Repository, package: str) -> str:
    """Return the version of a package in the project's lock, or that it has none."""
    line = repository.files(repository.tree()).get(LOCK)
    try:
        found = pinned(repository.text(line)) if line else {}
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{LOCK} cannot be read: {error}") from None
    return " ".join(sorted(set(found.get(canonicalize_name(package), ())))) or "none"


def _reproduced(folder: Path) -> str:
    """Return when the last `reproduce` was and what came of it, where this machine knows."""
    try:
        record = json.loads((folder / "var/reproduced.json").read_text(encoding="utf-8"))
        return f"{record['at'][:10]} {record['verdict']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
