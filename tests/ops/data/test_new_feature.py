"""A new feature is one function: data, training and gate need no other change."""

import pandas as pd

from ..project import evaluation, features, schema

COLUMN = next(iter(schema.Inputs.to_schema().columns))


def test_a_feature_is_one_function(split, params, monkeypatch):
    monkeypatch.setattr(features.features, "functions", dict(features.features.functions))
    before = features.features.names

    @features.features.add
    def width(rows: pd.DataFrame) -> pd.Series:
        """The length of the first column's text: a number, whatever that holds."""
        return rows[COLUMN].astype(str).str.len()

    outcome = evaluation.run(split, params)
    judged = {name.removeprefix("importance.") for name in outcome.metrics
              if name.startswith("importance.")}  # fmt: skip
    assert judged == {*before, "width", "noise"}
    assert set(features.features.cost(split.train)) == {*before, "width"}
