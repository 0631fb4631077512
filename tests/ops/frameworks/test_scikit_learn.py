"""scikit-learn's part of the standard: scores depend on the row alone.

Runs inside a render of the framework, where `...project` is the package under test.
"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ..conftest import ROOT
from ..project import bundle, context, features, model, schema
from ..project import settings as project_settings

PARAMS = project_settings.load_params(ROOT / "params.yaml")
CONTEXT = context.Context(seed=0)


def test_a_row_s_score_does_not_depend_on_its_neighbours(outcome, inputs):
    whole = bundle.score(outcome.model, inputs)
    order = np.random.default_rng(0).permutation(len(inputs))
    np.testing.assert_allclose(bundle.score(outcome.model, inputs.iloc[order]), whole[order])
    np.testing.assert_allclose(bundle.score(outcome.model, inputs.head(1)), whole[:1])


def test_shuffled_labels_teach_it_nothing(split):
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
