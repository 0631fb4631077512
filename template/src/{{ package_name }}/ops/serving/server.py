"""The process that serves: its sockets, its signals, and how it ends without losing a request."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from ..core.errors import UserError
from ..core.files import write_json
from ..core.settings import Settings
from ..core.settings import settings as load_settings
from . import supervisor
from .app import application
from .service import Service

# Seconds for which a server that was told to end lets its clients hang up by themselves.
DRAIN_SECONDS = 10.0

log = logging.getLogger("uvicorn.error")


def run(settings: Settings, reference: str = "champion", release: Path | None = None) -> None:
    """Serve a registered version at the settings' address until told to end.

    `release` is a folder that already has all of it, as a container finds it: release.json and
    bundle/. Raises UserError if there is no such version, it does not fit this code, or the port is
    taken.
    """
    try:
        listener = supervisor.bind(settings.host, settings.port)
    except OSError as error:
        raise UserError(
            f"{settings.host}:{settings.port} cannot be used ({error.strerror}); stop what uses "
            "it, or choose another with --port or ML_PORT"
        ) from None
    service = Service(settings, (release or _fetched(settings, reference)) / "bundle")
    service.load()
    server = _Server(service)
    log.info("version %s on http://%s:%s/predict", service.version, *listener.getsockname()[:2])
    with contextlib.suppress(KeyboardInterrupt):
        server.run([listener])


def _fetched(settings: Settings, reference: str) -> Path:
    """Bring a registered version here, and return the folder that it is in."""
    from ..tracking import registry

    version = registry.resolve(settings, reference)
    folder = settings.var_dir / "serving" / str(version.number)
    registry.fetch(settings, version, folder)
    about = {"version": version.number, "run_id": version.run_id, "digest": version.digest}
    write_json(folder / "release.json", about)
    return folder


def main() -> None:
    """Serve a bundle as a supervisor asks for it; people use the command line's `serve`."""
    parser = argparse.ArgumentParser(prog="serving", description=main.__doc__)
    parser.add_argument("bundle", type=Path)
    for name in ("private", "public", "control"):
        parser.add_argument(f"--{name}", type=int, required=True, help="a socket; see Worker")
    given = parser.parse_args()
    control = socket.socket(fileno=given.control)
    try:
        service = Service(load_settings(), given.bundle)
        service.load()
    except UserError as error:
        control.sendall(f"error: {error}\n".encode())
        sys.exit(f"error: {error}")
    service.live = False
    server = _Server(service, (control, socket.socket(fileno=given.public)))
    server.run([socket.socket(fileno=given.private)])


class _Server(uvicorn.Server):
    """Uvicorn that ends without dropping a request, and opens to the public when it is told to."""

    def __init__(
        self,
        service: Service,
        sockets: tuple[socket.socket, socket.socket] | None = None,
    ) -> None:
        """Serve; `sockets` are the control socket and the public one, if there is a supervisor."""
        level = service.settings.log_level
        super().__init__(uvicorn.Config(application(service), access_log=False, log_level=level))
        self.service, self.sockets = service, sockets

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.service.draining = sig == signal.SIGTERM
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # The thread that scores lets the one that talks go on sooner than after Python's 5 ms.
        sys.setswitchinterval(0.0005)
        await super().startup(sockets)
        if self.sockets:
            loop = asyncio.get_running_loop()
            threading.Thread(target=self._obey, args=(*self.sockets, loop), daemon=True).start()

    def _obey(
        self, control: socket.socket, public: socket.socket, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Go live when told to; end, gently, when the other end of `control` is closed."""
        control.sendall(b"ready\n")
        while control.recv(64) == b"go\n":
            asyncio.run_coroutine_threadsafe(self._go_live(public), loop).result()
            control.sendall(b"live\n")
        os.kill(os.getpid(), signal.SIGTERM)

    async def _go_live(self, public: socket.socket) -> None:
        self.service.live = True
        loop = asyncio.get_running_loop()
        self.servers.append(await loop.create_server(self._protocol, sock=public))

    def _protocol(self) -> asyncio.Protocol:
        """Talk to one client, as uvicorn does for the sockets that it starts with."""
        make: Any = self.config.http_protocol_class
        made: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        # No more from the shared socket. What asyncio has accepted but not set up yet needs the
        # servers to stay open for an instant.
        for server in self.servers:
            for listener in server.sockets:
                loop.remove_reader(listener.fileno())
        await asyncio.sleep(0.1)
        end = loop.time() + DRAIN_SECONDS
        while self.service.draining and self.server_state.connections:
            if loop.time() > end:
                break
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)


if __name__ == "__main__":
    main()
