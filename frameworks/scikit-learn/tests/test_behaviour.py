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
# Larger means more at risk: what medicine knows, the model has to have learned.
RAISES_RISK = {"bmi": 5.0, "bp": 15.0, "ltg": 0.5}
# The model has no reason to look at these.
IRRELEVANT = {"age": 10.0, "glu": 10.0}


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


@pytest.mark.parametrize(("column", "step"), RAISES_RISK.items())
def test_what_raises_risk_raises_the_score(outcome, inputs, column, step):
    after = bundle.score(outcome.model, inputs.assign(**{column: inputs[column] + step}))
    assert (after > bundle.score(outcome.model, inputs)).mean() > 0.95


@pytest.mark.parametrize(("column", "step"), IRRELEVANT.items())
def test_what_does_not_matter_changes_nothing(outcome, inputs, column, step):
    after = bundle.score(outcome.model, inputs.assign(**{column: inputs[column] + step}))
    np.testing.assert_array_equal(after, bundle.score(outcome.model, inputs))


@pytest.mark.parametrize("kind", ["sex", "age_band"])
def test_no_group_of_patients_is_left_out(outcome, split, kind):
    groups = schema.groups(split.holdout)[kind].to_numpy()
    for group in np.unique(groups):
        member = groups == group
        assert model.metrics(outcome.labels[member], outcome.scores[member])["roc_auc"] > 0.7, group


@pytest.mark.model_code
def test_fitting_lowers_the_loss(training):
    x, y = training
    fitted = [model.fit(x, y, {"C": strength}, CONTEXT) for strength in (1e-6, 1e-2, 1.0)]
    losses = [model.metrics(y, model.predict(one, x))["log_loss"] for one in fitted]
    prior = model.metrics(y, np.full(len(y), y.mean()))["log_loss"]
    assert prior > losses[0] > losses[1] > losses[2]


@pytest.mark.model_code
def test_it_can_learn_a_handful_of_rows_by_heart(split):
    few = split.train.groupby(schema.TARGET).head(4)
    x, y = features.features.build(few), few[schema.TARGET]
    scores = model.predict(model.fit(x, y, {"C": 1e6}, CONTEXT), x)
    np.testing.assert_array_equal(model.decide(scores), y)
