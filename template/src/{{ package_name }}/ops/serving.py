"""The service: POST /predict, and what those who run it need: /healthz, /readyz and /metrics.

It answers nothing before it has proven that the model is the one that was registered and that
the features are computed by the code that the model was trained with.
"""

import argparse
import asyncio
import json
import logging
import math
import os
import signal
import socket
import sys
import threading
import time
import traceback
import uuid
from collections import Counter as Tally
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd
import prometheus_client as prometheus
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import features, model, schema

from . import dataset, drift, pipeline, predictions, provenance, supervisor
from .errors import UserError
from .settings import NAME, Settings
from .settings import settings as load_settings

MAX_ROWS = 1000
MAX_BODY = 1024 * 1024
MAX_VIOLATIONS = 50
# The drift gauges look at this many last rows, and say nothing before there are so many.
WINDOW, ENOUGH = 1000, 100
# Seconds for which a server that was told to end lets its clients hang up by themselves.
DRAIN_SECONDS = 10.0
LARGEST = {"i": 2**63 - 1, "u": 2**64 - 1, "f": sys.float_info.max}
PATHS = ("/predict", "/healthz", "/readyz", "/metrics")

log = logging.getLogger("uvicorn.error")


class Prediction(BaseModel):
    """One row's answer."""

    prediction_id: str
    score: float


class Answer(BaseModel):
    """Predictions in the order of the rows, and which model made them."""

    predictions: list[Prediction]
    model_version: str
    model_digest: str
    run_id: str | None


class Refusal(Exception):
    """A request that gets no prediction: the status and the body of its answer."""

    def __init__(self, status: int, detail: str, violations: list[dict[str, Any]] | None = None):
        """Say why in `detail`, and for a 422 also where."""
        super().__init__(detail)
        self.status = status
        self.body = {"detail": detail, **({"violations": violations} if violations else {})}


class Metrics:
    """Everything that /metrics shows, in a registry of its own."""

    def __init__(self) -> None:
        """Start at zero."""
        self.registry = registry = prometheus.CollectorRegistry()
        self.requests = prometheus.Counter(
            "ml_requests", "Answered requests", ["path", "status"], registry=registry
        )
        self.seconds = prometheus.Histogram(
            "ml_request_seconds", "Time to answer a request", ["path"], registry=registry,
            buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
        )  # fmt: skip
        self.rows = prometheus.Counter("ml_rows", "Rows with a prediction", registry=registry)
        self.violations = prometheus.Counter(
            "ml_schema_violations", "Broken rules of the input schema", ["column"],
            registry=registry,
        )  # fmt: skip
        self.nonfinite = prometheus.Counter(
            "ml_nonfinite", "Values that are no finite number", ["where"], registry=registry
        )
        self.errors = prometheus.Counter(
            "ml_scoring_errors", "Requests on which the model or a feature failed",
            registry=registry,
        )  # fmt: skip
        self.unlogged = prometheus.Counter(
            "ml_unlogged_predictions", "Predictions that could not be logged", registry=registry
        )
        self.scores = prometheus.Histogram(
            "ml_score", "Predicted scores", registry=registry,
            buckets=[step / 10 for step in range(1, 11)],
        )  # fmt: skip
        self.drift = prometheus.Gauge(
            "ml_drift_psi", f"Population stability index of the last {WINDOW} rows against training",
            ["kind", "column"], registry=registry,
        )  # fmt: skip
        self.age = prometheus.Gauge("ml_model_age_days", "Days since training", registry=registry)
        self.ready = prometheus.Gauge("ml_ready", "1 when it can predict", registry=registry)
        self.info = prometheus.Gauge(
            "ml_model_info", "The model that answers", ["version", "digest", "run_id", "commit"],
            registry=registry,
        )  # fmt: skip
        for where in ("input", "feature", "score"):
            self.nonfinite.labels(where)
        for column in (*INPUTS, OTHER):
            self.violations.labels(column)


class Service:
    """One bundle and everything that happens to a request."""

    def __init__(self, settings: Settings, folder: Path, version: str | None = None) -> None:
        """Serve the bundle in `folder`; `load` it first."""
        self.settings = settings
        self.folder = folder
        self.version = version or "unregistered"
        self.run_id: str | None = None
        self.metrics = Metrics()
        self.bundle: pipeline.Bundle | None = None
        self.reason = "the model is being loaded"
        self.draining = False
        self.window: dict[str, deque[pd.DataFrame]] = {"input": deque(), "feature": deque()}
        self.lock = threading.Lock()

    def load(self) -> None:
        """Load and verify the bundle. Raises UserError, and stays unready, if it is not right."""
        try:
            bundle = pipeline.load_bundle(self.folder)
            self._verify(bundle)
            self._identify(bundle)
        except UserError as error:
            self.reason = str(error)
            raise
        except Exception as error:
            what = " ".join(str(error).split()) or type(error).__name__
            self.reason = f"{self.folder} cannot be loaded: {what}"
            raise UserError(self.reason) from error
        digest = bundle.manifest.model_digest
        self.predictions = (
            predictions.Log(self.settings.var_dir, self.version, digest)
            if self.settings.log_predictions
            else None
        )
        self.metrics.info.labels(
            self.version, digest, self.run_id or "", bundle.manifest.code.commit or ""
        ).set(1)
        self.bundle, self.reason = bundle, ""

    def predict(self, body: bytes) -> Answer:
        """Check, score and log the rows of a request. Raises Refusal."""
        if self.bundle is None:
            raise Refusal(503, f"not ready: {self.reason}")
        rows = self._rows(body)
        x, scores = self._score(self.bundle, rows)
        with self.lock:
            for kind, frame in (("input", rows), ("feature", x)):
                self.window[kind].append(frame)
                while sum(map(len, self.window[kind])) - len(self.window[kind][0]) >= WINDOW:
                    self.window[kind].popleft()
        self.metrics.rows.inc(len(rows))
        for score in scores:
            self.metrics.scores.observe(score)
        ids = [uuid.uuid4().hex for _ in scores]
        if self.predictions:
            try:
                self.predictions.predictions(ids, x, scores)
            except OSError as error:  # monitoring suffers, the caller does not
                self.metrics.unlogged.inc(len(ids))
                log.error("predictions could not be logged: %s", error)
        return Answer(
            predictions=[
                Prediction(prediction_id=name, score=float(score))
                for name, score in zip(ids, scores, strict=True)
            ],
            model_version=self.version,
            model_digest=self.bundle.manifest.model_digest,
            run_id=self.run_id,
        )

    def exposition(self) -> bytes:
        """Return what /metrics shows, with the gauges brought up to date."""
        self.metrics.ready.set(self.bundle is not None)
        if self.bundle:
            age = datetime.now(UTC) - self.bundle.manifest.created
            self.metrics.age.set(age.total_seconds() / 86400)
            for kind, frames in self.window.items():
                with self.lock:
                    rows = pd.concat(frames).tail(WINDOW) if frames else pd.DataFrame()
                if len(rows) < ENOUGH:
                    continue
                for column, about in self.bundle.reference[f"{kind}s"].items():
                    moved = drift.gauge(about, rows[column])
                    self.metrics.drift.labels(kind, column).set(moved)
        return prometheus.generate_latest(self.metrics.registry)

    def _verify(self, bundle: pipeline.Bundle) -> None:
        recorded = bundle.manifest
        if (found := provenance.digest(bundle.model)) != recorded.model_digest:
            raise UserError(
                f"the model in {self.folder} has digest {found[:12]}, not {recorded.model_digest[:12]} "
                "as its manifest says; fetch it again"
            )
        if provenance.features_sha256() != recorded.code.features_sha256:
            raise UserError(
                "the features are not computed as in training: features.py or ops/features.py is "
                f"not the code of commit {(recorded.code.commit or 'none')[:12]}; serve with that code"
            )

    def _identify(self, bundle: pipeline.Bundle) -> None:
        """Learn version and run from release.json, which a deployment puts beside the bundle."""
        path = self.folder.parent / "release.json"
        if not path.exists():
            return
        try:
            release = json.loads(path.read_text(encoding="utf-8"))
            self.version, self.run_id = str(release["version"]), str(release["run_id"])
            digest = str(release["digest"])
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path} is damaged; deploy again") from None
        if digest != bundle.manifest.model_digest:
            raise UserError(f"{path} is about another model than the bundle beside it; deploy again")

    def _rows(self, body: bytes) -> pd.DataFrame:
        """Return the rows of a request as the schema types them."""
        try:
            sent = json.loads(body)
        except (ValueError, RecursionError):
            raise Refusal(400, "the body is not JSON") from None
        rows = sent.get("rows") if isinstance(sent, dict) and set(sent) == {"rows"} else None
        if not isinstance(rows, list):
            raise Refusal(422, 'the body must be {"rows": [{…}, …]}')
        if not 1 <= len(rows) <= MAX_ROWS:
            raise Refusal(422, f"between 1 and {MAX_ROWS} rows a request; there are {len(rows)}")
        broken = [violation for number, row in enumerate(rows) for violation in _misfits(number, row)]
        if not broken:
            columns = [name for name in INPUTS if any(name in row for row in rows)]
            frame, rules = dataset.validate(
                pd.DataFrame({name: [row.get(name) for row in rows] for name in columns}),
                schema.Inputs,
            )
            broken = [(at, v.column, v.rule) for v in rules for at in (v.rows or [None])]
        if broken:
            self._count(broken)
            shown = [
                {"row": row, "column": column, "reason": reason}
                for row, column, reason in broken[:MAX_VIOLATIONS]
            ]
            raise Refusal(422, _summary(broken), shown)
        return frame

    def _count(self, broken: "list[Misfit]") -> None:
        for column, times in Tally(column for _, column, _ in broken).items():
            self.metrics.violations.labels(column if column in INPUTS else OTHER).inc(times)
        bad = sum(reason == NOT_FINITE for *_, reason in broken)
        self.metrics.nonfinite.labels("input").inc(bad)

    def _score(self, bundle: pipeline.Bundle, rows: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
        try:
            x = features.features.build(rows)
            self.metrics.nonfinite.labels("feature").inc(int((~np.isfinite(x.to_numpy())).sum()))
            scores = np.asarray(model.predict(bundle.model, x), dtype="float64")
        except Exception as error:
            # Without the error's own words: they may hold values.
            where = "".join(traceback.format_tb(error.__traceback__)[-1:]).strip()
            log.error("scoring failed: %s at %s", type(error).__name__, where)
            self._failed("scoring failed")
            raise Refusal(500, f"scoring failed: {type(error).__name__}") from None
        if scores.shape != (len(rows),):
            self._failed("scores of the wrong shape")
            raise Refusal(500, f"the model gave shape {scores.shape} for {len(rows)} rows")
        if bad := np.flatnonzero(~np.isfinite(scores)).tolist():
            self.metrics.nonfinite.labels("score").inc(len(bad))
            self._failed("score not finite")
            raise Refusal(500, f"the score of row {bad[0]} is not a finite number; none is returned")
        return x, scores

    def _failed(self, what: str) -> None:
        self.metrics.errors.inc()
        if self.predictions:
            try:
                self.predictions.problem(what)
            except OSError:
                self.metrics.unlogged.inc()


def create_app(settings: Settings, folder: Path, version: str | None = None) -> FastAPI:
    """Return the application for the bundle in `folder`, which it loads when it starts."""
    return application(Service(settings, folder, version))


def application(service: Service) -> FastAPI:
    """Return the application of a service; one that is not loaded loads while it already answers."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if service.bundle is None:
            threading.Thread(target=_load_and_tell, args=(service,), daemon=True).start()
        yield

    app = FastAPI(title=NAME, lifespan=lifespan)
    app.state.service = service
    app.add_middleware(_Measured, service=service)

    @app.exception_handler(Refusal)
    async def refuse(_request: Request, refusal: Refusal) -> JSONResponse:
        return JSONResponse(refusal.body, refusal.status)

    @app.post("/predict", response_model=Answer, openapi_extra={"requestBody": REQUEST})
    async def predict(request: Request) -> Response:
        """Score between one and MAX_ROWS rows."""
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY:
                raise Refusal(413, f"the body is larger than {MAX_BODY // 1024} KiB")
        answer = await run_in_threadpool(service.predict, bytes(body))
        return Response(answer.model_dump_json(), media_type="application/json")

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Tell that the process is alive."""
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        """Tell whether it can predict: 503 with the reason while it cannot."""
        if service.bundle is None:
            raise Refusal(503, f"not ready: {service.reason}")
        digest = service.bundle.manifest.model_digest
        return {"status": "ready", "model_version": service.version, "model_digest": digest}

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Show everything measured, for Prometheus."""
        text = await run_in_threadpool(service.exposition)
        return Response(text, media_type=prometheus.CONTENT_TYPE_LATEST)

    return app


def run(
    settings: Settings,
    folder: Path,
    host: str,
    port: int,
    version: str | None = None,
    *,
    fd: int | None = None,
    control: int | None = None,
) -> None:
    """Load the bundle, then serve until told to end.

    A supervisor gives the listening socket `fd` and the socket `control`: on that it is told
    `ready` or why not, and closing it ends the service. Raises UserError if the bundle is not
    right or the port is taken.
    """
    line = socket.socket(fileno=control) if control is not None else None
    service = Service(settings, folder, version)
    try:
        listener = socket.socket(fileno=fd) if fd is not None else _listen(host, port)
        service.load()
    except UserError as error:
        if line:
            line.sendall(f"error: {error}\n".encode())
        raise
    config = uvicorn.Config(application(service), access_log=False, log_level=settings.log_level)
    if line is None:
        print(f"{NAME} {service.version} answers on http://{host}:{port}/predict", flush=True)
    _Server(config, service, line).run([listener])


def main() -> None:
    """Serve a bundle as a supervisor asks for it; people use the command line's `serve`."""
    parser = argparse.ArgumentParser(prog="serving", description=main.__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--control", type=int, required=True)
    given = parser.parse_args()
    try:
        run(load_settings(), given.bundle, "", 0, fd=given.fd, control=given.control)
    except UserError as error:
        sys.exit(f"error: {error}")


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


class _Server(uvicorn.Server):
    """Uvicorn that ends without dropping a request: clients hang up, not the server."""

    def __init__(self, config: uvicorn.Config, service: Service, line: socket.socket | None) -> None:
        super().__init__(config)
        self.service, self.line = service, line

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.service.draining = sig == signal.SIGTERM
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.line:
            self.line.sendall(b"ready\n")
            threading.Thread(target=self._watch_line, args=(self.line,), daemon=True).start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        # No more from the shared socket. What asyncio has accepted but not set up yet needs the
        # servers to stay open for an instant.
        for listener in sockets or []:
            loop.remove_reader(listener.fileno())
        await asyncio.sleep(0.1)
        end = loop.time() + DRAIN_SECONDS
        while self.service.draining and self.server_state.connections and loop.time() < end:
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)

    @staticmethod
    def _watch_line(line: socket.socket) -> None:
        while line.recv(64):
            pass
        os.kill(os.getpid(), signal.SIGTERM)


Misfit = tuple[int | None, str | None, str]
INPUTS = schema.Inputs.to_schema().columns
OTHER = "other"
NOT_FINITE = "must be a finite number"


def _request_schema() -> dict[str, Any]:
    """Describe the request body for /docs."""
    types = {"i": "integer", "u": "integer", "f": "number", "b": "boolean"}
    properties = {
        name: {
            "type": types.get(_kind(column), "string"),
            **({"description": column.description} if column.description else {}),
        }
        for name, column in INPUTS.items()
    }
    required = [name for name, column in INPUTS.items() if column.required]
    row = {"type": "object", "properties": properties, "required": required,
           "additionalProperties": False}  # fmt: skip
    rows = {"type": "array", "items": row, "minItems": 1, "maxItems": MAX_ROWS}
    body = {"type": "object", "properties": {"rows": rows}, "required": ["rows"]}
    return {"required": True, "content": {"application/json": {"schema": body}}}


def _kind(column: Any) -> str:
    """Return numpy's letter for a column's kind: i, u, f, b, or O for text and all else."""
    return str(getattr(getattr(column.dtype, "type", None), "kind", "O"))


def _misfits(number: int, row: object) -> list[Misfit]:
    """Find what pandas would silently make something of: other columns, text for numbers, NaN."""
    if not isinstance(row, Mapping):
        return [(number, None, "must be an object")]
    found: list[Misfit] = [
        (number, name[:64], "is not a column of the schema") for name in row if name not in INPUTS
    ]
    for name, column in INPUTS.items():
        if name not in row:
            if column.required:
                found.append((number, name, "is missing"))
            continue
        value, kind = row[name], _kind(column)
        if value is None:
            if not column.nullable:
                found.append((number, name, "is null"))
        elif isinstance(value, dict | list):
            found.append((number, name, "must be a single value"))
        elif kind in LARGEST:
            if isinstance(value, bool | str):
                found.append((number, name, "must be a number"))
            elif not abs(value) <= LARGEST[kind]:
                found.append((number, name, NOT_FINITE))
            elif kind != "f" and not math.floor(value) == value:
                found.append((number, name, "must be a whole number"))
    return found


def _summary(broken: list[Misfit]) -> str:
    row, column, reason = broken[0]
    where = ", ".join(
        f"{what} {name}" for what, name in (("row", row), ("column", column)) if name is not None
    )
    more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
    return f"{where}: {reason}{more}" if where else f"{reason}{more}"


def _load_and_tell(service: Service) -> None:
    try:
        service.load()
    except UserError as error:
        log.error("error: %s", error)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return supervisor.bind(host, port)
    except OSError as error:
        raise UserError(
            f"{host}:{port} cannot be used ({error.strerror}); stop what uses it, or choose another "
            "with --port or ML_PORT"
        ) from None


REQUEST = _request_schema()

if __name__ == "__main__":
    main()
