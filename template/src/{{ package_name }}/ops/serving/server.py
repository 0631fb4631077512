"""The process that serves: its sockets, its signals, and how it ends without losing a request."""

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import shutil
import signal
import socket
import sys
import threading
from functools import partial
from pathlib import Path
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..core.errors import UserError
from ..core.settings import Settings
from ..core.settings import settings as load_settings
from . import handover
from .app import application
from .service import Service

# Seconds that a server which is to end gives its clients to close their connections.
DRAIN_SECONDS = 10.0
# A longer log of a deployed process becomes service.log.1, in place of the one before.
LOG_BYTES = 10 * 1024 * 1024

log = logging.getLogger("uvicorn.error")


def run(settings: Settings, reference: str = "champion", release: Path | None = None) -> None:
    """Serve a registered version at the settings' address until it is stopped.

    `release` is a folder that already has all of it, as a container finds it: release.json and
    bundle/. Raises UserError if there is no such version, it does not fit this code, or the port is
    taken.
    """
    ports = filter(None, [settings.port, settings.metrics_port])
    listeners = [handover.bind(settings.host, port) for port in ports]
    if release is None:
        from ..tracking import registry

        version = registry.resolve(settings, reference)
        release = settings.var_dir / "serving" / str(version.number)
        registry.export(settings, str(version.number), release)
    service = Service(settings, release / "bundle")
    service.load()
    server = _Server(service)
    log.info("version %s on http://%s:%s/predict", service.version, *listeners[0].getsockname()[:2])
    with contextlib.suppress(KeyboardInterrupt):
        server.run(listeners)


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


class _Connection(H11Protocol):
    """Uvicorn's, which also closes a connection on which no whole header comes for some seconds."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def data_received(self, data: bytes) -> None:
        # Uvicorn's own stops the clock here already, and not only once the header is there.
        self.conn.receive_data(data)
        self.handle_events()


class _Server(uvicorn.Server):
    """Uvicorn that ends without dropping a request, and opens to the public on demand."""

    def __init__(
        self, service: Service, deployed: tuple[socket.socket, handover.State] | None = None
    ) -> None:
        """Serve; `deployed` is what `deploy.sh local` gave, if that started this process."""
        settings = service.settings
        super().__init__(
            uvicorn.Config(
                application(service),
                http=_Connection,
                access_log=False,
                log_level=settings.log_level,
                limit_concurrency=settings.max_connections,
            )
        )
        self.service, self.deployed = service, deployed

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.service.draining = sig == signal.SIGTERM
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # The thread that scores lets the one that talks go on sooner than after Python's 5 ms.
        sys.setswitchinterval(0.0005)
        # What is loaded by now stays: no request has to wait while it is searched for garbage.
        gc.collect()
        gc.freeze()
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

    async def on_tick(self, counter: int) -> bool:
        """Do what uvicorn does ten times a second, and at times look at the size of the log."""
        path = self.service.folder.parent / "service.log"
        with contextlib.suppress(OSError):
            if self.deployed and counter % 100 == 0 and path.stat().st_size > LOG_BYTES:
                shutil.copyfile(path, path.with_suffix(".log.1"))
                os.truncate(path, 0)  # what is written next goes to the end, as it was opened so
        return await super().on_tick(counter)

    async def _go_live(self, public: socket.socket) -> None:
        """Accept connections there as uvicorn does on the sockets that it starts with."""
        self.service.live = True
        given = (self.config, self.server_state, self.lifespan.state)
        loop = asyncio.get_running_loop()
        self.servers.append(await loop.create_server(partial(_Connection, *given), sock=public))

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
