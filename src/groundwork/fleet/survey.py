"""Many projects: how far each is behind the standard, and updates of all of them at once."""

import os
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from groundwork.errors import UserError
from groundwork.update.git import GitError

from . import compiled
from .hosts import without_secrets
from .look import Task, fill
from .report import WRONG, Row


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
    pool = ProcessPoolExecutor(jobs or os.cpu_count(), None, prepared)
    try:
        asked = {pool.submit(_look, name, cache, task): name for name in names}
        for future in as_completed(asked):
            try:
                yield future.result()
            except BrokenProcessPool:
                note = "the process that looked at it was killed; run this again"
                yield Row(without_secrets(asked[future], os.environ), note=note)
    finally:
        pool.shutdown(cancel_futures=True)


def prepared() -> None:
    """Prepare a process, which keeps what it compiles of templates.

    Ctrl+C is for the one above, which lets this end what it is at. Many at a time cannot ask for a
    password: ssh and ssh-keygen get none but from a program.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    compiled.keep()
    os.environ.setdefault("SSH_ASKPASS", "false")
    os.environ.setdefault("SSH_ASKPASS_REQUIRE", "force")


def _look(name: str, cache: Path, task: Task) -> Row:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    row = Row(without_secrets(name, os.environ), at=now)

    def give_up(*_: object) -> NoReturn:
        raise UserError(f"not done after {task.seconds} s; --timeout gives it more")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(task.seconds)
    try:
        fill(row, name, cache, task)
    except (UserError, GitError, OSError) as error:
        row.state, row.note = "failed", " ".join(str(error).split())
    except Exception as error:  # noqa: BLE001 - one project must not stop the others
        row.state, row.note = "failed", f"{type(error).__name__}: {' '.join(str(error).split())}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    row.note = without_secrets(row.note, os.environ)
    return row
