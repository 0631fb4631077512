"""The row model and pandera agree, on every kind of column and constraint."""

import json
import math
from datetime import UTC

import hypothesis
import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ..data.test_columns import TYPES
from ..project import answers, columns, constraints, data, dataset, golden, requests, schema
from ..project import rows as row_model

LIMITS = {"min_value": -2, "max_value": 3}
OPEN = {**LIMITS, "include_min": False, "include_max": False}
NUMBERS = (
    st.integers(-5, 5)
    | st.integers(-(2**70), 2**70)
    | st.floats(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([math.nextafter(edge, way) for edge in (-2, 0, 0.3, 3) for way in (-9, 9)])
    | st.sampled_from([-2, 3, 0.3, 2**53 + 1, 2**63 - 1, 2**63, 127, 128, 255, 256, 3.0, -0.0])
)
# Not empty: that is no value, see test_empty_text_is_refused_as_no_file_has_it.
TEXT = st.text(min_size=1, max_size=5) | st.sampled_from(["a", "ab", "abc", "ab\n", "é", "B", "12"])
TIMES = st.datetimes().map(lambda at: at.isoformat())
# All in one form: pandas takes that of the first for all.
ZONED = st.datetimes(timezones=st.just(UTC)).map(lambda at: at.isoformat(timespec="microseconds"))
COLUMNS = {
    "float": (pa.Column(float), NUMBERS),
    "float, null": (pa.Column(float, pa.Check.in_range(**LIMITS), nullable=True), NUMBERS),
    "float in a range": (pa.Column(float, pa.Check.in_range(**LIMITS)), NUMBERS),
    "float in an open range": (pa.Column(float, pa.Check.in_range(**OPEN)), NUMBERS),
    "float by two limits": (pa.Column(float, [pa.Check.gt(-2), pa.Check.lt(3)]), NUMBERS),
    "float by limits of a kind": (
        pa.Column(float, [pa.Check.ge(-2), pa.Check.in_range(**LIMITS), pa.Check.le(0.3)]),
        NUMBERS,
    ),
    "float of a few": (pa.Column(float, pa.Check.isin([0.3, 3, -2.0])), NUMBERS),
    "float but not": (pa.Column(float, pa.Check.notin([0.3, 3])), NUMBERS),
    "float equal": (pa.Column(float, pa.Check.eq(3)), NUMBERS),
    "float under a large limit": (pa.Column(float, pa.Check.le(2**53 + 1)), NUMBERS),
    "float32": (pa.Column("float32", pa.Check.le(0.3)), NUMBERS),
    "Float64, null": (pa.Column("Float64", pa.Check.gt(0), nullable=True), NUMBERS),
    "int": (pa.Column(int), NUMBERS),
    "int in a range": (pa.Column(int, pa.Check.in_range(**LIMITS)), NUMBERS),
    "int in an open range": (pa.Column(int, pa.Check.in_range(**OPEN)), NUMBERS),
    "int by fractions": (pa.Column(int, pa.Check.in_range(-1.5, 2.5)), NUMBERS),
    "int by strict fractions": (pa.Column(int, [pa.Check.gt(-1.5), pa.Check.lt(2.5)]), NUMBERS),
    "int of a few": (pa.Column(int, pa.Check.isin([1, 2, 300])), NUMBERS),
    "int8": (pa.Column("int8", pa.Check.ge(0)), NUMBERS),
    "uint8": (pa.Column("uint8"), NUMBERS),
    "Int64, null": (pa.Column("Int64", pa.Check.in_range(**LIMITS), nullable=True), NUMBERS),
    "int by a rule of one's own": (pa.Column(int, pa.Check(lambda x: x % 2 == 1)), NUMBERS),
    "int by one of a known name": (
        pa.Column(int, pa.Check(lambda x: x % 2 == 1, name="isin")),
        NUMBERS,
    ),
    "bool": (pa.Column(bool), st.booleans()),
    "bool of one": (pa.Column(bool, pa.Check.isin([True])), st.booleans()),
    "boolean, null": (pa.Column("boolean", nullable=True), st.booleans()),
    "text": (pa.Column(str), TEXT),
    "text, null": (pa.Column(str, pa.Check.str_length(1, 3), nullable=True), TEXT),
    "text of a length": (pa.Column(str, pa.Check.str_length(2, 3)), TEXT),
    "text of one length": (pa.Column(str, pa.Check.str_length(exact_value=2)), TEXT),
    "text of a least length": (pa.Column(str, pa.Check.str_length(min_value=2)), TEXT),
    "text of a form": (pa.Column(str, pa.Check.str_matches(r"^[a-z]+$")), TEXT),
    "text of a form in words": (pa.Column(str, pa.Check.str_matches(r"\w(?!b)")), TEXT),
    "text that starts so": (pa.Column(str, pa.Check.str_startswith("a")), TEXT),
    "text of a few": (pa.Column(str, pa.Check.isin(["a", "é", ""])), TEXT),
    "category": (pa.Column(pd.CategoricalDtype(["a", "ab", "é"])), TEXT),
    "category, null": (pa.Column(pd.CategoricalDtype(["a", "é"]), nullable=True), TEXT),
    "time": (pa.Column("datetime64[ns]"), TIMES),
    "time in seconds": (pa.Column("datetime64[s]"), TIMES),
    "time, null": (pa.Column("datetime64[ns]", nullable=True), TIMES),
    "time with a zone": (pa.Column(pd.DatetimeTZDtype("ns", "UTC")), ZONED),
    "time after another": (
        pa.Column("datetime64[ns]", pa.Check.gt(pd.Timestamp("2000-01-01"))),
        TIMES,
    ),
}


def made(column):
    return pa.DataFrameSchema({"a column": column}, coerce=True, strict=True)


def judged(own, rows):
    """What the service makes of rows: their typed values, None where it refuses them."""
    sent = TypeAdapter(list[row_model.row_type(own)])
    try:
        accepted = sent.validate_python(json.loads(json.dumps(rows)))
    except ValidationError:
        return None
    frame = columns.frame(own.columns, own.columns, accepted)
    for name, check in row_model.pandera_checks(own):
        if not check(frame if name is None else frame[name]).check_passed:
            return None
    return frame


@pytest.mark.parametrize("name", COLUMNS)
@hypothesis.settings(max_examples=20, deadline=None)  # others at each run
@hypothesis.given(values=st.data())
def test_the_row_model_and_pandera_accept_the_same(name, values):
    column, strategy = COLUMNS[name]
    own = made(column)
    assert not row_model.needs_pandera(own)
    # pandera makes False of null where a column is NumPy's bool; the row model refuses it.
    false = constraints.dtype_of(column) == np.dtype(bool)
    values_or_null = strategy if false else strategy | st.none()
    given = values.draw(st.lists(values_or_null, min_size=1, max_size=3))
    frame = judged(own, [{"a column": value} for value in given])
    raw = pd.DataFrame({"a column": pd.Series(given, dtype=object)})
    typed, broken = dataset.validate(raw, own)
    # And an infinity of what a float32 has no number for.
    hypothesis.assume(not typed.isin([math.inf, -math.inf]).any(axis=None))
    assert (frame is None) == bool(broken), broken
    if frame is not None:
        pd.testing.assert_frame_equal(frame, typed)


@pytest.mark.parametrize("kind", [str, None, object])
def test_empty_text_is_refused_as_no_file_has_it(kind):
    column = pa.Column(kind, pa.Check.str_length(0, 9), nullable=True)
    own = row_model.row_type(made(column))
    with pytest.raises(ValidationError, match=r"empty text|at least 1 character"):
        TypeAdapter(own).validate_python({"a column": ""})
    assert TypeAdapter(own).validate_python({"a column": "x"}) == {"a column": "x"}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (pa.Column(float), "3"),
        (pa.Column(float), True),
        (pa.Column(float), math.nan),
        (pa.Column(float, nullable=True), math.inf),
        (pa.Column("float32"), 1e300),
        (pa.Column(float), 10**400),
        (pa.Column(int), "3"),
        (pa.Column(int), True),
        (pa.Column(int), 15.99),
        (pa.Column(int), math.nan),
        (pa.Column(int, nullable=True), None),
        (pa.Column(bool), 1),
        (pa.Column(bool), "true"),
        (pa.Column(bool, nullable=True), None),
        (pa.Column(str), 12),
        (pa.Column(str), ["a"]),
        (pa.Column(object), ["a"]),
        (pa.Column(object), {}),
        (pa.Column(object), None),
        (pa.Column(object), math.inf),
        (pa.Column("datetime64[ns]"), 1700000000),
        (pa.Column("datetime64[ns]"), "1700000000"),
        (pa.Column("datetime64[ns]"), "today"),
        (pa.Column("datetime64[ns]"), "2024-02-30"),
        (pa.Column("datetime64[ns]"), "2024-02-29T12:30:00Z"),
        (pa.Column("datetime64[ns]"), "9999-12-31"),
        (pa.Column(pd.DatetimeTZDtype("ns", "UTC")), "2024-02-29T12:30:00"),
    ],
)
def test_json_of_another_type_is_refused(column, value):
    """Also where pandera would make something of it."""
    assert judged(made(column), [{"a column": value}]) is None


def test_values_keep_all_their_digits():
    own = pa.DataFrameSchema({"x": pa.Column(float), "n": pa.Column(int)})
    sent = '[{"x": 0.1000000000000000055, "n": 9007199254740993}, {"x": 1e-320, "n": 3.0}]'
    rows = TypeAdapter(list[row_model.row_type(own)]).validate_python(json.loads(sent))
    assert rows == json.loads(sent)
    frame = columns.frame(own.columns, ["x", "n"], rows)
    assert frame["n"].tolist() == [9007199254740993, 3]
    at = pa.DataFrameSchema({"at": pa.Column("datetime64[ns]")})
    frame = judged(at, [{"at": "2024-02-29T12:30:00.123456789"}])
    assert frame["at"][0] == pd.Timestamp("2024-02-29T12:30:00.123456789")


@pytest.mark.parametrize(
    "rules",
    [
        {"unique": ["a"]},
        {"add_missing_columns": True},
        {"parsers": pa.Parser(lambda rows: rows)},
        {"index": pa.Index(int)},
        {"columns": {"a": pa.Column(int, unique=True)}},
        {"columns": {"a": pa.Column(int, default=1)}},
        {"columns": {"a": pa.Column(object)}},
        {"columns": {"a": pa.Column()}},
        {"columns": {"a": pa.Column(int, parsers=pa.Parser(abs))}},
        {"drop_invalid_rows": True},
    ],
    ids=" ".join,
)
def test_what_is_more_than_types_and_checks_is_left_to_pandera(rules):
    own = pa.DataFrameSchema(**{"columns": {"a": pa.Column(int)}, **rules})
    assert row_model.needs_pandera(own)


def test_the_description_has_every_constraint():
    own = pa.DataFrameSchema(
        {
            "a b": pa.Column(float, pa.Check.in_range(1, 2, include_max=False), nullable=True,
                             description="in mm"),
            "n": pa.Column(int, [pa.Check.gt(0), pa.Check.isin([1, 2])]),
            "t": pa.Column(str, [pa.Check.str_length(1, 3), pa.Check.str_matches("^a")]),
            "c": pa.Column(pd.CategoricalDtype(["x", "y"]), required=False),
            "at": pa.Column("datetime64[ns]"),
            "yes": pa.Column(bool),
        }
    )  # fmt: skip
    made = TypeAdapter(row_model.row_type(own)).json_schema()
    found = {
        name: {key: value for key, value in field.items() if key != "title"}
        for name, field in made["properties"].items()
    }
    number = {"type": "number", "minimum": 1, "exclusiveMaximum": 2}
    assert found == {
        "a b": {"anyOf": [number, {"type": "null"}], "description": "in mm"},
        "n": {"type": "integer", "exclusiveMinimum": 0, "enum": [1, 2]},
        "t": {"type": "string", "minLength": 1, "maxLength": 3, "pattern": "^a"},
        "c": {"type": "string", "enum": ["x", "y"]},
        "at": {"type": "string", "format": "date-time"},
        "yes": {"type": "boolean"},
    }
    assert made["additionalProperties"] is False
    assert made["required"] == ["a b", "n", "t", "at", "yes"]


def test_the_projects_own_rows_are_accepted_and_typed_as_pandera_types_them():
    rows = data.load().dropna().head(50)[list(requests.COLUMNS)]
    typed, _ = dataset.validate(rows, schema.Inputs)
    frame = judged(requests.SCHEMA, json.loads(typed.to_json(orient="records", date_format="iso")))
    pd.testing.assert_frame_equal(frame, typed)


class Frame:
    """Swaps the service's schema for another, for one test."""

    def __init__(self, monkeypatch, **rules):
        self.own = pa.DataFrameSchema(**{"coerce": True, "strict": True, **rules})
        monkeypatch.setattr(requests, "SCHEMA", self.own)
        monkeypatch.setattr(requests, "COLUMNS", self.own.columns)
        monkeypatch.setattr(requests, "CHECKS", row_model.pandera_checks(self.own))
        monkeypatch.setattr(requests, "WHOLE", row_model.needs_pandera(self.own))
        monkeypatch.setattr(schema, "Inputs", self.own)


def said(refusals):
    return [refused and refused.body for refused in refusals]


def test_a_row_that_breaks_a_rule_over_columns_is_its_own_request_s(monkeypatch):
    less = pa.Check(lambda rows: rows["a"] < rows["b"], error="a must be less than b")
    Frame(monkeypatch, columns={"a": pa.Column(int), "b": pa.Column(int)}, checks=less)
    good, bad = {"a": 1, "b": 2}, {"a": 3, "b": 2}
    frame, refusals = requests.check([[good], [good, bad], [good, good]])
    assert frame.to_dict("records") == [good] * 3
    detail = "row 1: a must be less than b"
    broken = [{"row": 1, "column": None, "reason": "a must be less than b"}]
    assert said(refusals) == [None, {"detail": detail, "violations": broken}, None]


def test_a_rule_over_rows_sees_those_of_one_request(monkeypatch):
    few = pa.Check(lambda rows: len(rows) < 3, error="at most two rows")
    mean = pa.Check(lambda values: values.mean() < 5, error="mean below 5")
    Frame(monkeypatch, columns={"a": pa.Column(int, mean)}, checks=few)
    frame, refusals = requests.check([[{"a": 1}] * 2, [{"a": 9}], [{"a": 4}, {"a": 5}]])
    assert frame["a"].tolist() == [1, 1, 4, 5]
    assert [refused and refused.detail for refused in refusals] == [
        None,
        "column a: mean below 5",
        None,
    ]


def test_unique_rows_are_unique_within_a_request(monkeypatch):
    Frame(monkeypatch, columns={"a": pa.Column(int)}, unique=["a"])
    frame, refusals = requests.check([[{"a": 1}], [{"a": 1}, {"a": 1}], [{"a": 1}, {"a": 2}]])
    assert frame["a"].tolist() == [1, 1, 2]
    assert [bool(refused) for refused in refusals] == [False, True, False]
    assert "duplicated" in refusals[1].detail


def test_a_schema_that_drops_rows_gives_no_answers(monkeypatch):
    Frame(monkeypatch, columns={"a": pa.Column(int, pa.Check.gt(0))}, drop_invalid_rows=True)
    dropped = pd.DataFrame({"a": [1]}, index=[1])
    monkeypatch.setattr(dataset, "validate", lambda *_: (dropped, []))
    with pytest.raises(requests.RefusedError, match="drops or moves rows"):
        requests.check([[{"a": 0}, {"a": 1}]])


@pytest.mark.parametrize("name", TYPES)
def test_golden_rows_are_accepted_by_the_service_with_the_same_values(monkeypatch, name):
    """As `prepare` reads them, `register` keeps them and the service replays them."""
    kind, values = TYPES[name]
    frame = Frame(monkeypatch, columns={"x": pa.Column(kind, nullable=True)})
    rows = dataset.check(pd.DataFrame({"x": pd.Series(values, dtype=object)}), frame.own, "rows")
    sent = json.dumps({"rows": golden.as_sent(rows)}, allow_nan=False).encode()
    monkeypatch.setattr(requests, "ROW", TypeAdapter(row_model.row_type(frame.own)))
    monkeypatch.setattr(requests, "OPTIONAL", set())
    served, refusals = requests.check([requests.parse(sent)])
    assert refusals == [None]
    pd.testing.assert_frame_equal(served, rows, check_exact=True)


@pytest.mark.parametrize(
    ("given", "feature", "count"),
    [(1.0, math.nan, 1), (math.nan, math.nan, 0), (math.nan, math.inf, 1), (1.0, 1.0, 0)],
)
def test_a_feature_is_missing_for_good_reason_where_an_input_is(monkeypatch, given, feature, count):
    Frame(monkeypatch, columns={"a": pa.Column(float, nullable=True)})
    x = pd.DataFrame({"f": [feature]})
    assert answers.unexplained(pd.DataFrame({"a": [given]}), x) == count
    assert answers.unexplained(pd.DataFrame(index=[0]), x) == int(math.isinf(feature))


@pytest.mark.parametrize("limit", [3, np.int64(3), np.float64(3)])
def test_limits_of_numpy_are_limits(limit):
    own = made(pa.Column(int, [pa.Check.ge(limit), pa.Check.isin(np.array([2, 3, 4]))]))
    assert not row_model.pandera_checks(own)
    assert judged(own, [{"a column": 3}]) is not None
    assert judged(own, [{"a column": 2}]) is None


def test_a_column_is_left_out_by_all_rows_or_by_none(monkeypatch):
    columns = {"a": pa.Column(int), "b": pa.Column(int, required=False)}
    frame = Frame(monkeypatch, columns=columns)
    monkeypatch.setattr(requests, "ROW", TypeAdapter(row_model.row_type(frame.own)))
    monkeypatch.setattr(requests, "OPTIONAL", {"b"})
    assert requests.parse(b'{"rows": [{"a": 1}, {"a": 2}]}') == [{"a": 1}, {"a": 2}]
    with pytest.raises(requests.RefusedError, match="row 1, column b: is missing"):
        requests.parse(b'{"rows": [{"a": 1, "b": 2}, {"a": 2}]}')
    typed, _ = requests.check([[{"a": 1}]])
    assert typed.dtypes.to_dict() == {"a": np.dtype("int64")}
