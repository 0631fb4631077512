"""Yours: the schema's rules that look at more than one column."""

import pandas as pd
import pytest

from ..project import data, dataset, schema

RULES = [
    (dict.fromkeys(schema.PIXELS, 1), "the picture is blank: less than a tenth of it is ink"),
    (
        dict.fromkeys(schema.PIXELS, 11),
        "the picture is inverted: more than two thirds of it are ink",
    ),
]


@pytest.mark.parametrize(("change", "rule"), RULES)
def test_rows_that_cannot_be_are_found(inputs, change, rule):
    rows = inputs.head(5).copy()
    rows.loc[rows.index[2], list(change)] = list(change.values())
    found = {(one.rule, tuple(one.rows)) for one in dataset.validate(rows, schema.Inputs)[1]}
    assert found == {(rule, (2,))}


@pytest.mark.parametrize("least", [schema.PIXELS[0], schema.PIXELS[-1]])
def test_every_pixel_is_asked_for(inputs, least):
    broken = dataset.validate(inputs.drop(columns=least), schema.Inputs)[1]
    assert [(one.column, one.rule) for one in broken] == [(least, "is missing")]


def test_a_digit_that_never_occurs_is_found(rows):
    _, broken = dataset.validate(rows[rows["digit"] != 7], schema.Labelled)
    assert any("every digit must occur" in one.rule for one in broken)


def test_the_same_picture_under_two_names_is_found():
    rows = data.load()
    twice = pd.concat([rows, rows.head(1).assign(image_id="I9999")])
    _, broken = dataset.validate(twice, schema.Labelled)
    assert [(one.rule, one.rows) for one in broken] == [("rows are duplicated", [0, len(rows)])]


def test_a_stroke_that_leans_is_told_from_an_upright_one():
    stroke = dict.fromkeys(schema.PIXELS, 0)
    rows = pd.DataFrame(
        [
            {**stroke, **{f"r{row}c3": 16 for row in range(8)}},
            {**stroke, **{f"r{row}c{7 - row}": 16 for row in range(8)}},
            {**stroke, **{f"r{row}c{row}": 8 for row in range(8)}},
        ]
    )
    assert schema.lean(rows).round(6).tolist() == [0.0, -1.0, 1.0]
    assert schema.groups(rows)["lean"].tolist() == ["upright", "to the right", "to the left"]
    assert schema.groups(rows)["stroke"].tolist() == ["thin"] * 3
