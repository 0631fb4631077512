"""Keeps one release answering on one port, for `deploy.sh local`; run by its path, stdlib only.

It owns the listening socket and lends it to its workers. A new worker first answers on a port of
its own, where a deployment tries it out; told to share, it accepts from the public socket beside
the old one; told to switch, the old one is told to finish. So a switch loses no request, and the
process that was tried out is the one that goes on. Its folder holds

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
    """A process that serves one release.

    Over the control socket it says `ready` when it answers on its own port, or `error: …`; it is
    told `go` and says `live` when it also answers on the public socket. Either end closing the
    control socket is the other's sign to end, so no worker outlives its supervisor.
    """

    def __init__(self, release: Path, public: socket.socket) -> None:
        """Start the release's own code, in its own environment."""
        about = json.loads((release / "release.json").read_text(encoding="utf-8"))
        self.number = int(release.name)
        self.log = release / "service.log"
        self.control, theirs = socket.socketpair()
        self.control.setblocking(False)  # noqa: FBT003
        self.message = ""
        self.gone = False
        self.started = time.monotonic()
        self.deadline = self.started + START_SECONDS
        with theirs, bind("127.0.0.1", 0) as private, self.log.open("ab") as log:
            self.port = private.getsockname()[1]
            sockets = {"--private": private, "--public": public, "--control": theirs}
            options = [text for name, at in sockets.items() for text in (name, str(at.fileno()))]
            self.process = subprocess.Popen(  # noqa: S603
                [about["python"], "-P", "-m", f"{about['package']}.ops.serving.server",
                 str(release / "bundle"), *options],
                env={**os.environ, **about["environment"], "PYTHONPATH": about["source"]},
                pass_fds=[at.fileno() for at in sockets.values()],
                cwd=release, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def look(self) -> bool:
        """Read what the worker said, and return whether it lives."""
        with contextlib.suppress(OSError):
            self.message += self.control.recv(4096).decode(errors="replace")
        return self.process.poll() is None

    def says(self, word: str) -> bool:
        """Tell whether the worker has said `word`."""
        return word in self.message.split("\n")[:-1]

    def go(self) -> None:
        """Have it answer on the public socket, if it was not told yet."""
        if not self.gone:
            self.gone = True
            self.deadline = time.monotonic() + START_SECONDS
            with contextlib.suppress(OSError):  # it died; that is seen when it is looked at
                self.control.sendall(b"go\n")

    def reason(self) -> str:
        """Say why it is no good: its own words, else its last line, else its exit code."""
        if self.process.poll() is None:
            return f"it was given up after {time.monotonic() - self.started:.0f} seconds"
        for line in self.message.splitlines():
            if line.startswith("error: "):
                return line.removeprefix("error: ")
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
        # Whether the one that is coming waits for a word from its deployment.
        self.trial = False
        self.deaths = 0
        self.start_at: float | None = None
        self.request: str | None = None
        # The request to switch or to drop that is answered once the other worker has ended.
        self.dismissed: str | None = None
        self.stop_asked = self.stopping = False
        self.wakeup, self.waker = socket.socketpair()
        for end in (self.wakeup, self.waker):
            end.setblocking(False)  # noqa: FBT003
        signal.set_wakeup_fd(self.waker.fileno())
        signal.signal(signal.SIGHUP, lambda *_: None)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self.ask_to_stop)
        self.state: dict[str, Any] = {
            "pid": os.getpid(), "host": host, "port": port,
            "release": None, "previous": None, "worker": None, "private": None,
        }  # fmt: skip
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            before = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            self.state["previous"] = before["release"] or before["previous"]
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
        self.read_request(now)
        if self.coming:
            self.look_at_coming(self.coming, now)
        if self.serving and not self.serving.look():
            self.died(self.serving, now)
        if self.start_at and now >= self.start_at and not self.coming:
            self.start_at = None
            self.start(self.state["release"], now)
        self.settle()

    def start(self, number: int, now: float) -> None:
        """Start a worker for a release."""
        try:
            self.coming = Worker(self.folder / "releases" / str(number), self.listener)
        except (OSError, ValueError, KeyError) as error:
            self.failed(f"release {number} cannot be started: {error}", now)

    def look_at_coming(self, worker: Worker, now: float) -> None:
        """Let a worker that is live take over; give up one that died or takes too long."""
        alive = worker.look()
        if not alive or now > worker.deadline:
            reason = worker.reason()
            self.coming = None
            if alive:
                self.dismiss(worker)
            else:
                worker.kill()
            self.failed(reason, now)
        elif worker.says("live"):
            if self.trial:
                self.answer(port=worker.port)
            else:
                self.take_over(worker)
        elif worker.says("ready") and not worker.gone:
            if self.trial:
                self.answer(port=worker.port)
            else:
                worker.go()

    def take_over(self, worker: Worker) -> None:
        """Let the worker that is live be the only one."""
        if self.serving:
            self.dismiss(self.serving)
        self.serving, self.coming, self.start_at = worker, None, None
        if self.state["release"] != worker.number:
            before = self.state["release"] or self.state["previous"]
            self.state["previous"] = before if before != worker.number else None
            self.state["release"] = worker.number
            self.deaths = 0
        self.dismissed, self.request = self.request, None
        self.save()

    def settle(self) -> None:
        """Answer the request to switch or to drop, once the other worker answers nobody."""
        if self.dismissed and not self.leaving:
            if self.request is None:
                self.request = self.dismissed
                self.answer()
            self.dismissed = None

    def dismiss(self, worker: Worker) -> None:
        """End a worker; one that answers finishes what it has accepted."""
        if worker.gone:
            worker.drain()
            self.leaving.append(worker)
        else:
            worker.kill()

    def failed(self, reason: str, now: float) -> None:
        """Give up a worker: a deployment's is the deployment's to mend, any other comes again."""
        asked, self.trial = self.trial or self.request is not None, False
        self.answer(reason)
        if not asked:
            self.again(reason, now)

    def died(self, worker: Worker, now: float) -> None:
        """Have the worker that served start again, before anything else."""
        reason = worker.reason()
        worker.kill()
        self.serving = None
        if self.coming:
            self.coming.kill()
            self.coming = None
            self.answer(f"release {worker.number}, which answered, died meanwhile: {reason}")
        if now - worker.started > STEADY_SECONDS:
            self.deaths = 0
        self.trial = False
        self.again(reason, now)
        self.save()

    def again(self, reason: str, now: float) -> None:
        """Start the release once more after a pause, or the one before it if it keeps dying."""
        number, previous = self.state["release"], self.state["previous"]
        if number is None:
            return
        self.deaths += 1
        sys.stderr.write(f"release {number} died ({self.deaths} in a row): {reason}\n")
        self.start_at = now + BACKOFF[min(self.deaths, len(BACKOFF)) - 1]
        if self.deaths >= DEATHS and previous is not None:
            with contextlib.suppress(OSError):  # a full disk must not end the service
                why = f"release {number} died {self.deaths} times: {reason}"
                record(self.folder, action="fallback", outcome="ok", release=previous, reason=why)
            self.state |= {"release": previous, "previous": number}
            self.deaths = 0

    def read_request(self, now: float) -> None:
        """Do what a deployment asks for: `try` a release, `share`, `switch` to it or `drop` it."""
        path = self.folder / "request.json"
        try:
            request = json.loads(path.read_text(encoding="utf-8"))
            self.request, what, number = str(request["id"]), request["do"], request["release"]
            seconds = float(request["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            return
        path.unlink(missing_ok=True)
        if what in {"share", "switch"}:
            if self.coming and self.trial and self.coming.number == number:
                self.trial = what == "share"
                self.coming.go()
                self.coming.deadline = now + seconds  # or it shares for ever, if nobody says more
            else:
                self.answer(f"release {number} is not being tried out")
            return
        if self.coming:
            self.dismiss(self.coming)
            self.coming = None
            if not self.trial:  # a worker that died was coming back; it has to wait
                self.start_at = now
        self.trial = what == "try"
        if not self.trial:
            self.dismissed, self.request = self.request, None
            return
        self.start(number, now)
        if self.coming:
            self.coming.deadline = now + seconds

    def answer(self, reason: str | None = None, port: int | None = None) -> None:
        """Answer the request, if there is one; `reason` says why it failed."""
        if self.request is not None:
            self.state["answer"] = {"id": self.request, "reason": reason, "port": port}
            self.request = None
            self.save()

    def save(self) -> None:
        """Write state.json."""
        self.state["worker"] = self.serving.process.pid if self.serving else None
        self.state["private"] = self.serving.port if self.serving else None
        try:
            _write_json(self.folder / "state.json", self.state)
        except OSError as error:  # a full disk stops deployments, not the service
            sys.stderr.write(f"state.json cannot be written: {error}\n")


def bind(host: str, port: int) -> socket.socket:
    """Return a socket at this address. Raises OSError where the address is not to be had.

    It does not listen before the first worker is ready: until then a client is refused at once
    rather than kept waiting.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # With the protocol named, asyncio switches off Nagle's algorithm: it delays answers by 40 ms.
    listener = socket.socket(family, kind, protocol)
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


def _write_json(path: Path, value: object) -> None:
    """Write `value` whole or not at all; this file is run by its path and imports no other."""
    write(path, json.dumps(value, indent=2) + "\n")


def write(path: Path, text: str) -> None:
    """Write `text` whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
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
