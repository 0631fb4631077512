"""The environment `local`: releases are processes on this machine, kept by supervisor.py."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from typing import Any

from pydantic import BaseModel

from ..core.errors import UserError
from ..core.files import load_json, write_json
from ..core.settings import PACKAGE, Settings, thread_variables
from ..serving import supervisor
from .release import TOLD, Address, Release, Releases, is_ready, load_state, reachable


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
    private: int | None = None
    answer: Answer | None = None


class Local:
    """Releases as processes on this machine, in var/deploy/local."""

    def __init__(self, settings: Settings) -> None:
        """Work in the settings' var folder, at the settings' address."""
        self.settings = settings
        self.folder = settings.var_dir / "deploy" / "local"
        self.releases = Releases(settings, self.folder / "releases")

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
        from ..provenance import workspace
        from ..provenance.manifest import Manifest

        version = self.releases.resolve(reference)
        folder = self.releases.fetch(number, version)
        recorded = load_json(folder / "bundle" / "provenance.json", Manifest)
        code = workspace.checkout(self.settings.root, version.commit, folder / "code")
        return self.releases.complete(
            number,
            version,
            package=PACKAGE,
            python=str(workspace.environment(code, self.settings)),
            source=str(code / "src"),
            environment={
                **thread_variables(recorded.params["threads"]),
                "ML_ROOT": str(self.settings.root),
                "ML_VAR_DIR": str(self.settings.var_dir),
                "ML_LOG_PREDICTIONS": str(int(self.settings.log_predictions)),
                "ML_KEEP_PREDICTIONS_DAYS": str(self.settings.keep_predictions_days),
                "ML_MAX_QUEUE": str(self.settings.max_queue),
                "ML_LOG_LEVEL": self.settings.log_level,
            },
        )

    def start(self, number: int) -> Address:
        """Start a release beside the one that answers; return its own address."""
        if supervisor.running(self.folder) is None:
            self._start()
        return ("127.0.0.1", self._request("try", number).port or 0)

    def share(self, number: int) -> tuple[Address, Address] | None:
        """Let it accept from the same socket as the old one; the system deals requests out."""
        state = self.state()
        if state is None or state.private is None:
            return None
        mine = self._request("share", number).port or 0
        return ("127.0.0.1", state.private), ("127.0.0.1", mine)

    def switch(self, number: int) -> None:
        """Let the release that was just verified take over."""
        release, before = self.releases.get(number), self.state()
        self._request("switch", number)
        try:
            is_ready((reachable(self.settings.host), self.settings.port), release)
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
        release = self.releases.get(number) if number is not None else None
        return {
            "environment": "local",
            "state": "answering" if running and state and state.worker else "stopped",
            "address": f"http://{state.host}:{state.port}" if state else None,
            "release": number,
            "previous": state.previous if state else None,
            "kept": self.releases.kept(),
            **(release.model_dump(include=TOLD)
               if release else {}),
        }  # fmt: skip

    def state(self) -> State | None:
        """Return what the supervisor last said. Raises UserError if that is damaged."""
        return load_state(self.folder / "state.json", State)

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
        seconds = supervisor.START_SECONDS + self.settings.canary_seconds
        request = {"id": name, "do": do, "release": number, "seconds": seconds}
        write_json(self.folder / "request.json", request)
        end = time.monotonic() + seconds + supervisor.DRAIN_SECONDS + 10
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

    def abandon(self, number: int) -> None:
        """End a release that was tried out, and a supervisor that has nothing else to do."""
        with contextlib.suppress(UserError, OSError):
            state = self.state()
            if state and state.release is None:
                self.stop()
            else:
                self._request("drop", number)
