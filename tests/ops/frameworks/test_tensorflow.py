"""TensorFlow's part of the standard: the same weights again, models that are kept safely.

Runs inside a render of the framework, where `...project` is the package under test.
"""

import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from ..conftest import ROOT
from ..project import bundle, digest, errors, flavor, loop, model, package, seeding
from .networks import *  # noqa: F403 - the tests that hold for every network
from .networks import CONTEXT, DEVICES, SHORT, InterruptionError, digest_of, fit, interrupt, judge


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", loop.PRECISIONS[1:])
def test_less_precision_is_good_enough_and_repeats(training, held, device, precision, tmp_path):
    where = replace(CONTEXT, device=device)
    params = {**SHORT, "epochs": 3, "precision": precision}
    fitted = fit(training, params, where)
    assert judge(fitted, held)["accuracy"] > 0.8
    assert flavor.keras.config.dtype_policy().name == "float32"
    assert digest.model_digest(fitted) == digest_of(training, params, where)
    flavor.save(fitted, tmp_path / "model", pip_requirements=[])
    stored = flavor.load(tmp_path / "model")
    np.testing.assert_array_equal(model.predict(stored, held[0]), model.predict(fitted, held[0]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"precision": "float16"}, "float32, mixed_bfloat16, mixed_float16, not float16"),
        ({"learning_rate": 1e30}, "the loss of epoch 0 is not a number; lower learning_rate"),
    ],
)
def test_unusable_parameters_are_reported(training, change, message):
    with pytest.raises(ValueError, match=message):
        fit(training, {**SHORT, **change})


def test_missing_cuda_is_reported_in_one_line(training, monkeypatch):
    monkeypatch.setattr(flavor.tf.config, "list_physical_devices", lambda _: [])
    with pytest.raises(errors.UserError) as caught:
        fit(training, SHORT, replace(CONTEXT, device="cuda"))
    assert str(caught.value).startswith("CUDA was asked for (ML_DEVICE, ")
    assert str(caught.value).endswith("; run where there is a GPU, or set ML_DEVICE=cpu")
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(flavor.tf.test, "is_built_with_cuda", lambda: False)
    with (
        pytest.raises(errors.UserError, match="TensorFlow was built without it"),
        seeding.deterministic(replace(CONTEXT, device="cuda")),
    ):
        pass


class Nested(flavor.keras.Model):
    """A network with a random layer of its own and one inside another model."""

    def __init__(self, columns, precision):
        layers, like = flavor.keras.layers, {"dtype": precision}
        inputs = flavor.keras.Input((len(columns),), dtype=precision)
        inner = flavor.keras.Sequential([layers.Dropout(0.5, **like), layers.Dense(16, **like)])
        seen = layers.Dropout(0.2, **like)(inner(inputs))
        super().__init__(inputs, layers.Dense(10, **like)(seen))
        self.arguments = {"columns": columns, "precision": precision}

    def get_config(self):
        return self.arguments


def test_every_random_layer_resumes_wherever_it_is(training, tmp_path):
    keras = flavor.keras
    task = loop.Task(
        network=lambda rows: Nested(list(rows), "float32"),
        optimiser=keras.optimizers.Adam,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum"),
        measures={},
    )
    recipe = loop.Recipe(batch=64, epochs=4, patience=4, validation=0.1, precision="float32")

    def learn(**more):
        where = replace(CONTEXT, **more)
        with seeding.deterministic(where):
            return digest.model_digest(loop.fit(*training, task, recipe, where))

    with pytest.raises(InterruptionError):
        learn(folder=tmp_path, report=partial(interrupt, 1))
    assert learn(folder=tmp_path) == learn()


def test_another_number_of_threads_is_refused_in_one_line(outcome):
    with (
        pytest.raises(errors.UserError, match=r"threads \(1\) than the 3 asked for") as caught,
        seeding.deterministic(replace(CONTEXT, threads=3)),
    ):
        pass
    assert "\n" not in str(caught.value)


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
    keras = flavor.keras
    layers = [keras.Input((1,)), keras.layers.Lambda(lambda x: x)]
    keras.Sequential(layers).save(tmp_path / "lambda.keras")
    (tmp_path / "lambda.keras").replace(file)
    with pytest.raises(errors.UserError, match="is damaged"):
        flavor.load(tmp_path / "model")
