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
from ..core.settings import Settings
from ..core.settings import settings as load_settings
from . import handover
from .app import application
from .service import Service

# Seconds that a server which is to end gives its clients to close their connections.
DRAIN_SECONDS = 10.0

log = logging.getLogger("uvicorn.error")


def run(settings: Settings, reference: str = "champion", release: Path | None = None) -> None:
    """Serve a registered version at the settings' address until it is stopped.

    `release` is a folder that already has all of it, as a container finds it: release.json and
    bundle/. Raises UserError if there is no such version, it does not fit this code, or the port is
    taken.
    """
    try:
        listener = handover.bind(settings.host, settings.port)
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
    registry.export(settings, str(version.number), folder)
    return folder


def main() -> None:
    """Serve a release's bundle as `deploy.sh local` asks; people use the command line's `serve`."""
    parser = argparse.ArgumentParser(prog="serving", description=main.__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--private", type=int, required=True, help="a socket of its own")
    parser.add_argument("--deployment", type=int, required=True, help="what it obeys; see Handover")
    given = parser.parse_args()
    deployment = socket.socket(fileno=given.deployment)
    private = socket.socket(fileno=given.private)
    try:
        settings = load_settings()
        service = Service(settings, given.bundle)
        service.load()
    except UserError as error:
        deployment.sendall(f"error: {error}\n".encode())
        sys.exit(f"error: {error}")
    service.live = False
    state = handover.State(
        release=int(given.bundle.parent.name),
        pid=os.getpid(),
        host=settings.host,
        port=settings.port,
        private=private.getsockname()[1],
    )
    _Server(service, (deployment, state)).run([private])


class _Server(uvicorn.Server):
    """Uvicorn that ends without dropping a request, and opens to the public on demand."""

    def __init__(
        self, service: Service, deployed: tuple[socket.socket, handover.State] | None = None
    ) -> None:
        """Serve; `deployed` is what `deploy.sh local` gave, if that started this process."""
        level = service.settings.log_level
        super().__init__(uvicorn.Config(application(service), access_log=False, log_level=level))
        self.service, self.deployed = service, deployed

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.service.draining = sig == signal.SIGTERM
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # The thread that scores lets the one that talks go on sooner than after Python's 5 ms.
        sys.setswitchinterval(0.0005)
        await super().startup(sockets)
        if self.deployed:
            deployment, state = self.deployed
            loop = asyncio.get_running_loop()
            part = handover.Handover(
                Path.cwd(),
                state,
                accept=lambda at: asyncio.run_coroutine_threadsafe(
                    self._go_live(at), loop
                ).result(),
                end=lambda: os.kill(os.getpid(), signal.SIGTERM),
            )
            threading.Thread(target=part.follow, args=(deployment,), daemon=True).start()

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
