"""Yours: the schema's rules that look at more than one column."""

import json

import pytest

from ..project import dataset, requests, schema

RULES = [
    ({"hdl": 149.0, "tch": 1.0}, "hdl and ldl together cannot exceed tc"),
    ({"tch": 14.0}, "tch must be tc / hdl, to within 1"),
]


@pytest.mark.parametrize(("change", "rule"), RULES)
def test_rows_that_cannot_be_are_found(inputs, change, rule):
    rows = inputs.head(5).copy()
    rows.loc[rows.index[2], list(change)] = list(change.values())
    found = {(one.rule, tuple(one.rows)) for one in dataset.validate(rows, schema.Inputs)[1]}
    assert (rule, (2,)) in found


@pytest.mark.parametrize(("change", "rule"), RULES)
def test_the_service_refuses_them_too(inputs, change, rule):
    row = inputs.head(1).to_dict("records")[0]
    body = json.dumps({"rows": [row, {**row, **change}]}).encode()
    with pytest.raises(requests.RefusedError) as refused:
        requests.read(body)
    assert (1, None, rule) in {(one.row, one.column, one.reason) for one in refused.value.misfits}


def test_a_label_that_never_occurs_is_found(rows):
    _, broken = dataset.validate(rows.assign(high_progression=1), schema.Labelled)
    assert any("both labels must occur" in one.rule for one in broken)
