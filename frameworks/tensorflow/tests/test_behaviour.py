"""Yours: how the model has to behave, whatever its metrics say, and how its training does."""

import json
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
    flavor,
    model,
    package,
    schema,
    seeding,
)
from ..project import settings as project_settings

PARAMS = project_settings.load_params(ROOT / "params.yaml")
CONTEXT = context.Context(seed=0)
# A training of a few epochs, for tests of how it goes.
SHORT = {**PARAMS.model, "epochs": 4, "channels": 4}
# What a machine without a GPU cannot do is not among its tests.
DEVICES = ["cpu", "cuda"] if flavor.tf.config.list_physical_devices("GPU") else ["cpu"]


@pytest.fixture(scope="module")
def baseline():
    """The metrics that `evaluate --record` kept."""
    return json.loads((ROOT / "tests" / "model" / "baseline.json").read_text())


@pytest.fixture
def learnt(split):
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


def regressed(found, baseline, tolerance=0.01):
    """The metrics that are worse than recorded: lower, or higher where lower is better."""
    lower_is_better = {"log_loss"}
    return {
        name
        for name, before in baseline.items()
        if (found[name] - before) * (-1 if name in lower_is_better else 1) < -tolerance
    }


def test_quality_has_not_fallen_behind_the_recorded_baseline(outcome, baseline):
    assert regressed(outcome.metrics, baseline) == set()


def test_a_worse_model_falls_behind_the_recorded_baseline(outcome, baseline):
    shuffled = np.random.default_rng(0).permutation(outcome.scores)
    assert regressed(model.metrics(outcome.labels, shuffled), baseline) == set(baseline)


def fainter(pictures):
    return np.round(0.8 * pictures)


def speckled(pictures):
    return np.clip(pictures + np.random.default_rng(0).integers(-1, 2, pictures.shape), 0, 16)


@pytest.mark.parametrize("change", [fainter, speckled])
def test_what_does_not_change_the_digit_hardly_changes_the_answer(outcome, inputs, change):
    before = model.decide(bundle.score(outcome.model, inputs))
    changed = pd.DataFrame(change(inputs.to_numpy()), columns=list(inputs))
    assert (model.decide(bundle.score(outcome.model, changed)) == before).mean() > 0.97


@pytest.mark.parametrize("step", [-1, 1])
def test_most_digits_are_known_one_pixel_aside(outcome, split, step):
    pictures = split.holdout[schema.PIXELS].to_numpy().reshape(-1, schema.SIDE, schema.SIDE)
    moved = np.zeros_like(pictures)
    moved[:, :, max(step, 0) : 8 + min(step, 0)] = pictures[:, :, max(-step, 0) : 8 + min(-step, 0)]
    rows = pd.DataFrame(moved.reshape(len(moved), -1), columns=schema.PIXELS)
    decided = model.decide(bundle.score(outcome.model, rows))
    assert (decided == split.holdout[schema.TARGET].to_numpy()).mean() > 0.5


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


def test_fitting_lowers_the_loss(learnt):
    told = []
    fit(learnt, SHORT, replace(CONTEXT, report=lambda *step: told.append(step)))
    assert [number for number, _ in told] == [0, 1, 2, 3]
    losses = [metrics["loss"] for _, metrics in told]
    assert losses == sorted(losses, reverse=True)
    assert told[-1][1]["valid_loss"] < told[0][1]["valid_loss"]
    assert told[-1][1]["valid_accuracy"] > 0.8


def test_it_can_learn_a_handful_of_rows_by_heart(learnt):
    few = [part.head(10) for part in learnt]
    often = {"epochs": 40, "patience": 40, "validation": 0, "dropout": 0}
    fitted = fit(few, {**PARAMS.model, **often})
    np.testing.assert_array_equal(model.decide(model.predict(fitted, few[0])), few[1])


def test_labels_without_meaning_teach_it_nothing(learnt, held):
    x, y = learnt
    shuffled = y.sample(frac=1, random_state=0).set_axis(y.index)
    assert judge(fit((x, shuffled), SHORT), held)["accuracy"] < 0.2


def test_training_ends_when_nothing_gets_better_and_keeps_the_best(learnt):
    told = []
    x, y = learnt
    shuffled = y.sample(frac=1, random_state=0).set_axis(y.index)
    params = {**PARAMS.model, "epochs": 30, "patience": 2, "learning_rate": 0.01}
    where = replace(CONTEXT, report=lambda _, metrics: told.append(metrics))
    fitted = fit((x, shuffled), params, where)
    losses = [metrics["valid_loss"] for metrics in told]
    assert len(losses) == int(np.argmin(losses)) + 1 + 2 < 30
    best = {**params, "epochs": int(np.argmin(losses)) + 1}
    assert digest.model_digest(fitted) == digest_of((x, shuffled), best)


def test_a_column_beside_the_picture_is_brought_to_its_scale(learnt):
    x, y = learnt
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
def test_a_training_that_is_interrupted_goes_on_to_the_same_weights(learnt, tmp_path, device):
    whole = digest_of(learnt, SHORT, replace(CONTEXT, device=device))
    for epoch in range(SHORT["epochs"]):
        where = replace(CONTEXT, device=device, folder=tmp_path / str(epoch))
        where.folder.mkdir()
        with pytest.raises(InterruptionError):
            fit(learnt, SHORT, replace(where, report=partial(interrupt, epoch)))
        numbers = []
        report = partial(note, numbers)
        again = digest_of(learnt, SHORT, replace(where, report=report))
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
def test_a_training_that_is_killed_goes_on_to_the_same_weights(learnt, tmp_path):
    params = {**SHORT, "epochs": 12, "patience": 12}
    where = replace(CONTEXT, folder=tmp_path / "state")
    where.folder.mkdir()
    (tmp_path / "fit").write_bytes(pickle.dumps((learnt, params, where)))
    last = int(np.random.default_rng().integers(1, 10))
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(package=package.__name__), str(tmp_path / "fit")],
        # What the environment asks of TensorFlow changes no bit either.
        env={"PYTHONPATH": str(ROOT / "src"), "TF_ENABLE_ONEDNN_OPTS": "1", "OMP_NUM_THREADS": "3"},
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in child.stdout:
        if int(line) == last:
            child.kill()
            break
    child.communicate()
    assert child.returncode == -9, f"it was to be killed in epoch {last}"
    assert (where.folder / model.CHECKPOINT).exists()
    again = digest_of(learnt, params, where)
    assert (last, again) == (last, digest_of(learnt, params))


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
def test_a_damaged_checkpoint_is_told_and_not_used(learnt, tmp_path, caplog, damage):
    where = replace(CONTEXT, folder=tmp_path)
    whole = digest_of(learnt, SHORT, where)
    path = tmp_path / model.CHECKPOINT
    path.write_bytes(damage(path.read_bytes()))
    assert digest_of(learnt, SHORT, where) == whole
    assert f"{path} is damaged: " in caplog.text
    assert ": training starts over" in caplog.text


def test_another_training_s_checkpoint_is_not_used(learnt, tmp_path, caplog):
    other = {**SHORT, "learning_rate": 0.002}
    fit(learnt, other, replace(CONTEXT, folder=tmp_path))
    assert digest_of(learnt, SHORT, replace(CONTEXT, folder=tmp_path)) == digest_of(
        learnt, SHORT
    )
    assert "is of another training" in caplog.text


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", model.PRECISIONS[1:])
def test_less_precision_is_good_enough_and_repeats(learnt, held, device, precision, tmp_path):
    where = replace(CONTEXT, device=device)
    params = {**SHORT, "epochs": 3, "precision": precision}
    fitted = fit(learnt, params, where)
    assert judge(fitted, held)["accuracy"] > 0.8
    assert flavor.keras.config.dtype_policy().name == "float32"
    assert digest.model_digest(fitted) == digest_of(learnt, params, where)
    flavor.save(fitted, tmp_path / "model", pip_requirements=[])
    stored = flavor.load(tmp_path / "model")
    np.testing.assert_array_equal(model.predict(stored, held[0]), model.predict(fitted, held[0]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"precision": "float16"}, "float32, mixed_bfloat16, mixed_float16, not float16"),
        ({"learning_rate": 1e30}, "the loss of epoch 0 is not a number; lower learning_rate"),
    ],
)
def test_parameters_that_cannot_be_used_are_told(learnt, change, said):
    with pytest.raises(ValueError, match=said):
        fit(learnt, {**SHORT, **change})


def test_cuda_that_is_not_there_is_told_in_one_line(learnt, monkeypatch):
    monkeypatch.setattr(flavor.tf.config, "list_physical_devices", lambda _: [])
    with pytest.raises(errors.UserError) as told:
        fit(learnt, SHORT, replace(CONTEXT, device="cuda"))
    assert str(told.value).startswith("CUDA was asked for (ML_DEVICE, ")
    assert str(told.value).endswith("; run where there is a GPU, or set ML_DEVICE=cpu")
    assert "\n" not in str(told.value)
    monkeypatch.setattr(flavor.tf.test, "is_built_with_cuda", lambda: False)
    with (
        pytest.raises(errors.UserError, match="TensorFlow was built without it"),
        seeding.deterministic(replace(CONTEXT, device="cuda")),
    ):
        pass


def test_threads_that_tensorflow_cannot_have_any_more_are_told_in_one_line(outcome):
    with (
        pytest.raises(errors.UserError, match=r"threads \(1\) than the 3 asked for") as told,
        seeding.deterministic(replace(CONTEXT, threads=3)),
    ):
        pass
    assert "\n" not in str(told.value)


SCORE = """
import sys
from pathlib import Path
import pandas as pd
from {package}.ops.core import context, flavor, seeding
from {package}.ops.training import bundle
with seeding.deterministic(context.Context(0, threads=3)):
    fitted = flavor.load(Path(sys.argv[1]))
    scores = bundle.score(fitted, pd.read_csv(sys.argv[2]))
scores.tofile(sys.argv[3])
"""


@pytest.mark.slow
def test_threads_do_not_change_a_score_and_tensorflow_says_nothing(outcome, inputs, tmp_path):
    flavor.save(outcome.model, tmp_path / "model", pip_requirements=[])
    inputs.to_csv(tmp_path / "rows", index=False)
    paths = [str(tmp_path / name) for name in ("model", "rows", "scores")]
    done = subprocess.run(
        [sys.executable, "-c", SCORE.format(package=package.__name__), *paths],
        env={"PYTHONPATH": str(ROOT / "src")},
        check=True,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("", "")
    there = np.fromfile(paths[2]).reshape(len(inputs), -1)
    np.testing.assert_array_equal(there, bundle.score(outcome.model, inputs))


def test_tf32_is_off_while_a_model_is_fitted_and_no_longer():
    allowed = flavor.tf.config.experimental.tensor_float_32_execution_enabled
    assert allowed()
    with seeding.deterministic(CONTEXT):
        assert not allowed()
    assert allowed()


def test_a_stored_model_cannot_run_code(outcome, tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").touch, ())

    flavor.save(outcome.model, tmp_path / "model", pip_requirements=[])
    (file,) = tmp_path.rglob(flavor.FILE)
    np.savez(file, np.array('{"class": "Network", "arguments": {}}'), np.array([Trap()]))
    with pytest.raises(errors.UserError, match="is damaged: Object arrays cannot be loaded"):
        flavor.load(tmp_path / "model")
    assert not (tmp_path / "sprung").exists()
    file.write_bytes(flavor.pack({"class": "Recipe", "arguments": {}}, []))
    with pytest.raises(errors.UserError, match="has no model Recipe"):
        flavor.load(tmp_path / "model")
