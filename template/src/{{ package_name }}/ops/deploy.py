"""Deployments: a release is built, tried out beside the one that answers, and then switched to.

Whatever goes wrong, the release that answered goes on answering, and history.jsonl says why. What
an environment has to be able to do is in a driver: check, build, verify, switch, stop, status.
`Local` runs releases as processes on this machine (supervisor.py).
"""

import contextlib
import getpass
import http.client
import json
import math
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict

from . import supervisor
from .errors import UserError
from .settings import PACKAGE, Settings, load_json

# Releases that stay on disk to go back to.
KEEP = 5
# What the history tells of a release.
TOLD = {"version", "digest", "run_id", "commit"}


class Release(BaseModel):
    """release.json: what a release is and how it is run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    digest: str
    run_id: str
    commit: str
    package: str
    python: str
    source: str
    environment: dict[str, str]


class Golden(BaseModel):
    """golden.json: rows and their scores as they were at training.

    `tolerance` is how far a score may move, as a share of it: last digits depend on the processor.
    """

    inputs: list[dict[str, Any]]
    scores: list[float] | list[list[float]]
    tolerance: float = 1e-9


class Answer(BaseModel):
    """What came of a request, and the port of a release that is tried out."""

    id: str
    reason: str | None
    port: int | None = None


class State(BaseModel):
    """state.json, which the supervisor writes."""

    pid: int
    host: str
    port: int
    release: int | None
    previous: int | None
    worker: int | None
    answer: Answer | None = None


class Local:
    """Releases as processes on this machine, in var/deploy/local."""

    def __init__(self, settings: Settings) -> None:
        """Work in the settings' var folder, at the settings' address."""
        self.settings = settings
        self.folder = settings.var_dir / "deploy" / "local"
        self.releases = self.folder / "releases"

    def check(self) -> None:
        """Raise UserError if the port is another program's."""
        state, wanted = self.state(), (self.settings.host, self.settings.port)
        if supervisor.running(self.folder) is None:
            try:
                supervisor.bind(*wanted).close()
            except OSError as error:
                raise UserError(
                    f"{wanted[0]}:{wanted[1]} cannot be used ({error.strerror}); "
                    "stop what uses it, or set ML_PORT"
                ) from None
        elif state and (state.host, state.port) != wanted:
            raise UserError(
                f"the service answers on {state.host}:{state.port}; "
                f"`stop` it before it can move to {wanted[0]}:{wanted[1]}"
            )

    def build(self, number: int, reference: str) -> Release:
        """Bring bundle, code and environment of a registered version together."""
        # MLflow takes seconds to import, and a rollback has no use for it.
        from . import registry, workspace

        version = registry.resolve(self.settings, reference)
        if not version.commit:
            raise UserError(
                f"version {version.number} was trained without a commit, so its code is not to be "
                "had; commit, train and promote again"
            )
        for folder in self._folders():
            if not (folder / "release.json").exists():  # a deployment was killed while it built
                self.drop(int(folder.name))
        folder = self.releases / str(number)
        registry.fetch(self.settings, version, folder)
        code = workspace.checkout(self.settings.root, version.commit, folder / "code")
        release = Release(
            version=str(version.number),
            digest=version.digest,
            run_id=version.run_id,
            commit=version.commit,
            package=PACKAGE,
            python=str(workspace.environment(code, self.settings)),
            source=str(code / "src"),
            environment={
                "ML_ROOT": str(self.settings.root),
                "ML_VAR_DIR": str(self.settings.var_dir),
                "ML_LOG_PREDICTIONS": str(int(self.settings.log_predictions)),
                "ML_LOG_LEVEL": self.settings.log_level,
            },
        )
        # Last: a release with this file is complete.
        supervisor.write_json(folder / "release.json", release.model_dump())
        return release

    def verify(self, number: int) -> None:
        """Start a release beside the one that answers and replay the golden predictions."""
        release, golden = self.release(number), self._golden(number)
        if supervisor.running(self.folder) is None:
            self._start()
        try:
            address = ("127.0.0.1", self._request("try", number).port or 0)
            _is_ready(address, release)
            _replay(address, golden)
        except BaseException:
            self._abandon(number)
            raise

    def switch(self, number: int) -> None:
        """Let the release that was just verified take over."""
        release, before = self.release(number), self.state()
        self._request("switch", number)
        try:
            _is_ready((_reachable(self.settings.host), self.settings.port), release)
        except UserError:
            if before and before.release is not None and before.release != number:
                self._request("try", before.release)
                self._request("switch", before.release)
            else:
                self.stop()
            raise

    def stop(self) -> None:
        """End the supervisor, once it has answered what it accepted."""
        if (pid := supervisor.running(self.folder)) is None:
            return
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + supervisor.DRAIN_SECONDS + 5
        while supervisor.running(self.folder) == pid:
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def status(self) -> dict[str, Any]:
        """Say which release answers, and where."""
        state = self.state()
        number = state.release if state else None
        running = supervisor.running(self.folder)
        release = self.release(number) if number is not None else None
        return {
            "environment": "local",
            "state": "answering" if running and state and state.worker else "stopped",
            "address": f"http://{state.host}:{state.port}" if state else None,
            "release": number,
            "previous": state.previous if state else None,
            "kept": self.kept(),
            **(release.model_dump(include=TOLD)
               if release else {}),
        }  # fmt: skip

    def state(self) -> State | None:
        """Return what the supervisor last said. Raises UserError if that is damaged."""
        path = self.folder / "state.json"
        if not path.exists():
            return None
        try:
            return load_json(path, State)
        except UserError:
            raise UserError(
                f"{path} is damaged; delete it and deploy again (what answers goes on answering)"
            ) from None

    def release(self, number: int) -> Release:
        """Return a kept release. Raises UserError if it is not there or damaged."""
        if number not in self.kept():
            kept = ", ".join(map(str, self.kept())) or "none"
            raise UserError(f"there is no release {number}; kept are {kept}")
        return load_json(self.releases / str(number) / "release.json", Release)

    def kept(self) -> list[int]:
        """Return the numbers of the complete releases on disk, oldest first."""
        return [int(f.name) for f in self._folders() if (f / "release.json").exists()]

    def drop(self, number: int) -> None:
        """Remove a release from disk, as far as that is possible."""
        from . import workspace

        with contextlib.suppress(UserError):  # git may be what is missing
            workspace.discard(self.settings.root, self.releases / str(number))

    def _folders(self) -> list[Path]:
        found = self.releases.glob("[0-9]*")
        return sorted((f for f in found if f.name.isdecimal()), key=lambda f: int(f.name))

    def _golden(self, number: int) -> Golden:
        return load_json(self.releases / str(number) / "bundle" / "golden.json", Golden)

    def _start(self) -> int:
        """Start the supervisor in a session of its own: it outlives us and our terminal."""
        log = self.folder / "supervisor.log"
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", supervisor.__file__, str(self.folder),
                 self.settings.host, str(self.settings.port)],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        while supervisor.running(self.folder) != process.pid or not self._said_by(process.pid):
            if process.poll() is not None:
                last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
                raise UserError("".join(last).removeprefix("error: ") or "the supervisor ended")
            time.sleep(0.02)
        return process.pid

    def _said_by(self, pid: int) -> State | None:
        """Return the state if this supervisor wrote it."""
        with contextlib.suppress(UserError):
            if (state := self.state()) and state.pid == pid:
                return state
        return None

    def _request(self, do: str, number: int) -> Answer:
        """Have the supervisor do something. Raises UserError with its reason if that failed."""
        name, pid = uuid.uuid4().hex, supervisor.running(self.folder)
        seconds = supervisor.START_SECONDS
        request = {"id": name, "do": do, "release": number, "seconds": seconds}
        supervisor.write_json(self.folder / "request.json", request)
        end = time.monotonic() + seconds + 10
        if pid is not None:
            os.kill(pid, signal.SIGHUP)
        while pid is not None and time.monotonic() < end:
            state = self._said_by(pid)
            if state and state.answer and state.answer.id == name:
                if state.answer.reason is not None:
                    raise UserError(f"release {number} is not ready: {state.answer.reason}")
                return state.answer
            time.sleep(0.02)
            pid = supervisor.running(self.folder)
        raise UserError(f"the supervisor does not answer; see {self.folder / 'supervisor.log'}")

    def _abandon(self, number: int) -> None:
        """End a release that was tried out, and a supervisor that has nothing else to do."""
        with contextlib.suppress(UserError, OSError):
            state = self.state()
            if state and state.release is None:
                self.stop()
            else:
                self._request("drop", number)


DRIVERS: dict[str, type[Local]] = {"local": Local}


def act(driver: Local, action: str, number: int | None, reference: str) -> list[str]:
    """Do what the command line asks for; return what to tell."""
    match action:
        case "deploy":
            return [_told(deploy(driver, reference))]
        case "rollback":
            return [_told(rollback(driver, number))]
        case "status":
            status = driver.status()
            return [f"{name:<12} {value}" for name, value in status.items() if value is not None]
        case "history":
            entries, summed = history(driver)
            return [*(_told(entry) for entry in entries), summed]
        case _:
            stop(driver)
            return ["stopped"]


def deploy(driver: Local, reference: str = "champion") -> dict[str, Any]:
    """Deploy a registered version (an alias or a number); return its line of the history.

    Raises UserError, with what answered before still answering, if anything is not right.
    """
    with _attempt(driver, "deploy") as entry:
        driver.check()
        number = entry["release"] = 1 + max([0, *driver.kept(), *_numbers(driver.folder)])
        try:
            release = driver.build(number, reference)
            entry.update(release.model_dump(include=TOLD))
            driver.verify(number)
            driver.switch(number)
        except BaseException:
            driver.drop(number)
            raise
        _prune(driver)
    return entry


def rollback(driver: Local, number: int | None = None) -> dict[str, Any]:
    """Go back to a kept release, as carefully as `deploy`.

    Not told which, to the one before the one that answers; if none answers, to the last that did.
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
        release = driver.release(number)
        entry["release"] = number
        entry.update(release.model_dump(include=TOLD))
        driver.verify(number)
        driver.switch(number)
    return entry


def stop(driver: Local) -> None:
    """Answer no more; the releases stay."""
    with _attempt(driver, "stop"):
        driver.stop()


def summary(settings: Settings) -> str:
    """Say in one line what answers on this machine."""
    status = Local(settings).status()
    if status["state"] == "stopped":
        return "nothing answers"
    return f"release {status['release']}, version {status['version']}, {status['address']}"


def history(driver: Local) -> tuple[list[dict[str, Any]], str]:
    """Return every attempt, oldest first, and one line with success rate and mean time."""
    entries = _entries(driver.folder)
    tries = [entry for entry in entries if entry.get("action") in {"deploy", "rollback"}]
    good = [entry["seconds"] for entry in tries if entry.get("outcome") == "ok"]
    if not tries:
        return entries, "nothing was deployed yet"
    mean = f", {sum(good) / len(good):.1f} s on average" if good else ""
    rate = f"{len(good)} of {len(tries)} succeeded ({len(good) / len(tries):.0%})"
    return entries, rate + mean


@contextlib.contextmanager
def _attempt(driver: Local, action: str) -> Iterator[dict[str, Any]]:
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
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError("another deployment is under way; try again when it has ended") from None
    except OSError as error:
        raise UserError(f"{error.filename or folder}: {error.strerror}") from error
    start = time.monotonic()
    try:
        with contextlib.suppress(OSError, ValueError):
            supervisor.record(folder, **json.loads(pending.read_text(encoding="utf-8")))
        supervisor.write_json(pending, entry)
        yield entry
        entry |= {"outcome": "ok", "reason": None}
    except BaseException as error:
        if isinstance(error, Exception):
            entry |= {"outcome": "failed", "reason": str(error)}
        if isinstance(error, OSError):
            raise UserError(f"{error.filename or folder}: {error.strerror}") from error
        raise
    finally:
        entry["seconds"] = round(time.monotonic() - start, 2)
        with contextlib.suppress(OSError):  # a full disk must not hide what happened
            supervisor.record(folder, **entry)
        pending.unlink(missing_ok=True)
        lock.release()


def _prune(driver: Local) -> None:
    """Remove the oldest releases, but neither the one that answers nor the one before it."""
    status = driver.status()
    for number in driver.kept()[:-KEEP]:
        if number not in {status["release"], status["previous"]}:
            driver.drop(number)


def _entries(folder: Path) -> list[dict[str, Any]]:
    path = folder / "history.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    entries = []
    for line in lines:
        with contextlib.suppress(ValueError):  # a line that a full disk cut short
            entries.append(json.loads(line))
    return entries


def _numbers(folder: Path) -> list[int]:
    return [entry["release"] for entry in _entries(folder) if entry.get("release")]


def _told(entry: dict[str, Any]) -> str:
    """Put an attempt in one line."""
    what = f"release {entry['release']}" if entry.get("release") else ""
    if entry.get("version"):
        what += f", version {entry['version']}, digest {entry['digest'][:12]}"
    line = (
        f"{entry.get('time', ''):<26}{entry['action']:<9}{entry['outcome']:<12}"
        f"{entry.get('seconds', 0):>6.1f} s  {entry.get('who', '')}  {what}"
    )
    return f"{line}  {entry['reason']}".strip() if entry.get("reason") else line.strip()


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's numeric user has no name
        return str(os.getuid())


def _is_ready(address: tuple[str, int], release: Release) -> None:
    """Raise UserError unless the service there is ready and serves this release's model."""
    status, body = _ask(address, "GET", "/readyz")
    if status != http.HTTPStatus.OK:
        raise UserError(f"the service is not ready: {body.get('detail', f'status {status}')}")
    if body.get("model_digest") != release.digest:
        raise UserError("the service serves another model than the release's")


def _replay(address: tuple[str, int], golden: Golden) -> None:
    """Raise UserError unless the service there gives the golden scores."""
    status, body = _ask(address, "POST", "/predict", {"rows": golden.inputs})
    if status != http.HTTPStatus.OK:
        raise UserError(f"golden predictions: {body.get('detail', f'status {status}')}")
    try:
        scores = [prediction["score"] for prediction in body["predictions"]]
    except (KeyError, TypeError):
        scores = [None]
    if None in scores:
        raise UserError("golden predictions: the answer holds no scores")
    if len(scores) != len(golden.scores):
        raise UserError(f"golden predictions: {len(scores)} scores for {len(golden.scores)} rows")
    for row, (score, expected) in enumerate(zip(scores, golden.scores, strict=True)):
        if not _close(score, expected, golden.tolerance):
            raise UserError(
                f"golden prediction {row} is {score!r}, but was {expected!r} at training"
            )


def _close(score: object, expected: object, tolerance: float) -> bool:
    """Compare two scores, or two lists of them; what is no number is close to nothing."""
    if isinstance(score, list) and isinstance(expected, list):
        pairs = zip(score, expected, strict=False)
        return len(score) == len(expected) and all(_close(*pair, tolerance) for pair in pairs)
    if not isinstance(score, int | float) or not isinstance(expected, int | float):
        return False
    return math.isclose(score, expected, rel_tol=tolerance, abs_tol=tolerance / 1000)


def _ask(
    address: tuple[str, int], method: str, path: str, body: object = None
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(*address, timeout=30)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UserError(f"{method} {path} failed: {str(error) or type(error).__name__}") from None
    finally:
        connection.close()


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
