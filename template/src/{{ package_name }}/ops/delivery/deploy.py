"""Deployments: a release is built, tried out beside the one that answers, and then switched to.

Whatever goes wrong, the release that answered goes on answering, and history.jsonl says why. MLflow
has a run for each attempt. What differs between environments is in their drivers.
"""

import contextlib
import getpass
import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..core import optional
from ..core.errors import UserError, clean
from ..core.files import append_lines, private, read_lines, write_json
from ..core.settings import Settings
from . import canary
from .local import Local
from .release import RECORDED, Driver, Release

# Releases that stay on disk to go back to.
KEEP = 5
# In an environment's folder: every attempt, a line each.
HISTORY = "history.jsonl"
# What the question `deploy` offers, each with the module beside this one that it adds.
TARGETS = {"compose": "compose", "kubernetes": "kubernetes", "terraform": "aws"}


def drivers(settings: Settings) -> dict[str, Driver]:
    """Return the driver of each environment of this project, by its name."""
    found: dict[str, Driver] = {"local": Local(settings)}
    for name in TARGETS.values():
        if module := optional.load(f"delivery.{name}"):
            found |= module.drivers(settings)
    return found


def act(driver: Driver, action: str, number: int | None, reference: str) -> list[str]:
    """Do what the command line asks for; return the lines to print."""
    match action:
        case "deploy":
            return [_line(deploy(driver, reference))]
        case "rollback":
            return [_line(rollback(driver, number))]
        case "status":
            status = driver.status()
            return [f"{name:<12} {value}" for name, value in status.items() if value is not None]
        case "history":
            entries = read_lines(driver.folder / HISTORY)
            return [_line(entry) for entry in entries] or ["nothing was deployed yet"]
        case _:
            stop(driver)
            return ["stopped"]


def deploy(driver: Driver, reference: str = "champion") -> dict[str, Any]:
    """Deploy a registered version (an alias or a number); return its line of the history.

    Raises UserError, with what answered before still answering, if anything is not right.
    """
    with _attempt(driver, "deploy") as entry:
        driver.check()
        number = entry["release"] = 1 + max([0, *driver.releases.kept(), *_numbers(driver.folder)])
        try:
            _try_out(driver, number, driver.build(number, reference), entry)
        except BaseException:
            driver.releases.drop(number)
            raise
        _prune(driver)
    return entry


def rollback(driver: Driver, number: int | None = None) -> dict[str, Any]:
    """Go back to a kept release, as carefully as `deploy`.

    Without a number, to the one before the one that answers; if none answers, to the last that did.
    """
    with _attempt(driver, "rollback") as entry:
        driver.check()
        status = driver.status()
        answering = status["state"] == "answering"
        if number is None and not answering:
            number = status["release"]
        number = number or status["previous"]
        if number is None:
            raise UserError("there is no earlier release to go back to")
        if answering and number == status["release"]:
            raise UserError(f"release {number} is the one that answers")
        release = driver.releases.get(number)
        entry["release"] = number
        _try_out(driver, number, release, entry)
    return entry


def _try_out(driver: Driver, number: int, release: Release, entry: dict[str, Any]) -> None:
    """Let a release take over, if it is right by itself and beside the one that answers."""
    entry.update(release.model_dump(include=RECORDED))
    seconds = driver.settings.canary_seconds
    try:
        counter = driver.start(number)
        before = counter() if seconds else canary.Count()
        if seconds and (both := driver.share(number)):
            entry["canary"] = canary.watch(*both, before, driver.settings)
        driver.switch(number)
    except BaseException:
        driver.abandon(number)
        raise


def stop(driver: Driver) -> None:
    """Answer no more; the releases stay."""
    with _attempt(driver, "stop"):
        driver.stop()


def summary(settings: Settings) -> str:
    """Say in one line what answers on this machine."""
    status = Local(settings).status()
    if status["state"] == "stopped":
        return "nothing answers"
    return f"release {status['release']}, version {status['version']}, {status['address']}"


@contextlib.contextmanager
def _attempt(driver: Driver, action: str) -> Iterator[dict[str, Any]]:
    """Hold the environment for one attempt and record what comes of it, even of a killed one."""
    folder = driver.folder
    pending = folder / "attempt.json"
    entry: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "action": action,
        "who": _who(),
        "outcome": "interrupted",
        "seconds": 0.0,
        "reason": "killed before it ended",
    }
    lock = FileLock(folder / "deploy.lock")
    try:
        private(driver.settings.var_dir)
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError("another deployment is under way; try again when it has ended") from None
    except OSError as error:
        raise UserError(f"{error.filename or folder}: {error.strerror}") from error
    start, left = time.monotonic(), None
    try:
        with contextlib.suppress(OSError, ValueError):
            left = json.loads(pending.read_text(encoding="utf-8"))
            append_lines(folder / HISTORY, left)
        write_json(pending, entry)
        yield entry
        entry |= {"outcome": "ok", "reason": None}
    except BaseException as error:
        if isinstance(error, Exception):
            entry |= {"outcome": "failed", "reason": clean(error)}
        if isinstance(error, OSError):
            raise UserError(f"{error.filename or folder}: {error.strerror}") from error
        raise
    finally:
        entry["seconds"] = round(time.monotonic() - start, 2)
        with contextlib.suppress(OSError):  # a full disk must not hide what happened
            append_lines(folder / HISTORY, entry)
        pending.unlink(missing_ok=True)
        lock.release()
        _audit(driver, *filter(None, [left, entry]))


def _audit(driver: Driver, *entries: dict[str, Any]) -> None:
    """Keep attempts in MLflow too, where the team sees them; without it, this file has them."""
    from ..tracking import runs

    with contextlib.suppress(UserError):
        for entry in entries:
            runs.audit(driver.settings, {"environment": driver.folder.name, **entry})


def _prune(driver: Driver) -> None:
    """Remove the oldest releases, but neither the one that answers nor the one before it.

    One that a killed deployment left before it proved right keeps no other from staying.
    """
    status = driver.status()
    now = {status["release"], status["previous"]}
    good = now | {entry.get("release") for entry in read_lines(driver.folder / HISTORY)
                  if entry.get("outcome") == "ok"}  # fmt: skip
    kept = [number for number in driver.releases.kept() if number in good][-KEEP:]
    for number in driver.releases.kept():
        if number not in {*kept, *now}:
            driver.releases.drop(number)


def _numbers(folder: Path) -> list[int]:
    return [entry["release"] for entry in read_lines(folder / HISTORY) if entry.get("release")]


def _line(entry: dict[str, Any]) -> str:
    """Put an attempt in one line."""
    what = f"release {entry['release']}" if entry.get("release") else ""
    if entry.get("version"):
        what += f", version {entry['version']}, digest {entry['digest'][:12]}"
    line = (
        f"{entry.get('time', ''):<26}{entry['action']:<9}{entry['outcome']:<12}"
        f"{entry.get('seconds', 0):>6.1f} s  {entry.get('who', '')}  {what}"
    )
    return "  ".join([line.rstrip(), *filter(None, [entry.get("canary"), entry.get("reason")])])


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's numeric user has no name
        return str(os.getuid())
