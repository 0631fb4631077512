"""Your data and schema: what the source gives is valid, and what is wrong with a row is found.

What is expected is read from schema.py, so these tests hold for any table.
"""

from datetime import datetime

import pandas as pd
import pytest

from ..project import data, dataset, schema

LABELLED = schema.Labelled.to_schema().columns
INPUTS = schema.Inputs.to_schema().columns
# A dozen stand for all: an image has a column for each of its pixels.
SOME = list(INPUTS)[:12]
REQUIRED = [name for name in SOME if INPUTS[name].required]
NOT_NULL = [name for name in SOME if not INPUTS[name].nullable]
NUMBERS = [name for name in SOME if str(INPUTS[name].dtype).lower().startswith(("int", "float"))]


def beyond(column):
    """A value that the column's own checks exclude; None where they exclude none."""
    for check in column.checks:
        limits = check.statistics or {}
        if "allowed_values" in limits:
            return "no value of this column"
        for name, sign in (("max_value", 1), ("min_value", -1), ("exact_value", 1)):
            if (limit := limits.get(name)) is not None:
                if check.name == "str_length":
                    return "x" * (limit + sign) if limit + sign >= 0 else None
                # A float as large as its limit is one more is that limit.
                step = pd.Timedelta(days=1) if isinstance(limit, datetime) else abs(limit) + 1
                return limit + sign * step
    return None


BOUNDED = {name: value for name in SOME if (value := beyond(INPUTS[name])) is not None}


def broken(rows, kind=schema.Labelled):
    """The columns and rules that `rows` break."""
    return {(found.column, found.rule) for found in dataset.validate(rows, kind)[1]}


def test_the_source_is_valid():
    assert broken(data.load()) == set()


def test_the_source_gives_the_same_rows_twice():
    pd.testing.assert_frame_equal(data.load(), data.load())


def test_both_parts_have_rows_and_share_none(split):
    train, holdout = (set(part[schema.IDENTIFIER]) for part in (split.train, split.holdout))
    assert train
    assert holdout
    assert not train & holdout


def test_an_identifier_that_occurs_twice_is_found(rows):
    assert (schema.IDENTIFIER, "must be unique") in broken(pd.concat([rows, rows.head(1)]))


def test_a_column_that_the_schema_does_not_list_is_refused(rows):
    assert broken(rows.assign(unlisted_column=1)) == {("unlisted_column", "is not allowed")}


@pytest.mark.parametrize("column", [schema.TARGET, *schema.PERSONAL])
def test_label_and_personal_columns_are_no_inputs(inputs, rows, column):
    assert (column, "is not allowed") in broken(
        inputs.assign(**{column: rows[column]}), schema.Inputs
    )


@pytest.mark.parametrize("column", REQUIRED)
def test_a_missing_column_is_found(rows, column):
    assert (column, "is missing") in broken(rows.drop(columns=column))


@pytest.mark.parametrize("column", BOUNDED)
def test_a_value_that_the_checks_exclude_is_found(rows, column):
    rows[column] = rows[column].astype(object)
    rows.loc[rows.index[0], column] = BOUNDED[column]
    assert column in {name for name, _ in broken(rows)}


@pytest.mark.parametrize("column", NUMBERS)
def test_text_in_a_column_of_numbers_is_found(rows, column):
    rows[column] = rows[column].astype(object)
    rows.loc[rows.index[0], column] = "many"
    assert column in {name for name, _ in broken(rows)}


@pytest.mark.parametrize("column", NOT_NULL)
def test_a_missing_value_is_found_where_none_is_allowed(rows, column):
    rows[column] = rows[column].astype(object)
    rows.loc[rows.index[0], column] = None
    assert column in {name for name, _ in broken(rows)}


def test_a_violation_names_the_rule_and_no_value(rows):
    rows[schema.IDENTIFIER] = "secret-value"
    lines = " ".join(str(found) for found in dataset.validate(rows, schema.Labelled)[1])
    assert schema.IDENTIFIER in lines
    assert "secret-value" not in lines


def test_every_group_has_rows(rows):
    groups = schema.groups(rows)
    assert len(groups) == len(rows)
    assert not groups.isna().all().any()
