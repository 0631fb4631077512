"""What is written to a file comes back as the same values, of every kind that a schema may ask."""

import json
import math
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest
from pandera.engines import pandas_engine

from ..project import columns, data, dataset, errors, golden, record, schema, settings

BERLIN = pd.DatetimeTZDtype("ns", "Europe/Berlin")
SUMMER, WINTER = (
    pd.Timestamp(text, tz="Europe/Berlin") for text in ("2024-07-01T12:30:00", "2024-12-01")
)
at = pd.Timestamp
TYPES = {
    "text": (
        str,
        ["NA", "02100", 'a, "quoted"\nword', "a\rb", " é 数 ", "nan", "1e5", "True", "-"],
    ),
    "text, null": (str, ["null", None]),
    "float": (float, [0.1, 5e-324, 1.7976931348623157e308, -0.0, 12345678901234567.0, math.nan]),
    "float32": ("float32", [0.1, 16777217]),
    "Float64": ("Float64", [0.1, None]),
    "int": (int, [2**53 + 1, -(2**63), 2**63 - 1]),
    "uint64": ("uint64", [2**64 - 1, 0]),
    "Int64, null": ("Int64", [2**53 + 1, None]),
    "bool": (bool, [True, False]),
    "boolean, null": ("boolean", [True, None, False]),
    "category": (pd.CategoricalDtype(["b", "a", "NA", "unseen"]), ["NA", "a"]),
    "category, null": (pd.CategoricalDtype(["a", "unseen"], ordered=True), ["a", None]),
    "category of numbers": (pd.CategoricalDtype([1, 2, 10]), [10, 1, None]),
    "date": ("datetime64[ns]", [at("2024-02-29"), at("1970-01-01"), None]),
    "time": ("datetime64[ns]", [at("2024-02-29T12:30:00.123456789"), at("1960-01-01")]),
    "time in seconds": ("datetime64[s]", [at("2024-02-29T12:30:00"), at("1960-01-01")]),
    "time with a zone": (pd.DatetimeTZDtype("ns", "UTC"), [at("2024-02-29T00:00:00Z"), None]),
    "time of a place": (BERLIN, [SUMMER, WINTER, None]),
    "decimal": (pandas_engine.Decimal(10, 2), [Decimal("1.10"), Decimal("12345678.01")]),
    "span": ("timedelta64[ns]", [pd.Timedelta("1 days 02:03:04.000005"), None]),
    "day": (pandas_engine.Date(), [date(2024, 2, 29), date(1970, 1, 1)]),
}


@pytest.fixture
def source(monkeypatch, tmp_path):
    """Make the project's data and schema one table of an identifier, columns and a target."""

    def make(types, **values):
        config = pa.DataFrameSchema(
            {
                schema.IDENTIFIER: pa.Column(str, unique=True),
                schema.TARGET: pa.Column(int),
                **{name: pa.Column(kind, nullable=True) for name, kind in types.items()},
            },
            coerce=True,
            strict=True,
        )
        monkeypatch.setattr(schema.Labelled, "to_schema", lambda: config)
        monkeypatch.setattr(schema.Labelled, "validate", config.validate)
        rows = pd.DataFrame({name: pd.Series(of, dtype=object) for name, of in values.items()})
        # Enough of them for both parts.
        rows = rows.loc[np.tile(rows.index, 1 + 20 // len(rows))].reset_index(drop=True)
        rows[schema.IDENTIFIER] = [f"{number:05d}" for number in range(len(rows))]
        rows[schema.TARGET] = 1
        monkeypatch.setattr(data, "load", lambda: rows)
        return settings.settings(data_dir=tmp_path / "data")

    return make


@pytest.mark.parametrize("name", TYPES)
def test_prepared_values_are_those_of_the_source(source, name):
    kind, values = TYPES[name]
    config = source({"x": kind}, x=values)
    whole = dataset.check(data.load(), schema.Labelled, "the source")
    dataset.prepare(config)
    split = dataset.read(config)
    kept = pd.concat([split.train, split.holdout]).sort_values(schema.IDENTIFIER)
    pd.testing.assert_frame_equal(kept.reset_index(drop=True), whole)
    assert kept[schema.IDENTIFIER].iloc[17] == "00017"


@pytest.mark.parametrize("name", TYPES)
def test_golden_rows_are_those_of_the_source(source, name):
    kind, values = TYPES[name]
    source({"x": kind}, x=values)
    whole = dataset.check(data.load(), schema.Labelled, "the source")
    sent = json.loads(json.dumps(golden.as_sent(whole), allow_nan=False))
    again = columns.frame(schema.Labelled.to_schema().columns, list(whole), sent)
    pd.testing.assert_frame_equal(again, whole, check_exact=True)


@pytest.mark.parametrize(
    ("kind", "values", "why"),
    [
        (str, ["a", ""], "column x: has empty text"),
        (float, [1.0, math.inf], "column x: must be a finite number"),
        ("category", list("abcdefghijklmnopqrstuvwxyz"), "column x: does not come back"),
        (object, [1, "1"], "column x: does not come back"),
        (None, [1, 2], "column x: does not come back"),
        ("datetime64[ns]", ["soon"], r"column x: must be datetime64\[ns\]"),
        (bool, ["yes", "no"], "column x: must be true or false"),
        (bool, [True, None], "column x: must be true or false"),
    ],
)
def test_what_a_file_does_not_keep_is_refused_when_it_is_prepared(source, kind, values, why):
    config = source({"x": kind}, x=values)
    with pytest.raises(errors.UserError, match=why) as refused:
        dataset.prepare(config)
    assert "\n" not in str(refused.value)
    assert not (config.data_dir / record.TRAIN).exists()


@pytest.mark.parametrize(
    ("kind", "cells", "why"),
    [
        (float, "1,5", "must be a number"),
        (float, "NA", "must be a number"),
        (float, "1_000", "must be a number"),
        (float, "inf", "must be a finite number"),
        (int, "2.5", "must be a whole number"),
        ("int8", "300", "must be a number from -128 to 127"),
        (int, "9007199254740993.5", "must be a whole number"),
        (bool, "yes", "must be true or false"),
        (pd.CategoricalDtype(["a", "b"]), "zebra", 'must be one of "a", "b"'),
        ("datetime64[ns]", "02/03/2024", "must be a time as in"),
        ("datetime64[ns]", "2024-02-29T12:30:00Z", "must not have a time zone"),
        (BERLIN, "2024-02-29T12:30:00", "must have a time zone"),
        (BERLIN, "02/03/2024", "must be a time as in 2024-02-29T12:30:00Z"),
        (BERLIN, "3000-01-01T00:00:00Z", "must be a time that the column's type can hold"),
    ],
)
def test_a_cell_of_another_type_is_named_by_its_row_and_not_shown(
    source, tmp_path, kind, cells, why
):
    source({"x": kind}, x=[None])
    path = tmp_path / "x.csv"
    path.write_text(f'x,y\n,1\n"{cells}",2\n')
    with pytest.raises(errors.UserError, match=f"column x: {why}.*first is row 1") as refused:
        dataset.read_csv(path)
    assert cells not in str(refused.value).replace(why, "")


@pytest.mark.parametrize("cell", ["3", "3.0", " 3", "+3", "3."])
def test_a_whole_number_may_be_written_in_several_ways(source, tmp_path, cell):
    source({"x": int}, x=[1])
    (tmp_path / "x.csv").write_text(f"x,y\n{cell},1\n")
    assert dataset.read_csv(tmp_path / "x.csv")["x"].tolist() == [3]


def test_rows_with_more_cells_than_names_are_refused(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2,3\n4,5,6\n")
    with pytest.raises(errors.UserError, match="more cells than its first line"):
        dataset.read_csv(tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("allowed", "words"),
    [
        (["a", "é"], 'must be one of "a", "é"'),
        ([1, 2], "must be one of 1, 2"),
        (np.array([1, 2]), "must be one of 1, 2"),
        ([True], "must be one of true"),
    ],
)
def test_allowed_values_are_listed_as_json_has_them(allowed, words):
    check = pa.Check.isin(list(allowed))
    own = pa.DataFrameSchema({"x": pa.Column(None, check)})
    _, broken = dataset.validate(pd.DataFrame({"x": ["z"]}), own)
    assert [str(one) for one in broken] == [f"column x: {words} (1 rows, first is row 0)"]
    assert columns.words(check) == words


@pytest.mark.parametrize(
    ("target", "known"),
    [
        (pa.Column(str, pa.Check.isin(["b", "a", "c"])), ["b", "a", "c"]),
        (pa.Column(int, pa.Check.isin(np.array([1, 2, 3]))), [1, 2, 3]),
        (pa.Column(pd.CategoricalDtype(["x", "y", "z"])), ["x", "y", "z"]),
        (pa.Column(str, pa.Check.isin(["a", "b"])), [0, 1, 2]),
        (pa.Column(int), [0, 1, 2]),
    ],
)
def test_classes_have_the_names_that_the_schema_gives_them(monkeypatch, target, known):
    own = pa.DataFrameSchema({schema.TARGET: target})
    monkeypatch.setattr(schema.Labelled, "to_schema", lambda: own)
    assert dataset.classes(np.zeros((2, 3))) == known
    assert json.loads(json.dumps(known)) == known
    assert dataset.classes(np.zeros(2)) is None
