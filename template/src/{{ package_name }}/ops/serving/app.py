"""The service: POST /predict, and what those who run it need: /healthz, /readyz and /metrics.

It answers nothing before it has proven that the model is the one that was registered, and that
the features are computed by the code that the model was trained with.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..core.errors import UserError
from ..core.files import write_json
from ..core.project import features, model
from ..core.settings import NAME, Settings
from ..core.settings import settings as load_settings
from ..data.distributions import gauge
from ..provenance.manifest import features_sha256
from ..training import evaluation
from ..training.bundle import Bundle, load_bundle
from . import prediction_log, requests, supervisor
from .batching import Batches
from .metrics import CONTENT_TYPE, OTHER, Instruments
from .requests import RefusedError

# The drift gauges look at this many last rows, and say nothing before there are so many.
WINDOW, ENOUGH = 1000, 100
# Seconds for which a server that was told to end lets its clients hang up by themselves.
DRAIN_SECONDS = 10.0
# How many requests are answered together at most, and how many bytes unless one alone has more.
MAX_BATCH, MAX_BATCH_BYTES = 64, 128 * 1024
PATHS = ("/predict", "/healthz", "/readyz", "/metrics")

log = logging.getLogger("uvicorn.error")


class Prediction(BaseModel):
    """One row's answer: a score, or one for each class, and the label that it stands for."""

    prediction_id: str
    score: float | list[float]
    label: bool | int | float | str


class Answer(BaseModel):
    """Predictions in the order of the rows, and which model made them."""

    predictions: list[Prediction]
    model_version: str
    model_digest: str
    run_id: str | None


class Service:
    """One bundle and everything that happens to a request."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        """Serve the bundle in `folder`; `load` it first."""
        self.settings = settings
        self.folder = folder
        self.version = "unregistered"
        self.run_id: str | None = None
        self.instruments = Instruments(list(requests.COLUMNS))
        self.bundle: Bundle | None = None
        self.reason = "the model is being loaded"
        # While it is tried out, its answers are not for the record.
        self.live = True
        self.draining = False
        self.window: dict[str, deque[dict[Hashable, Any]]] = {
            "input": deque(maxlen=WINDOW),
            "feature": deque(maxlen=WINDOW),
            "score": deque(maxlen=WINDOW),
        }
        self.lock = threading.Lock()

    def load(self) -> None:
        """Load and verify the bundle. Raises UserError, and stays unready, if it is not right."""
        try:
            bundle = load_bundle(self.folder)
            self._verify(bundle)
        except UserError as error:
            self.reason = str(error)
            raise
        except Exception as error:
            what = " ".join(str(error).split()) or type(error).__name__
            self.reason = f"{self.folder} cannot be loaded: {what}"
            raise UserError(self.reason) from error
        digest = bundle.manifest.model_digest
        self.predictions = (
            prediction_log.Log(
                self.settings.var_dir, self.version, digest, self.settings.keep_predictions_days
            )
            if self.settings.log_predictions
            else None
        )
        self.instruments.info.labels(
            self.version, digest, self.run_id or "", bundle.manifest.code.commit or ""
        ).set(1)
        scored = bundle.reference.get("scores", {}).get("score", {})
        self.instruments.expect_scores(scored.get("edges", []))
        self.bundle, self.reason = bundle, ""

    def predict(self, bodies: Sequence[bytes]) -> list[Answer | Exception]:
        """Check, score and log the rows of requests. What is wrong with one is no other's affair.

        An answer that is a RefusedError is to be told to who asked.
        """
        if self.bundle is None:
            return [RefusedError(503, f"not ready: {self.reason}")] * len(bodies)
        answers: dict[int, Answer | Exception] = {}
        alike: defaultdict[tuple[str, ...], dict[int, list[requests.Row]]] = defaultdict(dict)
        for number, body in enumerate(bodies):
            try:
                rows = requests.parse(body)
            except RefusedError as refused:
                self._count(refused)
                answers[number] = refused
            else:
                alike[tuple(requests.named(rows))][number] = rows
        for asked in alike.values():
            answers |= self._together(self.bundle, asked)
        return [answers[number] for number in range(len(bodies))]

    def _together(
        self, bundle: Bundle, asked: dict[int, list[requests.Row]]
    ) -> dict[int, Answer | Exception]:
        """Answer numbered requests whose rows have the same columns; what fails, in halves."""
        told: list[Callable[[], None]] = []
        every = [row for rows in asked.values() for row in rows]
        answers: dict[int, Answer | Exception] = {}
        failed: RefusedError | None = None
        try:
            rows = requests.check(every) if len(asked) == 1 else requests.accept(every)
            if rows is not None:
                x, scores, labels = self._score(bundle, rows, told)
                ids = [uuid.uuid4().hex for _ in every]
                answers = self._answers(bundle, asked, ids, scores, labels)
        except RefusedError as refused:
            failed = refused
        except Exception as error:  # noqa: BLE001 - it must not reach those who asked at the same time
            failed = RefusedError(500, f"answering failed: {type(error).__name__}")
            told.append(partial(self._failed, "answering failed", error))
        if not answers and len(asked) > 1:
            numbered = list(asked.items())
            half = len(numbered) // 2
            parts = (dict(numbered[:half]), dict(numbered[half:]))
            return self._together(bundle, parts[0]) | self._together(bundle, parts[1])
        for tell in told:
            tell()
        if failed:
            self._count(failed)
            return dict.fromkeys(asked, failed)
        if self.live and rows is not None:
            self._record(ids, rows, x, scores)
        return answers

    def _answers(
        self,
        bundle: Bundle,
        asked: dict[int, list[requests.Row]],
        ids: list[str],
        scores: np.ndarray,
        labels: list[Any],
    ) -> dict[int, Answer | Exception]:
        """Deal out what was found for all rows, in their order."""
        each_row = iter(zip(ids, scores.tolist(), labels, strict=True))
        return {
            number: Answer(
                predictions=[
                    Prediction(prediction_id=name, score=score, label=label)
                    for name, score, label in islice(each_row, len(own))
                ],
                model_version=self.version,
                model_digest=bundle.manifest.model_digest,
                run_id=self.run_id,
            )
            for number, own in asked.items()
        }

    def _record(
        self, ids: list[str], rows: pd.DataFrame, x: pd.DataFrame, scores: np.ndarray
    ) -> None:
        """Remember what was answered, for the gauges and for monitoring."""
        highest = evaluation.highest(scores).tolist()
        with self.lock:
            self.window["input"].extend(rows.tail(WINDOW).to_dict("records"))
            self.window["feature"].extend(x.tail(WINDOW).to_dict("records"))
            self.window["score"].extend({"score": score} for score in highest)
        self.instruments.rows.inc(len(rows))
        if self.instruments.scores:
            for score in highest:
                self.instruments.scores.observe(score)
        if self.predictions:
            try:
                self.predictions.predictions(ids, x, scores)
            except OSError as error:  # monitoring suffers, the caller does not
                self.instruments.unlogged.inc(len(ids))
                log.error("predictions not logged: %s", error)  # noqa: TRY400 - told in full

    def exposition(self) -> bytes:
        """Return what /metrics shows, with the gauges brought up to date."""
        self.instruments.ready.set(self.bundle is not None)
        if self.bundle:
            age = datetime.now(UTC) - self.bundle.manifest.created
            self.instruments.age.set(age.total_seconds() / 86400)
            for kind, window in self.window.items():
                with self.lock:
                    rows = pd.DataFrame(list(window))
                if len(rows) >= ENOUGH:
                    for column, about in self.bundle.reference.get(f"{kind}s", {}).items():
                        moved = gauge(about, rows[column])
                        self.instruments.drift.labels(kind, column).set(moved)
        return self.instruments.exposition()

    def _verify(self, bundle: Bundle) -> None:
        """Raise UserError unless this code, and the release around the bundle, are the model's."""
        recorded = bundle.manifest
        if features_sha256() != recorded.code.features_sha256:
            raise UserError(
                "features.py or ops/features.py is not as it was in training, so scores would be "
                f"wrong; serve with the code of commit {(recorded.code.commit or 'none')[:12]}"
            )
        path = self.folder.parent / "release.json"
        if not path.exists():
            return
        try:
            release = json.loads(path.read_text(encoding="utf-8"))
            self.version, self.run_id = str(release["version"]), str(release["run_id"])
            digest = str(release["digest"])
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path} is damaged; deploy again") from None
        if digest != recorded.model_digest:
            raise UserError(f"{path} and the bundle beside it are not of one model; deploy again")

    def _count(self, refused: RefusedError) -> None:
        columns = (misfit.column for misfit in refused.misfits)
        for column, times in Counter(columns).items():
            known = column if column in requests.COLUMNS else OTHER
            self.instruments.violations.labels(known).inc(times)
        bad = sum(misfit.reason == requests.NOT_FINITE for misfit in refused.misfits)
        self.instruments.nonfinite.labels("input").inc(bad)

    def _score(
        self, bundle: Bundle, rows: pd.DataFrame, told: list[Callable[[], None]]
    ) -> tuple[pd.DataFrame, np.ndarray, list[Any]]:
        """Return features, scores and labels, and in `told` what is then to be counted and logged.

        Raises RefusedError.
        """

        def failed(what: str, error: Exception | None = None) -> None:
            told.append(partial(self._failed, what, error))

        def not_finite(kind: str, times: int) -> None:
            told.append(partial(self.instruments.nonfinite.labels(kind).inc, times))

        try:
            x = features.features.build(rows)
            not_finite("feature", int((~np.isfinite(x.to_numpy())).sum()))
            scores = np.asarray(model.predict(bundle.model, x), dtype="float64")
            labels = model.decide(scores).tolist()
        except Exception as error:  # noqa: BLE001 - a feature or a model may raise anything
            failed("scoring failed", error)
            raise RefusedError(500, f"scoring failed: {type(error).__name__}") from None
        if not evaluation.shaped(scores, len(rows)):
            failed("scores of the wrong shape")
            raise RefusedError(500, f"the model gave shape {scores.shape} for {len(rows)} rows")
        if bad := np.flatnonzero(~np.isfinite(scores.reshape(len(rows), -1)).all(axis=1)).tolist():
            not_finite("score", len(bad))
            failed("score not finite")
            raise RefusedError(
                500, f"the score of row {bad[0]} is not a finite number; none is returned"
            )
        return x, scores, labels

    def _failed(self, what: str, error: Exception | None) -> None:
        self.instruments.failures.inc()
        if error:
            # Without the error's own words, which may hold values.
            where = "".join(traceback.format_tb(error.__traceback__)[-1:]).strip()
            log.error("%s: %s, %s", what, type(error).__name__, where)
        if self.predictions:
            try:
                self.predictions.problem(what)
            except OSError:
                self.instruments.unlogged.inc()


def application(service: Service) -> FastAPI:  # noqa: C901 - a list of small routes
    """Return a service's application. One that is not loaded loads while it already answers."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if service.bundle is None:
            threading.Thread(target=_load_and_tell, args=(service,), daemon=True).start()
        yield

    batches = Batches(service.predict, MAX_BATCH, MAX_BATCH_BYTES)
    app = FastAPI(title=NAME, lifespan=lifespan)
    app.state.service = service
    app.add_middleware(_Measured, service=service)

    @app.exception_handler(RefusedError)
    async def refuse(_request: Request, refusal: RefusedError) -> JSONResponse:
        return JSONResponse(refusal.body, refusal.status)

    @app.post("/predict", response_model=Answer, openapi_extra={"requestBody": requests.describe()})
    async def predict(request: Request) -> Response:
        """Score between one and a thousand rows."""
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > requests.MAX_BODY:
                raise RefusedError(413, f"the body is larger than {requests.MAX_BODY // 1024} KiB")
        answer = await batches.ask(bytes(body))
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
        return {"status": "ready", "model_version": service.version, "model_digest": digest}

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Show everything measured, for Prometheus."""
        text = await run_in_threadpool(service.exposition)
        return Response(text, media_type=CONTENT_TYPE)

    return app


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
            self.service.instruments.requests.labels(path, str(status)).inc()
            self.service.instruments.seconds.labels(path).observe(time.perf_counter() - start)


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


def _load_and_tell(service: Service) -> None:
    try:
        service.load()
    except UserError as error:
        log.error("%s", error)  # noqa: TRY400 - the reason is all there is to know


if __name__ == "__main__":
    main()
