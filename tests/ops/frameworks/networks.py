"""What holds for every network: its training can be killed and resumed, to the same weights."""

import pickle
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ..conftest import ROOT
from ..project import (
    bundle,
    context,
    digest,
    errors,
    features,
    loop,
    model,
    package,
    schema,
    seeding,
)
from ..project import settings as project_settings

PARAMS = project_settings.load_params(ROOT / "params.yaml")
CONTEXT = context.Context(seed=0)
# A training of a few epochs, for tests of how it runs.
SHORT = {**PARAMS.model, "epochs": 4, "channels": 4}


def _devices():
    try:
        with seeding.deterministic(replace(CONTEXT, device="cuda")):
            return ["cpu", "cuda"]
    except errors.UserError:
        return ["cpu"]


# A machine without a GPU has no tests of one.
DEVICES = _devices()


@pytest.fixture
def training(split):
    """Features and labels of the training rows."""
    return features.features.build(split.train), split.train[schema.TARGET]


@pytest.fixture
def held(split):
    """Features and labels of the holdout."""
    return features.features.build(split.holdout), split.holdout[schema.TARGET]


def fit(rows, params, where=CONTEXT):
    with seeding.deterministic(where):
        return model.fit(*rows, params, where)


def digest_of(*arguments):
    return digest.model_digest(fit(*arguments))


def judge(fitted, rows):
    return model.metrics(rows[1], model.predict(fitted, rows[0]))


def test_a_row_s_score_does_not_depend_on_its_neighbours(outcome, inputs):
    whole = bundle.score(outcome.model, inputs)
    order = np.random.default_rng(0).permutation(len(inputs))
    np.testing.assert_array_equal(bundle.score(outcome.model, inputs.iloc[order]), whole[order])
    np.testing.assert_array_equal(bundle.score(outcome.model, inputs.head(1)), whole[:1])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, schema.FULL), min_size=64, max_size=64))
def test_any_picture_gets_probabilities(outcome, pixels):
    scores = bundle.score(outcome.model, pd.DataFrame([pixels], columns=schema.PIXELS))
    assert scores.shape == (1, 10)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores.sum() == pytest.approx(1, abs=1e-6)


def test_every_epoch_is_reported(training):
    reported = []
    fit(training, SHORT, replace(CONTEXT, report=lambda *step: reported.append(step)))
    assert [number for number, _ in reported] == [0, 1, 2, 3]
    losses = [metrics["loss"] for _, metrics in reported]
    assert losses == sorted(losses, reverse=True)
    assert reported[-1][1]["valid_loss"] < reported[0][1]["valid_loss"]
    assert reported[-1][1]["valid_accuracy"] > 0.8


def test_shuffled_labels_teach_it_nothing(training, held):
    x, y = training
    shuffled = y.sample(frac=1, random_state=0).set_axis(y.index)
    assert judge(fit((x, shuffled), SHORT), held)["accuracy"] < 0.2


def test_training_ends_without_improvement_and_keeps_the_best(training):
    reported = []
    x, y = training
    shuffled = y.sample(frac=1, random_state=0).set_axis(y.index)
    params = {**PARAMS.model, "epochs": 30, "patience": 2, "learning_rate": 0.01}
    where = replace(CONTEXT, report=lambda _, metrics: reported.append(metrics))
    fitted = fit((x, shuffled), params, where)
    losses = [metrics["valid_loss"] for metrics in reported]
    assert len(losses) == int(np.argmin(losses)) + 1 + 2 < 30
    best = {**params, "epochs": int(np.argmin(losses)) + 1}
    assert digest.model_digest(fitted) == digest_of((x, shuffled), best)


def test_a_column_beside_the_picture_is_brought_to_its_scale(training):
    x, y = training
    far = x.assign(far=1e7 + 1e6 * np.random.default_rng(0).standard_normal(len(x)), same=3.0)
    assert judge(fit((far, y), SHORT), (far, y))["accuracy"] > 0.9


class InterruptionError(Exception):
    """What ends a training at a chosen epoch."""


def interrupt(at, number, _):
    if number == at:
        raise InterruptionError


def note(numbers, number, _):
    numbers.append(number)


@pytest.mark.parametrize("device", DEVICES)
def test_an_interrupted_training_resumes_to_the_same_weights(training, tmp_path, device):
    whole = digest_of(training, SHORT, replace(CONTEXT, device=device))
    for epoch in range(SHORT["epochs"]):
        where = replace(CONTEXT, device=device, folder=tmp_path / str(epoch))
        where.folder.mkdir()
        with pytest.raises(InterruptionError):
            fit(training, SHORT, replace(where, report=partial(interrupt, epoch)))
        numbers = []
        report = partial(note, numbers)
        again = digest_of(training, SHORT, replace(where, report=report))
        assert (epoch, again) == (epoch, whole)
        assert numbers == [0, 1, 2, 3]


CHILD = """
import pickle, sys
from pathlib import Path
from dataclasses import replace
from {package} import model
from {package}.ops.core import context, seeding
rows, params, where = pickle.loads(Path(sys.argv[1]).read_bytes())
with seeding.deterministic(where):
    model.fit(*rows, params, replace(where, report=lambda number, _: print(number, flush=True)))
"""


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_weights(training, tmp_path):
    params = {**SHORT, "epochs": 12, "patience": 12}
    where = replace(CONTEXT, folder=tmp_path / "state")
    where.folder.mkdir()
    (tmp_path / "fit").write_bytes(pickle.dumps((training, params, where)))
    last = int(np.random.default_rng().integers(1, 10))
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(package=package.__name__), str(tmp_path / "fit")],
        # What the environment asks of the libraries changes no bit.
        env={"PYTHONPATH": str(ROOT / "src"), "TF_ENABLE_ONEDNN_OPTS": "1", "OMP_NUM_THREADS": "3"},
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in child.stdout:
        if int(line) == last:
            child.kill()
            break
    child.communicate()
    assert child.returncode == -9, f"it should have been killed in epoch {last}"
    assert (where.folder / loop.CHECKPOINT).exists()
    again = digest_of(training, params, where)
    assert (last, again) == (last, digest_of(training, params))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content[:50_000] + bytes([content[50_000] ^ 1]) + content[50_001:],
        lambda content: b"no checkpoint" * 100,
    ],
    ids=["empty", "torn", "one bit", "other"],
)
def test_a_damaged_checkpoint_is_reported_and_not_used(training, tmp_path, caplog, damage):
    where = replace(CONTEXT, folder=tmp_path)
    whole = digest_of(training, SHORT, where)
    path = tmp_path / loop.CHECKPOINT
    path.write_bytes(damage(path.read_bytes()))
    assert digest_of(training, SHORT, where) == whole
    assert f"{path} is damaged: " in caplog.text
    assert ": training starts over" in caplog.text


def test_another_training_s_checkpoint_is_not_used(training, tmp_path, caplog):
    other = {**SHORT, "learning_rate": 0.002}
    fit(training, other, replace(CONTEXT, folder=tmp_path))
    assert digest_of(training, SHORT, replace(CONTEXT, folder=tmp_path)) == digest_of(
        training, SHORT
    )
    assert "is of another training" in caplog.text


def test_the_owner_s_baseline_test_allows_for_another_processor():
    from ...yours import test_behaviour

    assert not test_behaviour.fallen_behind({"accuracy": 0.9717})  # a Xeon; recorded was 0.9826
    assert test_behaviour.fallen_behind({"accuracy": 0.9})
