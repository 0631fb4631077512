"""What the service measures about itself, as Prometheus reads it from /metrics."""

from collections.abc import Sequence
from functools import partial

import prometheus_client as prometheus

from ..core.settings import NAME

CONTENT_TYPE = prometheus.CONTENT_TYPE_LATEST
OTHER = "other"
# Bounds of the histogram of request times, in seconds.
SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class Metrics:
    """Every counter, histogram and gauge, in a registry of its own; all names start with `ml_`."""

    def __init__(self, columns: list[str]) -> None:
        """Start at zero. `columns` are those whose broken rules are counted by name."""
        self.registry = prometheus.CollectorRegistry()
        counter = partial(prometheus.Counter, registry=self.registry)
        gauge = partial(prometheus.Gauge, registry=self.registry)
        self.histogram = partial(prometheus.Histogram, registry=self.registry)
        self.requests = counter("ml_requests", "Requests answered", ["path", "status"])
        self.seconds = self.histogram(
            "ml_request_seconds", "Time to answer a request", ["path"], buckets=SECONDS
        )
        self.rows = counter("ml_rows", "Rows scored")
        self.violations = counter(
            "ml_schema_violations", "Broken rules of the input schema", ["column"]
        )
        self.nonfinite = counter(
            "ml_nonfinite", "Values that are no finite number, by where they stood", ["kind"]
        )
        self.rejected = counter("ml_rejected_requests", "Requests refused as too many waited")
        self.failures = counter(
            "ml_scoring_failures", "Requests on which a feature or the model failed"
        )
        self.unlogged = counter("ml_unlogged_predictions", "Predictions that could not be logged")
        self.scores: prometheus.Histogram | None = None
        self.drift = gauge(
            "ml_drift_psi",
            "Population stability index of the last rows against training",
            ["kind", "column"],
        )
        self.quality = gauge(
            "ml_quality_drop", "How much lower the metric is on late labels than on the holdout"
        )
        self.quality_limit = gauge("ml_quality_drop_limit", "How much lower params.yaml lets it be")
        self.age = gauge("ml_model_age_days", "Days since training")
        self.ready = gauge("ml_ready", "1 when it can predict")
        self.info = gauge(
            "ml_model_info",
            f"The model of {NAME} that answers",
            ["version", "digest", "run_id", "commit"],
        )
        # A series that is there from the start shows its first increase.
        for kind in ("input", "feature", "score"):
            self.nonfinite.labels(kind)
        for column in (*columns, OTHER):
            self.violations.labels(column)

    def expect_scores(self, edges: Sequence[float]) -> None:
        """Count scores between `edges`, the deciles that they had on the holdout."""
        self.scores = self.histogram(
            "ml_score",
            "Scores; of several classes that of the likeliest",
            buckets=edges or [step / 10 for step in range(1, 11)],
        )

    def exposition(self) -> bytes:
        """Return everything in Prometheus's text format, CONTENT_TYPE."""
        return prometheus.generate_latest(self.registry)
