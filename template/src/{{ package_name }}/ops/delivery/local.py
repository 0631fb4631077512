"""The environment `local`: a release is a process on this machine; see serving/handover.py."""

import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from ..core.errors import UserError
from ..core.files import load_json
from ..core.settings import PACKAGE, Settings, thread_variables
from ..serving import handover
from .canary import Counter, counter
from .release import RECORDED, Address, Release, Releases, is_ready

# The settings of a deployment that its release keeps.
PASSED = {"log_level", "log_predictions", "keep_predictions_days", "keep_predictions_mb",
          "max_queue", "max_connections", "read_seconds", "metrics_port"}  # fmt: skip
# Seconds that a release has to get ready, and has to stay so while it shares the requests.
START_SECONDS, STEADY_SECONDS = 120.0, 1.0


class Trial:
    """The process of a release that does not answer alone yet."""

    def __init__(self, release: Release, folder: Path, settings: Settings) -> None:
        """Start the release's own code, in its own environment and a session of its own."""
        self.number, self.log = int(folder.name), folder / "service.log"
        self.control, theirs = socket.socketpair()
        self.shares = self.kept = False
        place = {"ML_HOST": settings.host, "ML_PORT": str(settings.port)}
        with theirs, handover.bind("127.0.0.1", 0) as private, self.log.open("ab") as log:
            self.address: Address = private.getsockname()
            self.process = subprocess.Popen(  # noqa: S603
                [release.python, "-P", "-m", f"{release.package}.ops.serving.server",
                 folder / "bundle", "--private", str(private.fileno()),
                 "--deployment", str(theirs.fileno())],
                env={**os.environ, **release.environment, **place, "PYTHONPATH": release.source},
                pass_fds=[private.fileno(), theirs.fileno()], cwd=folder.parents[1],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._expect("ready", START_SECONDS)

    def share(self) -> None:
        """Have it answer in public, beside the process that does so already."""
        if not self.shares:
            self._ask("share", handover.PASS_SECONDS + 5)
            self.shares = True

    def keep(self) -> None:
        """Have it be the one that answers; the other one ends."""
        self.kept = True
        self._ask("keep", handover.DRAIN_SECONDS + 5)

    def give_up(self) -> None:
        """End it, unless it was kept."""
        self.control.close()
        if not self.kept:
            try:
                self.process.wait(handover.DRAIN_SECONDS if self.shares else 0)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _ask(self, word: str, seconds: float) -> None:
        with contextlib.suppress(OSError):  # it died: what it answers says so
            self.control.sendall(f"{word}\n".encode())
        self._expect(word, seconds)

    def _expect(self, word: str, seconds: float) -> None:
        """Wait until it says `word`. Raises UserError where it does not, with the reason."""
        said = ""
        self.control.settimeout(seconds)
        try:
            said = self.control.recv(4096).decode(errors="replace").strip()
            reason = said.removeprefix("error: ") or self._ending()
        except TimeoutError:
            reason = f"it was given up after {seconds:.0f} seconds"
        except OSError:
            reason = self._ending()
        if said != word:
            self.give_up()
            raise UserError(f"release {self.number} is not ready: {reason}")

    def _ending(self) -> str:
        """Say how it ended: its exit code and its last line."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        said = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = f", last saying: {said[-1].strip()}" if said else ""
        return f"the service ended with exit code {self.process.returncode}{last}"


class Local:
    """Releases as processes on this machine, in var/deploy/local."""

    def __init__(self, settings: Settings) -> None:
        """Work in the settings' var folder, at the settings' address."""
        self.settings = settings
        self.folder = settings.var_dir / "deploy" / "local"
        self.releases = Releases(settings, self.folder / "releases")
        self.trial: Trial | None = None

    def check(self) -> None:
        """Raise UserError if the port is another program's."""
        state, wanted = self.state(), (self.settings.host, self.settings.port)
        if not self._answers(state):
            handover.bind(*wanted).close()
        elif state and (state.host, state.port) != wanted:
            raise UserError(
                f"the service answers on {state.host}:{state.port}; "
                f"`stop` it before it can move to {wanted[0]}:{wanted[1]}"
            )

    def build(self, number: int, reference: str) -> Release:
        """Bring bundle, code and environment of a registered version together."""
        from ..provenance import workspace
        from ..provenance.manifest import Manifest
        from ..tracking import registry

        version, folder = self.releases.resolve(reference), self.releases.path(number)
        bundle = registry.fetch(self.settings, version, folder)
        recorded = load_json(bundle / "provenance.json", Manifest)
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
                **{
                    f"ML_{name.upper()}": str(value)
                    for name, value in self.settings.model_dump(include=PASSED).items()
                },
            },
        )

    def start(self, number: int) -> Counter:
        """Start a release beside the one that answers; return its counter once it is ready."""
        path, release = self.releases.path(number), self.releases.get(number)
        self.trial = Trial(release, path, self.settings)
        is_ready(self.trial.address, release)
        return counter(self.trial.address)

    def share(self, number: int) -> tuple[Counter, Counter] | None:  # noqa: ARG002 - the trial's
        """Let it accept from the same socket as the old one; the system deals requests out."""
        state = self.state()
        if self.trial is None or state is None or not self._answers(state):
            return None
        self.trial.share()
        return counter(("127.0.0.1", state.private)), counter(self.trial.address)

    def switch(self, number: int) -> None:
        """Let the release that was tried out answer alone, once it has stayed ready in public."""
        if self.trial is None:
            raise UserError(f"release {number} was not started")
        self.trial.share()
        end = time.monotonic() + STEADY_SECONDS
        while time.monotonic() < end:
            is_ready(self.trial.address, self.releases.get(number))
            time.sleep(0.05)
        self.trial.keep()

    def abandon(self, number: int) -> None:  # noqa: ARG002 - the trial's
        """End a release that was tried out."""
        if self.trial:
            self.trial.give_up()

    def stop(self) -> None:
        """End the service, once it has answered what it accepted."""
        state = self.state()
        if state and (process := handover.connect(self.folder, state)):
            handover.finish(process, state.pid)

    def status(self) -> dict[str, Any]:
        """Say which release answers, and where."""
        state = self.state()
        number = state.release if state else None
        release = self.releases.get(number) if number is not None else None
        return {
            "environment": "local",
            "state": "answering" if self._answers(state) else "stopped",
            "address": f"http://{state.host}:{state.port}" if state else None,
            "release": number,
            "previous": state.previous if state else None,
            "kept": self.releases.kept(),
            **(release.model_dump(include=RECORDED) if release else {}),
        }

    def state(self) -> handover.State | None:
        """Return what the service said of itself. Raises UserError if that is damaged."""
        return handover.load(self.folder)

    def _answers(self, state: handover.State | None) -> bool:
        if state and (process := handover.connect(self.folder, state)):
            process.close()
            return True
        return False
