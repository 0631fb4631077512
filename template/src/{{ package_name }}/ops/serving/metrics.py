"""What the service measures about itself, as Prometheus reads it from /metrics."""

from collections.abc import Sequence

import prometheus_client as prometheus

from ..core.settings import NAME

OTHER = "other"


class Metrics:
    """Every counter, histogram and gauge, in a registry of its own; all names start with `ml_`."""

    def __init__(self, columns: list[str]) -> None:
        """Start at zero. `columns` are those whose broken rules are counted by name."""
        self.registry = own = prometheus.CollectorRegistry()
        self.requests = prometheus.Counter(
            "ml_requests", "Requests answered", ["path", "status"], registry=own
        )
        self.seconds = prometheus.Histogram(
            "ml_request_seconds",
            "Time to answer a request",
            ["path"],
            buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
            registry=own,
        )
        self.rows = prometheus.Counter("ml_rows", "Rows scored", registry=own)
        self.violations = prometheus.Counter(
            "ml_schema_violations", "Broken rules of the input schema", ["column"], registry=own
        )
        self.nonfinite = prometheus.Counter(
            "ml_nonfinite",
            "Values that are no finite number, by where they stood",
            ["kind"],
            registry=own,
        )
        self.rejected = prometheus.Counter(
            "ml_rejected_requests", "Requests refused as too many waited", registry=own
        )
        self.failures = prometheus.Counter(
            "ml_scoring_failures", "Requests on which a feature or the model failed", registry=own
        )
        self.unlogged = prometheus.Counter(
            "ml_unlogged_predictions", "Predictions that could not be logged", registry=own
        )
        self.scores: prometheus.Histogram | None = None
        self.drift = prometheus.Gauge(
            "ml_drift_psi",
            "Population stability index of the last rows against training",
            ["kind", "column"],
            registry=own,
        )
        self.quality = prometheus.Gauge(
            "ml_quality_drop",
            "How much lower the metric is on late labels than on the holdout",
            registry=own,
        )
        self.quality_limit = prometheus.Gauge(
            "ml_quality_drop_limit", "How much lower params.yaml lets it be", registry=own
        )
        self.age = prometheus.Gauge("ml_model_age_days", "Days since training", registry=own)
        self.ready = prometheus.Gauge("ml_ready", "1 when it can predict", registry=own)
        self.info = prometheus.Gauge(
            "ml_model_info",
            f"The model of {NAME} that answers",
            ["version", "digest", "run_id", "commit"],
            registry=own,
        )
        # A series that is there from the start shows its first increase.
        for kind in ("input", "feature", "score"):
            self.nonfinite.labels(kind)
        for column in (*columns, OTHER):
            self.violations.labels(column)

    def expect_scores(self, edges: Sequence[float]) -> None:
        """Count scores between `edges`, the deciles that they had on the holdout."""
        self.scores = prometheus.Histogram(
            "ml_score",
            "Scores; of several classes that of the likeliest",
            buckets=edges or [step / 10 for step in range(1, 11)],
            registry=self.registry,
        )

    def exposition(self) -> bytes:
        """Return everything in Prometheus's text format, CONTENT_TYPE."""
        return prometheus.generate_latest(self.registry)


CONTENT_TYPE = prometheus.CONTENT_TYPE_LATEST
