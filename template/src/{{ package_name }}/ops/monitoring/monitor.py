"""Is the served model still what it was? Its age, its data's drift, its quality as labels come."""

import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core.errors import UserError, clean
from ..core.files import load_json, write_file
from ..core.project import schema
from ..core.settings import Params, Settings
from ..data import dataset
from ..data.distributions import Counts, Report
from ..data.values import listed
from ..provenance.manifest import Manifest
from ..serving import prediction_log
from . import drift

LABELS = ["prediction_id", "label"]


@dataclass(frozen=True)
class Health:
    """What was seen, as a table, and what of it needs somebody, a line each."""

    lines: list[str]
    findings: list[str]


def monitor(
    settings: Settings, labels: Path | None = None, reference: str = "champion", days: int = 30
) -> Health:
    """Look at what a registered version answered in the last `days` days, and at its labels.

    `labels` is a CSV file with the columns prediction_id and label. Raises UserError where that
    is not what the file holds, or there is no such version.
    """
    given = None if labels is None else read_labels(labels)
    name, manifest, trained = _trained(settings, reference)
    since = datetime.now(UTC).date() - timedelta(days=days)
    own = {"model_digest": manifest.model_digest}
    logged = partial(prediction_log.read, settings.var_dir, since, **own)
    parts = [age(manifest, settings.params)]
    parts.append(answers(logged(), trained["features"], settings.params))
    if given is not None:
        parts.append(quality(logged(), given, manifest, settings))
    about = f"{name}, digest {manifest.model_digest[:12]}"
    lines = [about, *(line for part in parts for line in part.lines)]
    return Health(lines, [finding for part in parts for finding in part.findings])


def age(manifest: Manifest, params: Params) -> Health:
    """Compare the model's age with `monitoring.max_age_days`."""
    days, most = (datetime.now(UTC) - manifest.created).days, params.monitoring.max_age_days
    old = [f"age: trained {days} days ago, at most {most:g} are allowed; train again"]
    return Health([_line("age", f"{days} days")], old if days > most else [])


def answers(logged: Iterable[pd.DataFrame], trained: dict[str, Any], params: Params) -> Health:
    """Look for answers that were no number, and for features that drifted from training."""
    problems: Counter[str] = Counter()
    served = Counts(trained)
    for part in logged:
        problems.update(part["problem"].dropna())
        served.add(prediction_log.features(part))
    lines = [_line("predictions", str(served.rows)), _line("failures", str(problems.total()))]
    findings = [f"failures: {what}, {times} times" for what, times in sorted(problems.items())]
    if served.rows < params.monitoring.min_labels:
        return Health([*lines, _line("drift", "too few predictions to tell")], findings)
    report = served.report(params.drift)
    worst = report.worst
    lines.append(_line("drift", f"at most {worst.psi:.3f}, of {worst.name}"))
    if report.drifted:
        findings.append(f"drift: {', '.join(report.drifted)} moved away from training")
    return Health(lines, findings)


def quality(
    logged: Iterable[pd.DataFrame], labels: pd.DataFrame, manifest: Manifest, settings: Settings
) -> Health:
    """Compare the quality on the rows that have a label by now with that on the holdout.

    The service shows the difference as a gauge, on which an alert stands.
    """
    from ..core.project import model  # with the learning library, which nothing else here needs

    parts = [part[["prediction_id", "score"]].merge(labels) for part in logged]
    joined = pd.concat(parts) if parts else labels.head(0)
    limits, metric = settings.params.monitoring, settings.params.gate.metric
    lines = [_line("labels", f"{len(joined)} of {len(labels)} are of logged predictions")]
    if len(joined) < limits.min_labels:
        few = f"{len(joined)} labels, {limits.min_labels} are needed to judge"
        return Health([*lines, _line("quality", "unknown")], [f"quality: {few}"])
    try:
        online = model.metrics(joined["label"], np.array(joined["score"].tolist(), "float64"))
    except ValueError as error:
        return Health(lines, [f"quality: cannot be judged: {clean(error)}"])
    lines += [
        _line(name, f"{value:.4f} online, {manifest.metrics.get(name, math.nan):.4f} offline")
        for name, value in online.items()
    ]
    now = online.get(metric, math.nan)
    drop = manifest.metrics.get(metric, math.nan) - now
    prediction_log.write_quality_drop(settings.var_dir, manifest.model_digest, drop)
    # Not `drop > limit`: a metric that is not a number is no proof of quality.
    if drop <= limits.max_quality_drop:
        return Health(lines, [])
    if math.isnan(drop):
        of_labels = f"is not a number on these {len(joined)} labels; wait for more"
        why = of_labels if math.isnan(now) else "is not a metric of this model; deploy a newer one"
        return Health(lines, [f"quality: {metric} {why}"])
    fell = f"{metric} fell by {drop:.3f} to {now:.3f} on {len(joined)} labels"
    return Health(lines, [f"quality: {fell}; at most {limits.max_quality_drop:g} is allowed"])


def read_labels(path: Path) -> pd.DataFrame:
    """Read late labels. Raises UserError, without a value in it, unless each can be used."""
    target = schema.Labelled.to_schema().columns[schema.TARGET]
    labels = dataset.read_csv(path, {"label": target})
    if list(labels.columns) != LABELS:
        raise UserError(f"{path.name}: the columns must be {' and '.join(LABELS)}")
    for column in LABELS:
        if labels[column].isna().any():
            raise UserError(f"{path.name}: column {column} has empty cells")
    known = dataset.labels()
    if known and (strange := int((~labels["label"].isin(known)).sum())):
        must = f"column label must be one of {listed(known)}"
        raise UserError(f"{path.name}: {must}; {strange} of {len(labels)} are not")
    if twice := int(labels["prediction_id"].duplicated().sum()):
        raise UserError(f"{path.name}: {twice} predictions are labelled twice")
    return labels


def drifted(
    settings: Settings, source: Path | None, reference: str = "champion"
) -> tuple[Report, Path]:
    """Compare a CSV file of inputs, or without one the served features, with training.

    Returns the report and the page that it was written to, in var/reports. Raises UserError where
    a column is missing or nothing was served.
    """
    rows = None if source is None else dataset.read_csv(source)
    name, manifest, trained = _trained(settings, reference)
    counts = Counts(trained["features" if rows is None else "inputs"])
    if rows is None:
        for part in prediction_log.read(settings.var_dir, model_digest=manifest.model_digest):
            counts.add(prediction_log.features(part))
        if not counts.rows:
            raise UserError(f"{name} has answered nothing that was logged")
    else:
        counts.add(rows)
    report = counts.report(settings.params.drift)
    what = source.stem if source else "served features"
    page = settings.var_dir / "reports" / f"drift-{what.replace(' ', '-')}.html"
    write_file(page, drift.page(report, f"Drift of {what} against {name}").encode())
    return report, page


def _trained(settings: Settings, reference: str) -> tuple[str, Manifest, dict[str, Any]]:
    """Return a registered version's name, manifest and training distributions."""
    from ..provenance import workspace
    from ..tracking import registry

    version = registry.resolve(settings, reference)
    with workspace.scratch(settings.var_dir) as folder:
        bundle = registry.fetch(settings, version, folder)
        distributions = json.loads((bundle / "reference.json").read_text(encoding="utf-8"))
        manifest = load_json(bundle / "provenance.json", Manifest)
    return f"version {version.number}", manifest, distributions


def _line(name: str, value: str) -> str:
    return f"  {name:<12} {value}"
