"""The routes: POST /predict for clients, and /healthz, /readyz and /metrics for operators."""

import contextlib
import gc
import time
from collections.abc import AsyncIterator
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
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
PATHS = ("/predict", "/healthz", "/readyz", "/metrics")


def application(service: Service) -> FastAPI:  # noqa: C901 - a list of small routes
    """Return a service's application. Until the service is loaded, it is not ready."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        # What is loaded by now stays: no request has to wait while it is searched for garbage.
        gc.collect()
        gc.freeze()
        yield

    batches = Batches(service.predict, MAX_BATCH, MAX_BATCH_BYTES, service.settings.max_queue)
    app = FastAPI(title=NAME, lifespan=lifespan)
    app.state.service = service
    app.add_middleware(_Measured, service=service)

    @app.exception_handler(RefusedError)
    async def refuse(_request: Request, refusal: RefusedError) -> JSONResponse:
        later = {"Retry-After": "1"} if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE else None
        return JSONResponse(refusal.body, refusal.status, later)

    @app.post("/predict", response_model=Answer, openapi_extra={"requestBody": requests.describe()})
    async def predict(request: Request) -> Response:
        """Score between one and a thousand rows."""
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > requests.MAX_BODY:
                raise RefusedError(413, f"the body is larger than {requests.MAX_BODY // 1024} KiB")
        try:
            answer = await batches.ask(bytes(body))
        except FullError:
            service.metrics.rejected.inc()
            raise RefusedError(503, "too many requests wait; try again later") from None
        return Response(answer.model_dump_json(), media_type="application/json")

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Tell that the process is alive."""
        return {"status": "alive"}

    @app.get("/readyz")
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

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self.service.draining:
                    message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            await send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            self.service.metrics.requests.labels(path, str(status)).inc()
            self.service.metrics.seconds.labels(path).observe(time.perf_counter() - start)
