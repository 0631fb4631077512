"""Yours: how the model has to behave, whatever its metrics say."""

import json

import numpy as np
import pytest

from ..contract import ROOT
from ..project import bundle, context, features, model, schema
from ..project import settings as project_settings

PARAMS = project_settings.load_params(ROOT / "params.yaml")
CONTEXT = context.Context(seed=0)
RECORDED = json.loads((ROOT / "tests" / "yours" / "baseline.json").read_text())
# A drop in the gate's metric that another processor does not explain.
DROP = 0.02
# What medicine knows: a step up in each of these, and which way the answer must go.
DIRECTIONS = [("bmi", 5.0, 1), ("bp", 15.0, 1), ("ltg", 0.5, 1), ("hdl", 15.0, -1)]
# The model has no reason to look at these.
IRRELEVANT = {"age": 10.0, "glu": 10.0, "tc": 20.0, "ldl": 20.0, "tch": 1.0}


@pytest.fixture
def training(split):
    """Features and labels of the training rows."""
    return features.features.build(split.train), split.train[schema.TARGET]


def fallen_behind(metrics):
    """Whether the gate's metric is worse than `evaluate --record` kept."""
    return metrics[PARAMS.gate.metric] < RECORDED[PARAMS.gate.metric] - DROP


def test_quality_has_not_fallen_behind_the_recorded_baseline(outcome):
    assert not fallen_behind(outcome.metrics)


def test_a_worse_model_falls_behind_the_recorded_baseline(outcome):
    shuffled = np.random.default_rng(0).permutation(outcome.scores)
    assert fallen_behind(model.metrics(outcome.labels, shuffled))


@pytest.mark.parametrize(("column", "step", "way"), DIRECTIONS)
def test_each_measurement_moves_the_score_the_way_it_must(outcome, inputs, column, step, way):
    after = bundle.score(outcome.model, inputs.assign(**{column: inputs[column] + step}))
    moved = way * (after - bundle.score(outcome.model, inputs))
    assert (moved >= 0).all()
    assert moved.mean() > 2


@pytest.mark.parametrize(("column", "step"), IRRELEVANT.items())
def test_what_does_not_matter_changes_nothing(outcome, inputs, column, step):
    after = bundle.score(outcome.model, inputs.assign(**{column: inputs[column] + step}))
    np.testing.assert_array_equal(after, bundle.score(outcome.model, inputs))


@pytest.mark.parametrize("kind", ["sex", "age_band"])
def test_no_group_of_patients_is_left_out(outcome, split, kind):
    groups = schema.groups(split.holdout)[kind].to_numpy()
    for group in np.unique(groups):
        member = groups == group
        assert model.metrics(outcome.labels[member], outcome.scores[member])["r2"] > 0.2, group


@pytest.mark.model_code
def test_fitting_lowers_the_loss(training):
    x, y = training
    whole = {**PARAMS.model, "validation": 0}
    fitted = [model.fit(x, y, {**whole, "rounds": rounds}, CONTEXT) for rounds in (1, 10, 100)]
    losses = [model.metrics(y, model.predict(one, x))["rmse"] for one in fitted]
    assert y.std(ddof=0) > losses[0] > losses[1] > losses[2]


@pytest.mark.model_code
def test_it_can_learn_a_handful_of_rows_by_heart(split):
    few = split.train.drop_duplicates(["bmi", "ltg"]).head(8)
    x, y = features.features.build(few), few[schema.TARGET]
    free = {"validation": 0, "learning_rate": 0.3, "monotone_constraints": {}, "lambda": 0}
    np.testing.assert_allclose(model.predict(model.fit(x, y, free, CONTEXT), x), y, atol=1)
