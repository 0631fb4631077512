"""The routes: POST /predict for clients, and /healthz, /readyz and /metrics for operators."""

import asyncio
import contextlib
import time
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..core.settings import NAME
from . import requests
from .answers import Answer
from .batching import Batches, FullError
from .metrics import CONTENT_TYPE, OTHER
from .requests import RefusedError
from .service import Service

# How many requests are answered together at most, and how many bytes unless one alone has more.
MAX_BATCH, MAX_BATCH_BYTES = 64, 128 * 1024
PUBLIC = ("/predict", "/healthz", "/readyz")
PATHS = (*PUBLIC, "/metrics")
# How many bodies that are longer than SHORT, in bytes, may be in memory at once.
MAX_LONG, SHORT = 64, 64 * 1024
# The status of a request whose client hung up, as gateways count it.
CLIENT_CLOSED = 499


def application(service: Service) -> FastAPI:  # noqa: C901 - a list of small routes
    """Return a service's application. Until the service is loaded, it is not ready."""
    batches = Batches(service.predict, MAX_BATCH, MAX_BATCH_BYTES, service.settings.max_queue)
    long = asyncio.Semaphore(MAX_LONG)
    app = FastAPI(title=NAME)
    app.state.service = service
    app.add_middleware(_Measured, service=service)

    def full() -> RefusedError:
        service.metrics.rejected.inc()
        return RefusedError(503, "too many requests wait; try again later")

    @app.exception_handler(RefusedError)
    async def refuse(_request: Request, refusal: RefusedError) -> JSONResponse:
        later = {"Retry-After": "1"} if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE else None
        return JSONResponse(refusal.body, refusal.status, later)

    @app.post("/predict", response_model=Answer, openapi_extra=requests.describe())
    async def predict(request: Request) -> Response:
        """Score between one and a thousand rows."""
        body, seconds = bytearray(), service.settings.read_seconds
        short = int(request.headers.get("content-length", requests.MAX_BODY)) <= SHORT
        if long.locked() and not short:
            raise full()
        try:
            async with contextlib.nullcontext() if short else long:
                async with asyncio.timeout(seconds):
                    async for part in request.stream():
                        body += part
                        if len(body) > requests.MAX_BODY:
                            most = f"{requests.MAX_BODY // 1024} KiB"
                            raise RefusedError(413, f"the body is larger than {most}")
                answer = await batches.ask(bytes(body))
        except FullError:
            raise full() from None
        except TimeoutError:
            raise RefusedError(408, f"the body took more than {seconds:g} seconds") from None
        except ClientDisconnect:
            raise RefusedError(CLIENT_CLOSED, "the client has gone") from None
        return Response(answer.model_dump_json(), media_type="application/json")

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Tell that the process is alive."""
        return {"status": "alive"}

    @app.get("/readyz", responses={503: requests.refusal("It is not ready.")})
    async def readyz() -> dict[str, str]:
        """Tell whether it can predict: 503 with the reason while it cannot."""
        if service.bundle is None:
            raise RefusedError(503, f"not ready: {service.reason}")
        digest = service.bundle.manifest.model_digest
        which = {"model_version": service.version, "model_digest": digest, "bundle": service.files}
        return {"status": "ready", **which}

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Show everything measured, for Prometheus."""
        text = await run_in_threadpool(service.exposition)
        return Response(text, media_type=CONTENT_TYPE)

    return app


class _Measured:
    """Counts and times every request; asks clients to hang up once the service is to end."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in PATHS else OTHER
        start, status = time.perf_counter(), 500
        app, settings = self.app, self.service.settings
        if settings.metrics_port and scope["server"][1] == settings.port and path not in PUBLIC:
            app = JSONResponse({"detail": "Not Found"}, 404)

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self.service.draining:
                    message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            await send(message)

        try:
            await app(scope, receive, watch)
        finally:
            if status == CLIENT_CLOSED:
                path = OTHER  # for alerts and canaries it is neither an answer nor an error
            self.service.metrics.requests.labels(path, str(status)).inc()
            self.service.metrics.seconds.labels(path).observe(time.perf_counter() - start)
