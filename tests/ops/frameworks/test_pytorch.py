"""PyTorch's part of the standard: the same weights again, models that are kept safely.

Runs inside a render of the framework, where `...project` is the package under test.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from ..project import bundle, digest, errors, flavor, loop, model, seeding
from .networks import *  # noqa: F403 - the tests that hold for every network
from .networks import CONTEXT, DEVICES, SHORT, digest_of, fit, judge

PRECISIONS = [
    (device, precision)
    for device in DEVICES
    for precision in loop.PRECISIONS
    if (device, precision) != ("cpu", "float16")
]


def test_a_score_does_not_depend_on_threads(outcome, inputs):
    whole = bundle.score(outcome.model, inputs)
    with seeding.deterministic(replace(CONTEXT, threads=torch.get_num_threads() + 1)):
        np.testing.assert_array_equal(bundle.score(outcome.model, inputs), whole)


def test_threads_that_score_at_once_get_the_same_scores_as_alone(outcome, inputs):
    few = [inputs.iloc[start : start + 8] for start in range(0, 320, 8)]
    alone = [bundle.score(outcome.model, rows) for rows in few]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(partial(bundle.score, outcome.model), few))
    np.testing.assert_array_equal(np.concatenate(together), np.concatenate(alone))


@pytest.mark.parametrize(("device", "precision"), PRECISIONS)
def test_less_precision_is_good_enough_and_repeats(training, held, device, precision, tmp_path):
    where = replace(CONTEXT, device=device)
    params = {**SHORT, "epochs": 3, "precision": precision}
    fitted = fit(training, params, where)
    assert judge(fitted, held)["accuracy"] > 0.8
    assert {value.dtype for value in fitted.state_dict().values()} == {torch.float32}
    assert digest.model_digest(fitted) == digest_of(training, params, where)
    flavor.save(fitted, tmp_path / "model", pip_requirements=[])
    stored = flavor.load(tmp_path / "model")
    np.testing.assert_array_equal(model.predict(stored, held[0]), model.predict(fitted, held[0]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"precision": "float16"}, "float16 needs a GPU"),
        ({"precision": "float8"}, "precision is one of float32, bfloat16, float16, not float8"),
        ({"learning_rate": 1e30}, "the loss of epoch 0 is not a number; lower learning_rate"),
    ],
)
def test_unusable_parameters_are_reported(training, change, message):
    with pytest.raises(ValueError, match=message):
        fit(training, {**SHORT, **change})


def test_missing_cuda_is_reported_in_one_line(training, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(errors.UserError) as caught:
        fit(training, SHORT, replace(CONTEXT, device="cuda"))
    assert str(caught.value).startswith("CUDA was asked for (ML_DEVICE, ")
    assert str(caught.value).endswith("; run where there is a GPU, or set ML_DEVICE=cpu")
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(torch.version, "cuda", None)
    with (
        pytest.raises(errors.UserError, match="PyTorch was built without it"),
        seeding.deterministic(replace(CONTEXT, device="cuda")),
    ):
        pass


def test_what_makes_a_training_repeatable_is_undone_after_it():
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with seeding.deterministic(replace(CONTEXT, threads=3)):
        assert torch.get_num_threads() == 3
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.allow_tf32
    assert before == (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())


def test_a_stored_model_cannot_run_code(outcome, tmp_path, monkeypatch):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").touch, ())

    flavor.save(outcome.model, tmp_path / "model", pip_requirements=[])
    (file,) = tmp_path.rglob(flavor.FILE)
    torch.save({"class": "Network", "arguments": {}, "weights": Trap()}, file)
    with pytest.raises(errors.UserError, match="is damaged"):
        flavor.load(tmp_path / "model")
    assert not (tmp_path / "sprung").exists()
    torch.jit.script(torch.nn.Linear(1, 1)).save(file)
    with pytest.raises(errors.UserError, match="is damaged"):
        flavor.load(tmp_path / "model")
    monkeypatch.setattr(model, "helper", pytest.fail, raising=False)  # not a class of models
    torch.save({"class": "helper", "arguments": {"reason": "called"}, "weights": {}}, file)
    with pytest.raises(errors.UserError, match="has no model helper"):
        flavor.load(tmp_path / "model")
