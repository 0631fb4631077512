"""Passes the public socket from the process of one release to the process of the next.

For `deploy.sh local`. A new process answers on a port of its own at first. Told to `share`, it
receives the listening socket from the process that answers, or binds it where none does; both then
accept connections. Told to `keep`, it writes state.json and has the other process end. If it or its
deployment dies before that, the other process goes on answering and notices nothing. The folder has

    state.json    which release answers, and where
    N.sock        where the process of release N passes its socket on
"""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel

from ..core.errors import UserError
from ..core.files import load_state, write_json

# Seconds that a process may take to answer what it has accepted, and to pass its socket on.
DRAIN_SECONDS, PASS_SECONDS = 15.0, 10.0
# Seconds between two looks at whether the folder is still there.
LOOK_SECONDS = 1.0


class State(BaseModel):
    """state.json: the process that answers or was the last one to, and its own port."""

    release: int
    previous: int | None = None
    pid: int
    host: str
    port: int
    private: int


class Handover:
    """A process's part: it takes the socket over, and later passes it on."""

    def __init__(
        self,
        folder: Path,
        state: State,
        accept: Callable[[socket.socket], None],
        end: Callable[[], None],
    ) -> None:
        """`accept` starts answering on a socket; `end` answers what came, then ends the process."""
        self.folder, self.state, self.accept, self.end = folder, state, accept, end
        self.public: socket.socket | None = None
        self.kept = False

    def follow(self, deployment: socket.socket) -> None:
        """Do what the deployment says; end when it dies before it says `keep`."""
        other = None
        try:
            deployment.sendall(b"ready\n")
            for line in deployment.makefile():
                if line == "share\n":
                    other = self._share()
                else:
                    self._keep(other)
                deployment.sendall(line.encode())
                if line == "keep\n":
                    return
        except (OSError, UserError) as error:
            with contextlib.suppress(OSError):
                deployment.sendall(f"error: {error}\n".encode())
        if not self.kept:
            self.end()

    def _share(self) -> socket.socket | None:
        """Accept public connections; return the connection to the process that does so, too."""
        before = load(self.folder)
        if before:
            again = before.release == self.state.release
            self.state.previous = before.previous if again else before.release
        other = connect(self.folder, before) if before else None
        if other:
            other.settimeout(PASS_SECONDS)
            other.sendall(b"give\n")
            numbers = socket.recv_fds(other, 64, 1)[1]
            if not numbers:
                raise OSError("the release that answers did not pass its socket on")
            self.public = socket.socket(-1, -1, socket.IPPROTO_TCP, fileno=numbers[0])
        else:
            self.public = bind(self.state.host, self.state.port)
        self.accept(self.public)
        return other

    def _keep(self, other: socket.socket | None) -> None:
        """Be the process that answers, and have the other one end."""
        before = load(self.folder)
        path = _address(self.state.release)
        with contextlib.chdir(self.folder):
            Path(path).unlink(missing_ok=True)
            server = socket.socket(socket.AF_UNIX)
            server.bind(path)
        server.listen()
        write_json(self.folder / "state.json", self.state.model_dump())
        self.kept = True
        threading.Thread(target=self._pass_on, args=(server,), daemon=True).start()
        if other and before:
            finish(other, before.pid)

    def _pass_on(self, server: socket.socket) -> None:
        server.settimeout(LOOK_SECONDS)
        while True:
            try:
                client = server.accept()[0]
            except TimeoutError:
                if not (self.folder / _address(self.state.release)).exists():
                    self.end()
                    return
                if not (self.folder / "state.json").exists():  # somebody deleted a damaged one
                    self._save()
                continue
            with client, contextlib.suppress(OSError, UserError):
                self._obey(client)

    def _obey(self, client: socket.socket) -> None:
        """Do what a next process or `stop` asks for, until it hangs up."""
        for line in client.makefile():
            if line == "give\n" and self.public:
                socket.send_fds(client, [b"given"], [self.public.fileno()])
            elif line == "end\n":
                self.end()
                threading.Event().wait()  # the connection says until when we live
        if (now := load(self.folder)) and now.pid != self.state.pid:  # it died just before `end`
            self._save()

    def _save(self) -> None:
        with contextlib.suppress(UserError):  # a full disk must not end the service
            write_json(self.folder / "state.json", self.state.model_dump())


def load(folder: Path) -> State | None:
    """Return state.json; None where there is none. Raises UserError where it is damaged."""
    return load_state(folder / "state.json", State)


def connect(folder: Path, state: State) -> socket.socket | None:
    """Return a connection to the process that answers, None where it is gone."""
    client = socket.socket(socket.AF_UNIX)
    try:
        with contextlib.chdir(folder):
            client.connect(_address(state.release))
    except (FileNotFoundError, ConnectionRefusedError):
        client.close()
        return None
    return client


def finish(process: socket.socket, pid: int) -> None:
    """Have a process end, which answers what it has accepted first; kill it if that takes long."""
    process.settimeout(DRAIN_SECONDS)
    with process, contextlib.suppress(ConnectionError, ProcessLookupError):
        process.sendall(b"end\n")
        try:
            process.recv(1)
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)


def bind(host: str, port: int) -> socket.socket:
    """Return a socket at this address. Raises UserError where the address is not available.

    It does not listen before the service is ready: until then a client is refused at once rather
    than kept waiting.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # With the protocol named, asyncio switches off Nagle's algorithm: it delays answers by 40 ms.
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        said = f"{host}:{port} cannot be used ({error.strerror}); stop what uses it"
        raise UserError(f"{said}, or choose another port") from None
    return listener


def _address(number: int) -> str:
    """Return a process's address, from within the folder: a longer one is no address."""
    return f"{number}.sock"
