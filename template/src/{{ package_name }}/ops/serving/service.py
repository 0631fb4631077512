"""The service: one bundle, the proof that it is right, and the record of what is answered."""

import json
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ..core.errors import UserError, clean
from ..core.files import load_json, sha256_folder
from ..core.settings import Settings
from ..data.distributions import gauge
from ..data.values import NOT_FINITE
from ..provenance.manifest import Manifest
from ..training import evaluation
from ..training.bundle import Bundle, load_bundle
from . import prediction_log, requests
from .answers import Answer, Predictor, Scored, ScoringError, answer
from .metrics import OTHER, Metrics
from .prediction_log import Log, records
from .requests import RefusedError

# The drift gauges look at this many last rows, and say nothing before there are so many.
WINDOW, ENOUGH = 1000, 100

log = logging.getLogger("uvicorn.error")


class Service:
    """One bundle and everything that happens to a request."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        """Serve the bundle in `folder`; `load` it first."""
        self.settings = settings
        self.folder = folder
        self.version = "unregistered"
        self.run_id: str | None = None
        self.files = ""
        self.metrics = Metrics(list(requests.COLUMNS))
        self.bundle: Bundle | None = None
        self.predictor: Predictor | None = None
        self.predictions: Log | None = None
        self.reason = "the model is being loaded"
        # While it is tried out, its answers are not for the record.
        self.live = True
        self.draining = False
        self.window: dict[str, deque[dict[str, Any]]] = {
            kind: deque(maxlen=WINDOW) for kind in ("input", "feature", "score")
        }
        self.lock = threading.Lock()

    def load(self) -> None:
        """Load the bundle and prove it. Raises UserError, and stays unready, if it is not right."""
        try:
            self._identify()
            bundle = load_bundle(self.folder)
            digest = bundle.manifest.model_digest
            predictor = Predictor(bundle.model, self.version, digest, self.run_id)
            prove(bundle, predictor)
        except UserError as error:
            self.reason = str(error)
            raise
        except Exception as error:
            what = clean(error) or type(error).__name__
            self.reason = f"{self.folder} cannot be loaded: {what}"
            raise UserError(self.reason) from error
        if self.settings.log_predictions:
            days, size = self.settings.keep_predictions_days, self.settings.keep_predictions_mb
            self.predictions = Log(self.settings.var_dir, self.version, digest, days, size * 10**6)
        self.metrics.info.labels(
            self.version, digest, self.run_id or "", bundle.manifest.code.commit or ""
        ).set(1)
        scored = bundle.reference.get("scores", {}).get("score", {})
        self.metrics.expect_scores(scored.get("edges", []))
        self.bundle, self.predictor, self.reason = bundle, predictor, ""

    def predict(self, bodies: Sequence[bytes]) -> list[Answer | RefusedError]:
        """Check, score and record the rows of requests; return an answer or an error for each."""
        if self.predictor is None:
            return [RefusedError(503, f"not ready: {self.reason}")] * len(bodies)
        outcome = answer(self.predictor, bodies)
        for refused in outcome.answers:
            if isinstance(refused, RefusedError):
                self._count(refused)
        if self.live:
            for scored in outcome.scored:
                self._record(scored)
        return outcome.answers

    def exposition(self) -> bytes:
        """Return what /metrics shows, with the gauges brought up to date."""
        self.metrics.ready.set(self.bundle is not None)
        if self.bundle:
            age = datetime.now(UTC) - self.bundle.manifest.created
            self.metrics.age.set(age.total_seconds() / 86400)
            digest = self.bundle.manifest.model_digest
            drop = prediction_log.quality_drop(self.settings.var_dir, digest)
            if drop is not None:
                limit = self.settings.params.monitoring.max_quality_drop
                self.metrics.quality.set(drop)
                self.metrics.quality_limit.set(limit)
            for kind, window in self.window.items():
                with self.lock:
                    rows = pd.DataFrame(list(window))
                if len(rows) >= ENOUGH:
                    for column, about in self.bundle.reference.get(f"{kind}s", {}).items():
                        moved = gauge(about, rows[column])
                        self.metrics.drift.labels(kind, column).set(moved)
        return self.metrics.exposition()

    def _identify(self) -> None:
        """Take version and run from the release around the bundle, if there is one.

        Raises UserError where the bundle's files are not the release's.
        """
        path = self.folder.parent / "release.json"
        if not path.exists():
            return
        try:
            release = json.loads(path.read_text(encoding="utf-8"))
            self.version, self.run_id = str(release["version"]), str(release["run_id"])
            digest, self.files = str(release["digest"]), str(release["bundle"])
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path} is damaged; deploy again") from None
        made = load_json(self.folder / "provenance.json", Manifest)
        if (digest, self.files) != (made.model_digest, sha256_folder(self.folder)):
            raise UserError(f"{path} and the bundle beside it are not of one model; deploy again")

    def _record(self, scored: Scored) -> None:
        """Remember what was answered, for the gauges and for monitoring."""
        highest = evaluation.highest(scored.scores).tolist()
        inputs, features = records(scored.rows), records(scored.x)
        with self.lock:
            self.window["input"].extend(inputs)
            self.window["feature"].extend(features)
            self.window["score"].extend({"score": score} for score in highest)
        self.metrics.rows.inc(len(scored.rows))
        self.metrics.nonfinite.labels("feature").inc(scored.nonfinite)
        if self.metrics.scores:
            for score in highest:
                self.metrics.scores.observe(score)
        self._keep(len(scored.ids), Log.predictions, scored.ids, scored.x, scored.scores)

    def _count(self, refused: RefusedError) -> None:
        """Count what is wrong with a request, and log a failure that is the service's own."""
        columns = (violation.column for violation in refused.violations)
        for column, times in Counter(columns).items():
            known = column if column in requests.COLUMNS else OTHER
            self.metrics.violations.labels(known).inc(times)
        bad = sum(violation.rule == NOT_FINITE for violation in refused.violations)
        self.metrics.nonfinite.labels("input").inc(bad)
        if not isinstance(refused, ScoringError):
            return
        for kind, times in refused.nonfinite.items():
            self.metrics.nonfinite.labels(kind).inc(times)
        self.metrics.failures.inc()
        if refused.where:
            log.error("%s: %s", refused.problem, refused.where)
        self._keep(1, Log.problem, refused.problem)

    def _keep(self, rows: int, write: Callable[..., None], *what: Any) -> None:
        """Have the log write something, if there is one; where that fails, monitoring suffers."""
        try:
            if self.predictions:
                write(self.predictions, *what)
        except OSError as error:
            self.metrics.unlogged.inc(rows)
            log.error("predictions not logged: %s", error)  # noqa: TRY400 - the reason is in it


def prove(bundle: Bundle, predictor: Predictor) -> None:
    """Replay the bundle's golden rows as a request. Raises UserError where a score differs."""
    body = json.dumps({"rows": bundle.golden.inputs}).encode()
    (given,) = answer(predictor, [body]).answers
    if isinstance(given, RefusedError):
        if isinstance(given, ScoringError) and given.where:
            log.error("%s: %s", given.problem, given.where)
        raise UserError(f"golden predictions: {given}")
    bundle.golden.compare([prediction.score for prediction in given.predictions])
