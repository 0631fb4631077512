"""What is accepted quickly is what pandera accepts, and comes out the same."""

import math

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest

from ..project import acceptance, data, dataset, requests, schema


def rows_of(frame):
    """Rows as a request has them."""
    return frame.astype(object).to_dict("records")


def valid(number):
    """Rows of the project's own data."""
    rows = data.load().dropna().head(number)[list(requests.COLUMNS)]
    return rows_of(dataset.validate(rows, schema.Inputs)[0])


def agreed(accepting, model, rows):
    """Whether rows are accepted quickly, after a look at what pandera makes of them."""
    quickly = accepting.accept(rows, list(rows[0]))
    typed, broken = dataset.validate(pd.DataFrame(rows), model)
    if quickly is not None:
        assert broken == []
        pd.testing.assert_frame_equal(quickly, typed)
    return quickly is not None


def numbers():
    """One column of numbers for each set of rules, and where these turn, or nearly."""
    seen = set()
    for name, column in requests.COLUMNS.items():
        rules = str((column.dtype, [(check.name, check.statistics) for check in column.checks]))
        if acceptance.kind_of(column) in requests.LARGEST and rules not in seen:
            seen.add(rules)
            turns = {0, -1, 1e300, np.nan}
            for check in column.checks:
                for value in (check.statistics or {}).values():
                    turns |= {*value} if isinstance(value, list | tuple | set) else {value}
            turns = {float(turn) for turn in turns if isinstance(turn, int | float)}
            beside = {math.nextafter(turn, way) for turn in turns for way in (-math.inf, math.inf)}
            yield name, sorted(turns | beside | {turn + 1 for turn in turns}, key=repr)


def test_the_projects_own_rows_are_accepted_quickly():
    accepting = requests.ACCEPTANCE
    assert agreed(accepting, schema.Inputs, valid(50)) is accepting.usable
    for row in valid(20):  # a rule judges each row by itself
        assert agreed(accepting, schema.Inputs, [row]) is accepting.usable


@pytest.mark.parametrize(("name", "values"), list(numbers()))
def test_at_the_edges_of_every_rule_pandera_agrees(name, values):
    first, second = valid(2)
    for value in values:
        agreed(requests.ACCEPTANCE, schema.Inputs, [first, {**second, name: value}])


class Many(pa.DataFrameModel):
    """Rules of every sort."""

    high: float = pa.Field(gt=0, lt=1)
    whole: int = pa.Field(ge=0, le=9)
    narrow: np.float32 = pa.Field(le=0.3)
    short: np.int8 = pa.Field(ge=0)
    text: str = pa.Field(str_matches="^[a-z]+$")
    maybe: float = pa.Field(nullable=True)
    own: float

    class Config:
        """As the template's."""

        strict = True
        coerce = True

    @pa.check("own")
    @classmethod
    def is_not_thirteen(cls, own):
        """A rule that only pandera knows."""
        return own != 13


FIRST = {"high": 0.5, "whole": 3, "narrow": 0.25, "short": 5, "text": "abc"}
FIRST |= {"maybe": 1.0, "own": 1.0}


@pytest.mark.parametrize(
    ("changed", "quickly"),
    [
        ({}, True),
        ({"high": 1}, False),
        ({"high": 0}, False),
        ({"whole": 9}, True),
        ({"whole": 10}, False),
        ({"narrow": 0.3}, True),
        ({"narrow": 0.4}, False),
        ({"short": 261}, False),
        ({"short": 6.0}, True),
        ({"text": "ABC"}, False),
        ({"text": 12}, False),
        ({"maybe": None}, False),  # right, but left to pandera
        ({"own": 13}, False),
    ],
)
def test_every_sort_of_rule_counts(changed, quickly):
    accepting = acceptance.Acceptance(Many.to_schema())
    assert agreed(accepting, Many, [FIRST, {**FIRST, **changed}]) is quickly


def test_a_schema_that_drops_rows_gives_no_answers(monkeypatch):
    first, second = valid(2)
    monkeypatch.setattr(requests.ACCEPTANCE, "usable", False)
    dropped = pd.DataFrame([second], index=[1])
    monkeypatch.setattr(dataset, "validate", lambda *_: (dropped, []))
    with pytest.raises(requests.RefusedError, match="drops or moves rows"):
        requests.check([first, second])


@pytest.mark.parametrize(
    "rules",
    [
        {"unique": ["a"]},
        {"ordered": True},
        {"add_missing_columns": True},
        {"parsers": pa.Parser(lambda rows: rows)},
        {"index": pa.Index(int)},
        {"coerce": False},
        {"columns": {"a": pa.Column(int, unique=True)}},
        {"columns": {"a": pa.Column(int, default=1)}},
        {"columns": {"a": pa.Column("datetime64[ns]")}},
        {"checks": pa.Check(lambda rows: len(rows) < 9)},
        {"columns": {"a": pa.Column(int, pa.Check(lambda values: values.mean() < 9))}},
        {"columns": {"a": pa.Column(int, parsers=pa.Parser(abs))}},
    ],
    ids=" ".join,
)
def test_what_looks_at_more_than_a_row_is_left_to_pandera(rules):
    made = pa.DataFrameSchema(**{"columns": {"a": pa.Column(int)}, "coerce": True, **rules})
    assert acceptance.Acceptance(made).accept([{"a": 1}], ["a"]) is None


def test_a_check_of_ones_own_by_a_known_name_is_pandera_s():
    odd = pa.Check(lambda values: values % 2 == 1, name="isin")
    accepting = acceptance.Acceptance(pa.DataFrameSchema({"a": pa.Column(int, odd, coerce=True)}))
    assert accepting.accept([{"a": 3}], ["a"]) is not None
    assert accepting.accept([{"a": 2}], ["a"]) is None
