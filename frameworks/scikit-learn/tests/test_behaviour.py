"""Yours: how the model has to behave, whatever its metrics say."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ..conftest import ROOT
from ..project import bundle, context, features, model, schema
from ..project import settings as project_settings

PARAMS = project_settings.load_params(ROOT / "params.yaml")
CONTEXT = context.Context(seed=0)
# Larger means more at risk: what medicine knows, the model has to have learnt.
RAISES_RISK = {"bmi": 5.0, "bp": 15.0, "ltg": 0.5}
# The model has no reason to look at these.
IRRELEVANT = {"age": 10.0, "glu": 10.0}


@pytest.fixture(scope="module")
def baseline():
    """The metrics that `evaluate --record` kept."""
    return json.loads((ROOT / "tests" / "model" / "baseline.json").read_text())


def regressed(found, baseline, tolerance=0.01):
    """The metrics that are worse than recorded: lower, or higher where lower is better."""
    lower_is_better = {"brier", "log_loss"}
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


@pytest.mark.parametrize(("column", "step"), RAISES_RISK.items())
def test_what_raises_risk_raises_the_score(outcome, inputs, column, step):
    before = bundle.score(outcome.model, inputs)
    after = bundle.score(outcome.model, inputs.assign(**{column: inputs[column] + step}))
    assert (after > before).mean() > 0.95


@pytest.mark.parametrize(("column", "step"), IRRELEVANT.items())
def test_what_does_not_matter_changes_nothing(outcome, inputs, column, step):
    before = bundle.score(outcome.model, inputs)
    after = bundle.score(outcome.model, inputs.assign(**{column: inputs[column] + step}))
    np.testing.assert_array_equal(after, before)


def test_a_row_s_score_does_not_depend_on_its_neighbours(outcome, inputs):
    whole = bundle.score(outcome.model, inputs)
    order = np.random.default_rng(0).permutation(len(inputs))
    np.testing.assert_allclose(bundle.score(outcome.model, inputs.iloc[order]), whole[order])
    np.testing.assert_allclose(bundle.score(outcome.model, inputs.head(1)), whole[:1])


def test_fitting_lowers_the_loss(split):
    x, y = features.features.build(split.train), split.train[schema.TARGET]
    prior = np.full(len(y), y.mean())
    losses = [
        model.metrics(y, model.predict(model.fit(x, y, {"C": strength}, CONTEXT), x))["log_loss"]
        for strength in (1e-6, 1e-2, 1.0)
    ]
    assert model.metrics(y, prior)["log_loss"] > losses[0] > losses[1] > losses[2]


def test_it_can_learn_a_handful_of_rows_by_heart(split):
    few = split.train.groupby(schema.TARGET).head(4)
    x, y = features.features.build(few), few[schema.TARGET]
    scores = model.predict(model.fit(x, y, {"C": 1e6}, CONTEXT), x)
    np.testing.assert_array_equal(model.decide(scores), y)


def test_labels_without_meaning_teach_it_nothing(split):
    x, y = features.features.build(split.train), split.train[schema.TARGET]
    held, answers = features.features.build(split.holdout), split.holdout[schema.TARGET]
    found = []
    for seed in range(20):
        shuffled = y.sample(frac=1, random_state=seed).set_axis(y.index)
        scores = model.predict(model.fit(x, shuffled, PARAMS.model, CONTEXT), held)
        found.append(model.metrics(answers, scores)["roc_auc"])
    assert abs(np.mean(found) - 0.5) < 0.2


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_valid_row_gets_a_probability(outcome, split, data):
    row = split.train.drop(columns=[schema.IDENTIFIER, schema.TARGET]).head(1)
    for name, column in schema.Inputs.to_schema().columns.items():
        limits = column.checks[0].statistics
        if "min_value" in limits:
            values = st.floats(limits["min_value"], limits["max_value"])
        else:
            values = st.sampled_from(limits["allowed_values"])
        row[name] = data.draw(values, label=name)
    score = bundle.score(outcome.model, row)
    assert np.isfinite(score).all()
    assert ((score >= 0) & (score <= 1)).all()
