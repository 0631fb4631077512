"""Keeps one release answering on one port, for `deploy.sh local`; run by its path, stdlib only.

It owns the listening socket and lends it to its workers, so a switch loses no request: the new
worker accepts beside the old one before the old one is told to finish. Its folder holds

    supervisor.lock   locked while it lives, with its process id
    request.json      what deploy asks for; SIGHUP says that there is one
    state.json        what is answering, and the answer to the last request
    history.jsonl     one line for each deployment
    releases/N/       bundle/, code/, release.json, service.log
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

START_SECONDS = 120.0
DRAIN_SECONDS = 15.0
# Seconds before each new start of a worker that died; the last one goes for all after it.
BACKOFF = (0.1, 0.5, 2.0, 10.0, 30.0)
# Deaths in a row, each within STEADY_SECONDS of the start, before the release before it is back.
DEATHS = 3
STEADY_SECONDS = 60.0


class Worker:
    """A process that serves one release on a socket that was opened for it.

    The control socket carries one line from the worker, `ready` or `error: …`. Either end closing
    it is the other's sign to end, so no worker outlives whoever started it.
    """

    def __init__(self, release: Path, listener: socket.socket, **environment: str) -> None:
        """Start the release's own code, in its own environment."""
        about = json.loads((release / "release.json").read_text(encoding="utf-8"))
        self.number = int(release.name)
        self.control, theirs = socket.socketpair()
        self.control.setblocking(False)  # noqa: FBT003
        self.ready = False
        self.message = ""
        self.started = time.monotonic()
        self.deadline = self.started + START_SECONDS
        arguments = ["--fd", str(listener.fileno()), "--control", str(theirs.fileno())]
        self.log = release / "service.log"
        with theirs, self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603
                [about["python"], "-P", "-m", f"{about['package']}.ops.serving",
                 str(release / "bundle"), *arguments],
                env={**os.environ, **about["environment"], **environment,
                     "PYTHONPATH": about["source"]},
                pass_fds=(listener.fileno(), theirs.fileno()),
                cwd=release, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def look(self) -> bool:
        """Read what the worker said, and return whether it lives."""
        with contextlib.suppress(OSError):
            self.message += self.control.recv(4096).decode(errors="replace")
        self.ready = self.message.startswith("ready\n")
        return self.process.poll() is None

    def wait(self) -> str | None:
        """Wait until the worker is ready. Return None, else why it is not."""
        while self.look():
            if self.ready:
                return None
            if time.monotonic() > self.deadline:
                return f"not ready after {START_SECONDS:.0f} seconds"
            select.select([self.control], [], [], 0.2)
        return self.reason()

    def reason(self) -> str:
        """Say why the worker ended: its own words, else its last line, else its exit code."""
        if not self.ready and self.message.strip():
            return self.message.strip().splitlines()[0].removeprefix("error: ")
        said = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = f", last saying: {said[-1].strip()}" if said else ""
        return f"the service ended with exit code {self.process.returncode}{last}"

    def drain(self) -> None:
        """Have it answer what it has accepted, and end."""
        self.deadline = time.monotonic() + DRAIN_SECONDS
        self.process.terminate()

    def kill(self) -> None:
        """End it now."""
        self.process.kill()
        self.process.wait()
        self.control.close()


class Supervisor:
    """One worker serving, at most one coming, and those that are finishing."""

    def __init__(self, folder: Path, host: str, port: int) -> None:
        """Take the folder's lock and the port. Raises OSError where either is taken."""
        self.folder = folder
        self.lock = _locked(folder / "supervisor.lock")
        self.listener = bind(host, port)
        self.serving: Worker | None = None
        self.coming: Worker | None = None
        self.leaving: list[Worker] = []
        self.wanted: int | None = None
        self.deaths = 0
        self.start_at: float | None = None
        self.request: str | None = None
        self.stop_asked = self.stopping = False
        self.wakeup, theirs = socket.socketpair()
        for end in (self.wakeup, theirs):
            end.setblocking(False)  # noqa: FBT003
        self.theirs = theirs
        signal.set_wakeup_fd(theirs.fileno())
        signal.signal(signal.SIGHUP, lambda *_: None)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self.ask_to_stop)
        self.state: dict[str, Any] = {
            "pid": os.getpid(), "host": host, "port": port,
            "release": None, "previous": None, "worker": None,
        }  # fmt: skip
        self.save()

    def run(self) -> None:
        """Work until SIGTERM, or until the folder is gone."""
        while not self.stopping or self.workers():
            controls = [worker.control for worker in self.workers()]
            wait = 0.05 if self.leaving or self.coming or self.start_at else 2.0
            if self.wakeup in select.select([self.wakeup, *controls], [], [], wait)[0]:
                self.wakeup.recv(4096)
            self.tick()
        self.save()

    def workers(self) -> list[Worker]:
        """Return every worker there is."""
        return [worker for worker in (self.serving, self.coming, *self.leaving) if worker]

    def ask_to_stop(self, *_: object) -> None:
        """Note a SIGTERM; it may come in the middle of anything."""
        self.stop_asked = True

    def stop(self) -> None:
        """Let every worker finish, then end."""
        self.stopping = True
        self.start_at = None
        self.leaving = self.workers()
        self.serving = self.coming = None
        for worker in self.leaving:
            worker.drain()

    def tick(self) -> None:
        """Look at every worker once, and at the request."""
        now = time.monotonic()
        for worker in list(self.leaving):
            if not worker.look() or now > worker.deadline:
                worker.kill()
                self.leaving.remove(worker)
        if self.stopping:
            return
        if self.stop_asked or not _holds(self.lock, self.folder / "supervisor.lock"):
            self.stop()
            return
        if not (self.folder / "state.json").exists():  # somebody deleted a damaged one
            self.save()
        self.read_request()
        if self.coming:
            self.look_at_coming(self.coming, now)
        if self.serving and not self.serving.look():
            self.died(self.serving, self.serving.reason(), now)
            self.serving = None
        if self.start_at and now >= self.start_at and not self.coming:
            self.start_at = None
            self.start(now)

    def start(self, now: float) -> None:
        """Start a worker for the wanted release."""
        release = self.folder / "releases" / str(self.wanted)
        try:
            self.coming = Worker(release, self.listener)
        except (OSError, ValueError, KeyError) as error:
            reason = f"release {self.wanted} cannot be started: {error}"
            if not self.answer(reason):
                self.again(reason, now)

    def look_at_coming(self, worker: Worker, now: float) -> None:
        """Let a worker that is ready take over; give up one that died or takes too long."""
        alive = worker.look()
        if alive and worker.ready:
            if self.serving:
                self.serving.drain()
                self.leaving.append(self.serving)
            self.serving, self.coming = worker, None
            if self.state["release"] != worker.number:
                self.state |= {"previous": self.state["release"], "release": worker.number}
            self.answer(None)
            self.save()
        elif not alive or now > worker.deadline:
            reason = f"not ready after {START_SECONDS:.0f} seconds" if alive else worker.reason()
            worker.kill()
            self.coming = None
            # One that a deployment asked for is the deployment's to mend; any other comes again.
            if not self.answer(reason):
                self.again(reason, now)

    def died(self, worker: Worker, reason: str, now: float) -> None:
        """Have a worker that served start again."""
        worker.kill()
        if now - worker.started > STEADY_SECONDS:
            self.deaths = 0
        self.save()
        if not self.coming:
            self.again(reason, now)

    def again(self, reason: str, now: float) -> None:
        """Start the release once more after a pause, or the one before it if it keeps dying."""
        self.deaths += 1
        sys.stderr.write(f"release {self.wanted} died ({self.deaths} in a row): {reason}\n")
        previous = self.state["previous"]
        if self.deaths >= DEATHS and previous is not None:
            with contextlib.suppress(OSError):  # a full disk must not end the service
                why = f"release {self.wanted} died {self.deaths} times: {reason}"
                record(self.folder, action="fallback", outcome="ok", release=previous, reason=why)
            self.wanted, self.deaths = previous, 0
        self.start_at = now + BACKOFF[min(max(self.deaths - 1, 0), len(BACKOFF) - 1)]

    def read_request(self) -> None:
        """Begin what deploy asked for, once."""
        try:
            request = json.loads((self.folder / "request.json").read_text(encoding="utf-8"))
            name, number = str(request["id"]), int(request["release"])
        except (OSError, ValueError, KeyError, TypeError):
            return
        (self.folder / "request.json").unlink(missing_ok=True)
        if self.coming:
            self.coming.kill()
            self.coming = None
        self.request, self.wanted, self.deaths = name, number, 0
        self.start_at = time.monotonic()

    def answer(self, reason: str | None) -> bool:
        """Answer the request, if there is one: `reason` says why it failed, None that it did not.

        After a failure the release that served before is wanted again.
        """
        if self.request is None:
            return False
        self.state["answer"] = {"id": self.request, "reason": reason}
        self.request = None
        if reason is not None:
            self.wanted = self.state["release"]
            if self.serving is None and self.wanted is not None:
                self.start_at = time.monotonic()
        self.save()
        return True

    def save(self) -> None:
        """Write state.json."""
        self.state["worker"] = self.serving.process.pid if self.serving else None
        try:
            write_json(self.folder / "state.json", self.state)
        except OSError as error:  # a full disk stops deployments, not the service
            sys.stderr.write(f"state.json cannot be written: {error}\n")


def bind(host: str, port: int) -> socket.socket:
    """Return a socket at this address. Raises OSError where the address is not to be had.

    It does not listen before the first worker is ready: until then a client is refused at once
    rather than kept waiting.
    """
    family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def running(folder: Path) -> int | None:
    """Return the process id of the folder's supervisor, None where none lives."""
    try:
        with (folder / "supervisor.lock").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0) or None
    except FileNotFoundError:
        pass
    return None


def write_json(path: Path, value: object) -> None:
    """Write `value` whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def record(folder: Path, **entry: object) -> None:
    """Add one line to history.jsonl."""
    line = {"time": datetime.now(UTC).isoformat(timespec="seconds"), **entry}
    with (folder / "history.jsonl").open("a+b") as file:
        if file.tell():  # a full disk may have cut the last line short
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":
                file.write(b"\n")
        file.write(json.dumps(line).encode() + b"\n")


def _locked(path: Path) -> Any:
    """Open and lock `path` with this process's id in it. Raises OSError where it is locked."""
    file = path.open("a+")
    for left in reversed(range(10)):  # whoever looks whether we run holds the lock for an instant
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if not left:
                raise
            time.sleep(0.05)
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _holds(file: Any, path: Path) -> bool:
    """Tell whether `path` is still the file that is locked: someone may have deleted it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def main() -> None:
    """Run in the folder, host and port of the command line."""
    folder, host, port = sys.argv[1:]
    try:
        supervisor = Supervisor(Path(folder), host, int(port))
    except OSError as error:
        sys.exit(f"error: {host}:{port} cannot be used: {error.strerror}")
    supervisor.run()


if __name__ == "__main__":
    main()
