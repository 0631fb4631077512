"""Monitoring: what was served is kept, and worse quality, age, failures and drift are found."""

import os
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ..conftest import ROOT, loads, logged
from ..project import (
    bundle,
    commands,
    dataset,
    distributions,
    errors,
    features,
    model,
    monitor,
    package,
    prediction_log,
    registry,
    schema,
    service,
    settings,
)

DIGEST = "d" * 64


@pytest.fixture
def served(tmp_path, split, outcome):
    """The holdout, as the model answered it, and its labels."""
    log = prediction_log.Log(tmp_path, "1", DIGEST)
    x = features.features.build(split.holdout)
    names = [f"id{number}" for number in range(len(x))]
    log.predictions(names, x, outcome.scores)
    labels = pd.DataFrame({"prediction_id": names, "label": outcome.labels.to_numpy()})
    return list(prediction_log.read(tmp_path)), labels


@pytest.fixture
def manifest(outcome):
    """What the run recorded, as far as monitoring asks."""
    metrics = model.metrics(outcome.labels, outcome.scores)
    return SimpleNamespace(created=datetime.now(UTC), metrics=metrics, model_digest=DIGEST)


@pytest.fixture
def config(tmp_path):
    return settings.settings(root=ROOT, var_dir=tmp_path)


def mixed_up(labels):
    """The labels, each at another row."""
    return labels.assign(label=np.random.default_rng(0).permutation(labels["label"]))


@pytest.fixture
def trained(split):
    return distributions.describe(features.features.build(split.train))


def test_the_drift_of_a_log_needs_no_learning_library(tmp_path, split, served):
    """They take as much memory as the rest: a log larger than the memory is read in parts."""
    rows = pd.concat([features.features.build(split.train)] * 2)
    prediction_log.Log(tmp_path, "1", DIGEST).predictions(
        list(map(str, range(len(rows)))), rows, np.zeros(len(rows))
    )
    script = (
        f"from pathlib import Path; from {package.__name__}.ops.core import settings\n"
        f"from {package.__name__}.ops.data import distributions\n"
        f"from {package.__name__}.ops.monitoring import monitor\n"
        f"from {package.__name__}.ops.serving import prediction_log\n"
        f"parts = list(prediction_log.read(Path({str(tmp_path)!r})))\n"
        "trained = distributions.describe(prediction_log.features(parts[0]))\n"
        "print(monitor.answers(parts, trained, settings.settings().params).lines[-1])"
    )
    heavy = ("mlflow", "scipy.stats", "sklearn", "tensorflow", "torch", "xgboost")
    said, loaded = loads(script, *heavy)
    assert said.split()[:3] == ["drift", "at", "most"]
    assert loaded == "[]"


def test_quality_as_at_training_is_no_finding(served, manifest, config):
    health = monitor.quality(*served, manifest, config)
    assert health.findings == []
    for name, value in manifest.metrics.items():
        told = f"{value:.4f} online, {value:.4f} offline"
        assert any(name in line and told in line for line in health.lines)


def test_worse_quality_is_found(served, manifest, params, config):
    answered, labels = served
    (found,) = monitor.quality(answered, mixed_up(labels), manifest, config).findings
    assert f"{params.gate.metric} fell by" in found
    manifest.metrics.clear()
    (unknown,) = monitor.quality(answered, labels, manifest, config).findings
    said = "is not a metric of this model; deploy a newer one"
    assert unknown == f"quality: {params.gate.metric} {said}"


def test_the_service_shows_how_far_quality_fell(served, manifest, config):
    answered, labels = served
    monitor.quality(answered, mixed_up(labels), manifest, config)
    drop = prediction_log.quality_drop(config.var_dir, DIGEST)
    assert drop > config.params.monitoring.max_quality_drop
    assert prediction_log.quality_drop(config.var_dir, "another model") is None
    shown = service.Service(config, config.var_dir)
    shown.bundle = SimpleNamespace(manifest=manifest, reference={})
    lines = shown.exposition().decode().splitlines()
    limit = config.params.monitoring.max_quality_drop
    assert {f"ml_quality_drop {drop}", f"ml_quality_drop_limit {limit}"} <= set(lines)


def test_quality_that_cannot_be_judged_is_a_finding(served, manifest, params, config):
    answered, labels = served
    needed = params.monitoring.min_labels
    few = monitor.quality(answered, labels.head(needed - 1), manifest, config)
    assert few.findings == [f"quality: {needed - 1} labels, {needed} are needed to judge"]
    other = monitor.quality(
        answered, labels.assign(prediction_id=labels["prediction_id"] + "x"), manifest, config
    )
    assert other.findings == [f"quality: 0 labels, {needed} are needed to judge"]
    one = labels.assign(label=labels["label"].iloc[0])
    (found,) = monitor.quality(answered, one, manifest, config).findings
    assert found.startswith("quality: ")
    assert "nan" not in found.split()


def test_a_model_grows_stale(manifest, params):
    assert monitor.age(manifest, params).findings == []
    days = int(params.monitoring.max_age_days) + 1
    manifest.created -= timedelta(days=days)
    (found,) = monitor.age(manifest, params).findings
    assert f"trained {days} days ago" in found


def test_failures_and_drift_are_found(served, trained, params, tmp_path):
    answered, _ = served
    assert monitor.answers(answered, trained, params).findings == []
    prediction_log.Log(tmp_path, "1", DIGEST).problem("score not finite")
    moved = logged(tmp_path)
    name = prediction_log.features(moved).std().idxmax()
    moved[f"feature.{name}"] += 3 * moved[f"feature.{name}"].std()
    findings = monitor.answers([moved], trained, params).findings
    assert findings == [
        "failures: score not finite, 1 times",
        f"drift: {name} moved away from training",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,label\na,1\n", "columns must be prediction_id and label"),
        ("prediction_id,label\na,\n", "column label has empty cells"),
        ("prediction_id,label\na,secret\n", "column label: must be a number"),
        (
            f"prediction_id,label\na,{dataset.labels()[0]}\nb,77\n",
            "column label must be one of .*; 1 of 2 are not",
        ),
        ("prediction_id,label\nsecret,1\nsecret,0\n", "1 predictions are labelled twice"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(tmp_path, text, said):
    path = tmp_path / "labels.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(errors.UserError, match=said) as error:
        monitor.read_labels(path)
    assert "secret" not in str(error.value)


def test_the_log_holds_features_and_never_a_personal_column(tmp_path, split):
    x = features.features.build(split.holdout).assign(**dict.fromkeys(schema.PERSONAL, 7.0))
    prediction_log.Log(tmp_path, "1", DIGEST).predictions(["a"], x.head(1), np.array([0.5]))
    (path,) = (tmp_path / "predictions").iterdir()
    assert not set(schema.PERSONAL) & set(prediction_log.features(logged(tmp_path)))
    assert not any(name in path.read_text(encoding="utf-8") for name in schema.PERSONAL)
    assert path.stat().st_mode & 0o077 == 0


def test_the_log_survives_a_full_disk(tmp_path, split, monkeypatch):
    x = features.features.build(split.holdout).head(1)
    log = prediction_log.Log(tmp_path, "1", DIGEST)
    log.predictions(["a"], x, np.array([0.1]))
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda target, content: write(target, content[:20]))
        with pytest.raises(OSError, match="full"):
            log.predictions(["b"], x, np.array([0.2]))
    log.predictions(["c"], x, np.array([0.3]))
    assert logged(tmp_path)["prediction_id"].tolist() == ["a", "c"]


def test_a_line_that_a_killed_process_left_torn_costs_no_other(tmp_path, split):
    x = features.features.build(split.holdout).head(1)
    prediction_log.Log(tmp_path, "1", DIGEST).predictions(["a"], x, np.array([0.1]))
    (path,) = (tmp_path / "predictions").iterdir()
    with path.open("a", encoding="utf-8") as file:
        file.write('{"prediction_id": "b", "sco')
    prediction_log.Log(tmp_path, "1", DIGEST).predictions(["c"], x, np.array([0.3]))
    assert logged(tmp_path)["prediction_id"].tolist() == ["a", "c"]


def test_the_log_forgets_days_that_are_long_past(tmp_path):
    today = datetime.now(UTC).date()
    folder = tmp_path / "predictions"
    folder.mkdir()
    names = [f"{today - timedelta(days=days)}.jsonl" for days in (8, 7, 1)]
    for name in (*names, "notes.txt"):
        (folder / name).touch()
    prediction_log.Log(tmp_path, "1", DIGEST, days=7).problem("score not finite")
    kept = {path.name for path in folder.iterdir()}
    assert kept == {*names[1:], f"{today}.jsonl", "notes.txt"}


def test_the_log_forgets_the_oldest_where_it_grows_too_large(tmp_path):
    size = 20_000
    log = prediction_log.Log(tmp_path, "1", DIGEST, size=size)
    most = 0
    for number in range(400):
        log.predictions([str(number)], pd.DataFrame({"x": [0.5]}), np.array([0.5]))
        most = max(most, sum(path.stat().st_size for path in log.folder.iterdir()))
    kept = [int(name) for name in logged(tmp_path)["prediction_id"]]
    assert kept == list(range(kept[0], 400)), "the newest, in their order"
    assert size / 2 < most < 1.2 * size


def test_a_large_log_is_read_in_parts_with_the_same_findings(
    served, trained, params, manifest, config, monkeypatch
):
    answered, labels = served
    monkeypatch.setattr(prediction_log, "PART", 10)
    other = prediction_log.Log(config.var_dir, "2", "another model")
    for number in range(25):
        other.predictions([f"other{number}"], pd.DataFrame({"x": [1.0]}), np.array([0.5]))

    def parts():
        return prediction_log.read(config.var_dir, model_digest=DIGEST)

    assert {len(part) for part in parts()} == {10, len(answered[0]) % 10 or 10}
    assert next(parts())["prediction_id"].tolist() == [f"id{number}" for number in range(10)]
    assert monitor.answers(parts(), trained, params) == monitor.answers(answered, trained, params)
    judged = [monitor.quality(rows, labels, manifest, config) for rows in (parts(), answered)]
    assert judged[0] == judged[1]


def test_an_empty_log_can_be_read(tmp_path):
    assert list(prediction_log.read(tmp_path)) == []


def test_old_days_are_left_out(served, tmp_path):
    today = datetime.now(UTC).date()
    assert len(next(prediction_log.read(tmp_path, today))) == len(served[0][0])
    assert list(prediction_log.read(tmp_path, today + timedelta(days=1))) == []


@pytest.mark.xdist_group("workplace")
def test_the_commands_judge_the_champion(workplace, split, inputs, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ML_VAR_DIR", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", workplace.config.tracking_uri)
    monkeypatch.chdir(tmp_path)
    version = registry.resolve(workplace.config, "champion")
    log = prediction_log.Log(tmp_path, str(version.number), version.digest)

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            commands.main(list(arguments))
        return ended.value.code, capsys.readouterr().out

    assert "has answered nothing that was logged" in run("drift", "--logged")[0]
    with bundle.fetched(workplace.config, version) as loaded:
        scores = bundle.score(loaded.model, split.holdout)
    names = [f"id{number}" for number in range(len(scores))]
    log.predictions(names, features.features.build(split.holdout), scores)
    labels = pd.DataFrame({"prediction_id": names, "label": split.holdout[schema.TARGET]})
    labels.to_csv("labels.csv", index=False)
    mixed_up(labels).to_csv("wrong.csv", index=False)
    assert run("monitor", "--labels", "labels.csv")[0] == 0
    assert run("monitor", "--labels", "wrong.csv")[0] == 1
    assert run("drift", "--logged")[0] == 0

    split.holdout[list(inputs)].to_csv("same.csv", index=False)
    name = next(name for name in inputs if inputs[name].nunique() > distributions.FEW)
    moved = split.holdout[list(inputs)].assign(**{name: inputs[name].max()})
    moved.to_csv("moved.csv", index=False)
    assert run("drift", "same.csv")[0] == 0
    said, out = run("drift", "moved.csv")
    assert said == f"error: drift in {name}"
    assert "DRIFTED" in out
    assert (tmp_path / "reports" / "drift-moved.html").exists()
    assert run("drift")[0] == 2
