"""XGBoost's part of the standard: killed fits resume to the same trees, models are kept safely.

Runs inside a render of the framework, where `...project` is the package under test.
"""

import hashlib
import os
import pickle
import random
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ..conftest import ROOT
from ..project import (
    bundle,
    context,
    dataset,
    digest,
    errors,
    evaluation,
    features,
    flavor,
    loop,
    model,
    package,
    schema,
)
from ..project import settings as project_settings

PARAMS = project_settings.load_params(ROOT / "params.yaml")
CONTEXT = context.Context(seed=0)


@pytest.fixture(scope="module")
def training(split):
    """Features and labels of the training rows."""
    return features.features.build(split.train), split.train[schema.TARGET]


def test_a_row_s_score_does_not_depend_on_its_neighbours(outcome, inputs):
    whole = bundle.score(outcome.model, inputs)
    order = np.random.default_rng(0).permutation(len(inputs))
    np.testing.assert_array_equal(bundle.score(outcome.model, inputs.iloc[order]), whole[order])
    np.testing.assert_array_equal(bundle.score(outcome.model, inputs.head(1)), whole[:1])


def test_it_stops_when_more_rounds_bring_nothing(training):
    told = []
    seen = context.Context(seed=0, report=lambda step, found: told.append((step, found)))
    fitted = model.fit(*training, PARAMS.model, seen)
    assert [step for step, _ in told] == list(range(len(told)))
    assert len(told) < PARAMS.model["rounds"]
    judged = [found["validation.rmse"] for _, found in told]
    assert fitted.num_boosted_rounds() == np.argmin(judged) + 1
    assert len(told) == fitted.num_boosted_rounds() + PARAMS.model["patience"]


def test_shuffled_labels_teach_it_nothing(split, training):
    x, y = training
    held, answers = features.features.build(split.holdout), split.holdout[schema.TARGET]
    found = []
    for seed in range(10):
        shuffled = y.sample(frac=1, random_state=seed).set_axis(y.index)
        scores = model.predict(model.fit(x, shuffled, PARAMS.model, CONTEXT), held)
        found.append(model.metrics(answers, scores)["r2"])
    assert np.mean(found) < 0.1


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_valid_row_gets_a_plausible_score(outcome, split, data):
    row = split.train.drop(columns=[schema.IDENTIFIER, schema.TARGET]).head(1)
    for name, column in schema.Inputs.to_schema().columns.items():
        limits = column.checks[0].statistics
        if "min_value" in limits:
            values = st.floats(limits["min_value"], limits["max_value"])
        else:
            values = st.sampled_from(limits["allowed_values"])
        row[name] = data.draw(values, label=name)
    score = bundle.score(outcome.model, row)
    assert ((score >= 0) & (score <= 400)).all()


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39])
def test_an_infinite_feature_gets_no_score(outcome, training, value):
    x = training[0].head(2).assign(bmi=value)
    with pytest.raises(ValueError, match="inf"):
        model.predict(outcome.model, x)


class StoppedError(Exception):
    """A fit is cut short."""


def stop_at(last):
    """A report that ends a fit at step `last`."""

    def report(step, found):
        if step == last:
            raise StoppedError

    return report


def recorded(stretch_settings, starts):
    """The same function, which also notes after how many rounds each stretch starts."""

    def wrapper(params, context, done):
        starts.append(done)
        return stretch_settings(params, context, done)

    return wrapper


@pytest.mark.parametrize("last", [3, loop.EVERY - 1, loop.EVERY, 2 * loop.EVERY + 5])
def test_an_interrupted_fit_resumes_to_the_same_model(training, tmp_path, monkeypatch, last):
    stopped = context.Context(0, folder=tmp_path, report=stop_at(last))
    with pytest.raises(StoppedError):
        model.fit(*training, PARAMS.model, stopped)
    steps, starts = [], []
    monkeypatch.setattr(loop, "stretch_settings", recorded(loop.stretch_settings, starts))
    again = context.Context(0, folder=tmp_path, report=lambda step, _: steps.append(step))
    resumed = model.fit(*training, PARAMS.model, again)
    assert starts[0] == last // loop.EVERY * loop.EVERY
    assert steps == list(range(len(steps)))
    whole = model.fit(*training, PARAMS.model, CONTEXT)
    assert digest.model_digest(resumed) == digest.model_digest(whole)


@pytest.mark.parametrize(
    "more",
    [
        {"validation": 0, "rounds": 40},
        {"rounds": 50, "patience": 100},
        {"colsample_bynode": 0.5, "num_parallel_tree": 2, "rounds": 40},
        {"grow_policy": "lossguide", "max_leaves": 6, "rounds": 40},
    ],
)
def test_the_same_holds_for_other_parameters(training, tmp_path, more):
    params = {**PARAMS.model, **more}
    with pytest.raises(StoppedError):
        model.fit(*training, params, context.Context(0, folder=tmp_path, report=stop_at(32)))
    resumed = model.fit(*training, params, context.Context(0, folder=tmp_path))
    again = model.fit(*training, params, context.Context(0, folder=tmp_path))
    whole = model.fit(*training, params, CONTEXT)
    digests = {digest.model_digest(fitted) for fitted in (resumed, again, whole)}
    assert len(digests) == 1


KILLED = f"""
import os, pickle, signal, sys
from pathlib import Path
from {package.__name__} import model
from {package.__name__}.ops.core.context import Context

def report(step, found):
    if step == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

folder = Path(sys.argv[1])
x, y, params = pickle.loads((folder / "given").read_bytes())
model.fit(x, y, params, Context(0, folder=folder, report=report))
"""


@pytest.mark.slow
def test_a_killed_fit_resumes_to_the_same_model(training, tmp_path):
    last = random.SystemRandom().randrange(loop.EVERY, 4 * loop.EVERY)
    (tmp_path / "given").write_bytes(pickle.dumps((*training, PARAMS.model)))
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(last)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL, last
    kept = flavor.stored((tmp_path / loop.CHECKPOINT).read_bytes()[loop.HASH :])
    assert kept.num_boosted_rounds() == last // loop.EVERY * loop.EVERY, last
    resumed = model.fit(*training, PARAMS.model, context.Context(0, folder=tmp_path))
    whole = model.fit(*training, PARAMS.model, CONTEXT)
    assert digest.model_digest(resumed) == digest.model_digest(whole), last


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_a_damaged_checkpoint_is_reported_and_not_used(training, tmp_path, caplog, damage):
    params = {**PARAMS.model, "rounds": 30}
    path = tmp_path / loop.CHECKPOINT
    whole = model.fit(*training, params, context.Context(0, folder=tmp_path))
    path.write_bytes(path.read_bytes()[:-1] if damage is None else damage)
    again = model.fit(*training, params, context.Context(0, folder=tmp_path))
    assert digest.model_digest(again) == digest.model_digest(whole)
    assert "is damaged: training starts over" in caplog.text


def test_threads_do_not_change_the_model(training):
    digests = {
        digest.model_digest(model.fit(*training, PARAMS.model, context.Context(0, threads)))
        for threads in (1, 2)
    }
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_dept": 3}, '"max_dept"'),
        ({"max_depth": "deep"}, "expect int but value='deep'"),
        ({"subsample": 7}, "value 7 for Parameter subsample"),
        ({"rounds": 0}, "rounds and patience must be at least 1"),
        ({"objective": "none"}, "Unknown objective function: `none`"),
    ],
)
def test_a_wrong_parameter_is_reported_in_one_line(training, wrong, message):
    with pytest.raises(errors.UserError) as refused:
        evaluation.fit(*training, {**PARAMS.model, **wrong}, CONTEXT)
    said = str(refused.value)
    assert message in said
    assert "\n" not in said
    assert "src/" not in said
    assert "Stack trace" not in said


@pytest.mark.slow
def test_missing_cuda_is_reported_in_one_line(tmp_path):
    dataset.prepare(project_settings.settings(root=ROOT, data_dir=tmp_path))
    env = {"ML_DEVICE": "cuda", "ML_DATA_DIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", package.__name__, "bench"]
    env = {**os.environ, **env}
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    (said,) = done.stderr.splitlines()
    assert said.startswith("error: CUDA was asked for")
    assert "ML_DEVICE=cpu" in said


@pytest.mark.parametrize("name", [flavor.FILE, flavor.HASH])
def test_a_damaged_model_is_reported_before_xgboost_reads_it(outcome, tmp_path, monkeypatch, name):
    """XGBoost itself would end the process for most of these."""
    folder = tmp_path / "model"
    flavor.save(outcome.model, folder, pip_requirements=[])
    whole = (folder / name).read_bytes()
    monkeypatch.setattr(flavor, "stored", pytest.fail)
    for content in (b"", whole[:60], b"\0" + whole[1:]):
        (folder / name).write_bytes(content)
        with pytest.raises(errors.UserError, match="is damaged"):
            flavor.load(folder)
    (folder / name).unlink()
    with pytest.raises(errors.UserError, match=f"{name} cannot be read"):
        flavor.load(folder)


class Trap:
    """What pickle would call."""

    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


@pytest.mark.parametrize(
    "content", [pickle.dumps(Trap()), b'{"learner": {"__reduce__": "os.system"}}', b"{L"]
)
def test_a_file_with_code_in_it_is_no_model(outcome, tmp_path, content):
    flavor.save(outcome.model, tmp_path / "model", pip_requirements=[])
    (tmp_path / "model" / flavor.FILE).write_bytes(content)
    hashed = hashlib.sha256(content).hexdigest()
    (tmp_path / "model" / flavor.HASH).write_text(f"{hashed}  {flavor.FILE}\n")
    with pytest.raises(errors.UserError, match="is no model") as caught:
        flavor.load(tmp_path / "model")
    assert "\n" not in str(caught.value)
