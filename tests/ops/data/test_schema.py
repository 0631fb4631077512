"""The schema, the data's manifest and the feature code: what is wrong with data is found."""

from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ..project import (
    constraints,
    data,
    dataset,
    errors,
    features,
    files,
    package,
    record,
    requests,
    schema,
    settings,
)

KINDS = {name: constraints.kind_of(column) for name, column in requests.COLUMNS.items()}
# A dozen stand for all columns of numbers: a picture has one for each of its pixels.
NUMBERS = [name for name, kind in KINDS.items() if kind in {"f", "i"}][:12]

by_feature = import_module(f"{package.__name__}.ops.data.features").by_feature


def broken(rows, kind=schema.Labelled):
    """The columns and rules that `rows` break."""
    return {(found.column, found.rule) for found in dataset.validate(rows, kind)[1]}


def test_the_source_is_valid_and_complete():
    rows = data.load()
    assert broken(rows) == set()
    assert set(rows) == set(schema.Labelled.to_schema().columns)


@pytest.mark.parametrize("column", NUMBERS)
def test_a_value_out_of_range_is_found(rows, column):
    rows.loc[3, column] = 1e9
    assert column in {name for name, _ in broken(rows)}


@pytest.mark.parametrize("column", NUMBERS)
def test_a_missing_value_is_found(rows, column):
    rows[column] = rows[column].astype(float)
    rows.loc[3, column] = np.nan
    told = {"f": "has missing values", "i": "must be whole numbers, none of them missing"}
    assert (column, told[KINDS[column]]) in broken(rows)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_value_is_found(rows, value):
    rows[NUMBERS[0]] = rows[NUMBERS[0]].astype(float)
    rows.loc[3, NUMBERS[0]] = value
    assert NUMBERS[0] in {name for name, _ in broken(rows)}


def test_text_in_a_number_column_is_found(rows):
    rows[NUMBERS[0]] = rows[NUMBERS[0]].astype(object)
    rows.loc[3, NUMBERS[0]] = "many"
    told = {"f": "must be numbers", "i": "must be whole numbers, none of them missing"}
    assert broken(rows) == {(NUMBERS[0], told[KINDS[NUMBERS[0]]])}


def test_a_duplicated_row_is_found(rows):
    assert (schema.IDENTIFIER, "must be unique") in broken(pd.concat([rows, rows.head(1)]))


def test_a_column_that_nobody_allowed_is_refused(rows):
    assert broken(rows.assign(postcode=1)) == {("postcode", "is not allowed")}


@pytest.mark.parametrize("column", [schema.TARGET, *schema.PERSONAL])
def test_label_and_personal_columns_are_refused_as_inputs(rows, column):
    inputs = rows.drop(columns=[schema.IDENTIFIER, schema.TARGET])
    assert broken(inputs.assign(**{column: rows[column]}), schema.Inputs) == {
        (column, "is not allowed")
    }


@pytest.mark.parametrize("column", NUMBERS)
def test_a_missing_column_is_found(rows, column):
    assert broken(rows.drop(columns=column)) == {(column, "is missing")}


def test_no_rows_are_not_valid(rows):
    assert broken(rows.head(0)) == {(None, "there are no rows")}


def test_a_violation_is_told_without_values(rows):
    rows[schema.IDENTIFIER] = "P-secret"
    told = " ".join(str(found) for found in dataset.validate(rows, schema.Labelled)[1])
    assert schema.IDENTIFIER in told
    assert "secret" not in told


@pytest.fixture
def prepared(tmp_path):
    """Settings with prepared data of their own."""
    config = settings.settings(data_dir=tmp_path / "data", var_dir=tmp_path / "var")
    dataset.prepare(config)
    return config


def test_preparing_twice_gives_the_same_bytes(prepared):
    before = {path.name: path.read_bytes() for path in prepared.data_dir.iterdir()}
    dataset.prepare(prepared)
    assert before == {path.name: path.read_bytes() for path in prepared.data_dir.iterdir()}


def test_the_committed_manifest_is_what_the_source_gives(prepared):
    committed = files.load_json(prepared.root / "data" / "manifest.json", record.DataManifest)
    made = files.load_json(prepared.data_dir / "manifest.json", record.DataManifest)
    assert committed == made


@pytest.mark.parametrize("name", [record.TRAIN, record.HOLDOUT])
def test_one_changed_byte_is_refused(prepared, name):
    path = prepared.data_dir / name
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    with pytest.raises(errors.UserError, match=f"{name} is not the data"):
        dataset.read(prepared)


@pytest.mark.parametrize("name", [record.TRAIN, record.HOLDOUT])
def test_a_missing_file_is_told(prepared, name):
    (prepared.data_dir / name).unlink()
    with pytest.raises(errors.UserError, match=f"{name} is missing; run"):
        dataset.read(prepared)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"rows": 1}', "\x00"])
def test_a_damaged_manifest_is_told(prepared, content):
    (prepared.data_dir / "manifest.json").write_text(content)
    with pytest.raises(errors.UserError, match=r"manifest\.json is damaged"):
        dataset.read(prepared)


@pytest.mark.parametrize(
    ("role", "value", "why"),
    [
        ("TARGET", "topik", "schema.TARGET: schema.Labelled has no column topik"),
        ("IDENTIFIER", "tikcet", "schema.IDENTIFIER: schema.Labelled has no column tikcet"),
        ("PERSONAL", ("emial",), "schema.PERSONAL: schema.Labelled has no column emial"),
        ("PERSONAL", "emial", r'schema.PERSONAL is text; with a comma it is a list: \("emial",\)'),
        ("SPLIT_BY", "houshold", "schema.SPLIT_BY: schema.Labelled has no column houshold"),
        ("PERSONAL", (NUMBERS[0],), f"PERSONAL: {NUMBERS[0]} is a column of schema.Inputs"),
        ("TARGET", NUMBERS[0], f"TARGET: {NUMBERS[0]} is a column of schema.Inputs"),
    ],
)
def test_a_role_that_a_column_cannot_have_is_refused(prepared, monkeypatch, role, value, why):
    monkeypatch.setattr(schema, role, value, raising=False)
    for use in (dataset.prepare, dataset.read):
        with pytest.raises(errors.UserError, match=why):
            use(prepared)


def test_rows_that_belong_together_are_held_out_together(prepared, monkeypatch):
    """Repeated measures of one patient in both parts would let the holdout be remembered."""
    monkeypatch.setattr(schema, "SPLIT_BY", NUMBERS[0], raising=False)
    with pytest.raises(errors.UserError, match=f"not split by .* and {NUMBERS[0]}; run"):
        dataset.read(prepared)
    dataset.prepare(prepared, accept=True)
    split = dataset.read(prepared)
    assert not set(split.train[NUMBERS[0]]) & set(split.holdout[NUMBERS[0]])
    assert len(dataset.training_rows()) == len(split.train)


@pytest.mark.parametrize("given", [None, data.load().iloc[:, [0, 0, *range(1, 4)]]])
def test_a_source_that_gives_no_table_is_told(prepared, monkeypatch, given):
    monkeypatch.setattr(data, "load", lambda: given)
    with pytest.raises(errors.UserError, match=r"data.load\(\) must return a DataFrame"):
        dataset.prepare(prepared)


@pytest.mark.parametrize(("share", "left"), [(1e-9, "hold out"), (1.0, "train on")])
def test_a_share_that_leaves_no_rows_is_told(prepared, share, left):
    prepared.params = prepared.params.model_copy(update={"holdout": share})
    with pytest.raises(errors.UserError, match=f"params.yaml: holdout .* no rows to {left}"):
        dataset.prepare(prepared)


def test_a_misspelt_header_is_named_and_a_missing_one_shows_no_value(rows):
    misspelt = rows.rename(columns={NUMBERS[0]: "misspelt"})
    assert broken(misspelt) == {("misspelt", "is not allowed"), (NUMBERS[0], "is missing")}
    headless = rows.rename(columns=dict(zip(rows, rows.iloc[0].astype(str), strict=True)))
    said = " ".join(str(found) for found in dataset.validate(headless, schema.Labelled)[1])
    assert "is there a header?" in said
    assert str(rows[schema.IDENTIFIER].iloc[0]) not in said


def test_a_changed_source_is_refused_until_it_is_accepted(prepared, monkeypatch):
    rows = data.load().iloc[1:]
    monkeypatch.setattr(data, "load", lambda: rows)
    kept = (prepared.data_dir / record.TRAIN).read_bytes()
    with pytest.raises(errors.UserError, match="prepare --accept"):
        dataset.prepare(prepared)
    assert (prepared.data_dir / record.TRAIN).read_bytes() == kept
    dataset.prepare(prepared, accept=True)
    split = dataset.read(prepared)
    assert len(split.train) + len(split.holdout) == len(rows)


def test_an_invalid_source_changes_nothing(prepared, monkeypatch):
    rows = data.load()
    rows.loc[0, NUMBERS[0]] = -1
    monkeypatch.setattr(data, "load", lambda: rows)
    kept = {path.name: path.read_bytes() for path in prepared.data_dir.iterdir()}
    with pytest.raises(errors.UserError, match="the source"):
        dataset.prepare(prepared, accept=True)
    assert kept == {path.name: path.read_bytes() for path in prepared.data_dir.iterdir()}


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "file"
    files.write_file(target, b"old")

    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(errors.UserError, match="No space left"):
        files.write_file(target, b"new")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "content", [b"", b"a,b\n1,2,3\n4\n1,2,3,4", b"\xff\xfe\x00", b"a;b\n1;2\n"]
)
def test_a_file_that_is_no_csv_is_told(tmp_path, content):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(errors.UserError, match=r"x\.csv"):
        dataset.check(dataset.read_csv(tmp_path / "x.csv"), schema.Inputs, "x.csv")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
def test_floats_survive_a_file_exactly(values):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        path.write_text(pd.DataFrame({"x": values}).to_csv(index=False))
        assert dataset.read_csv(path)["x"].astype("float64").tolist() == values


@given(st.lists(st.text(max_size=8), unique=True, max_size=50), st.floats(0.05, 0.95))
def test_new_rows_never_move_old_ones_across(names, share):
    alone = dataset.held_out(pd.Series(names, dtype=str), share)
    among = dataset.held_out(pd.Series([*names, "one", "more"], dtype=str), share)
    assert alone.tolist() == among.tolist()[: len(names)]


def test_the_holdout_has_its_share(split, params):
    rows = len(split.train) + len(split.holdout)
    assert len(split.holdout) / rows == pytest.approx(params.holdout, abs=0.05)
    assert not set(split.train[schema.IDENTIFIER]) & set(split.holdout[schema.IDENTIFIER])


def test_another_share_than_the_data_was_split_by_is_refused(prepared):
    prepared.params = prepared.params.model_copy(update={"holdout": 0.5})
    with pytest.raises(errors.UserError, match="holdout"):
        dataset.read(prepared)


def test_features_are_finite_numbers_row_for_row(inputs):
    x = features.features.build(inputs)
    assert list(by_feature(x)) == features.features.names
    assert x.index.equals(inputs.index)
    assert set(x.dtypes) == {np.dtype("float64")}
    assert np.isfinite(x.to_numpy()).all()


def test_features_do_not_look_at_other_rows(inputs):
    whole = features.features.build(inputs)
    alone = pd.concat([features.features.build(inputs.iloc[[i]]) for i in range(20)])
    pd.testing.assert_frame_equal(whole.head(20), alone)


def test_features_leave_the_rows_alone(inputs):
    before = inputs.copy()
    features.features.build(inputs)
    pd.testing.assert_frame_equal(inputs, before)


@pytest.mark.parametrize(
    "function",
    [
        lambda rows: rows["age"].head(1),
        lambda rows: rows["age"].to_numpy(),
        lambda rows: pd.Series("many", index=rows.index),
        lambda rows: None,
        lambda rows: pd.DataFrame({"a": [1]}),
        lambda rows: pd.DataFrame({"a": "many"}, index=rows.index),
    ],
)
def test_a_feature_that_is_not_one_number_a_row_is_refused(inputs, function):
    function.__name__ = "odd"
    odd = type(features.features)()
    odd.add(function)
    with pytest.raises(errors.UserError, match="feature odd must"):
        odd.build(inputs.rename(columns={NUMBERS[0]: "age"}))


def test_a_block_gives_a_column_for_each_of_its_own(inputs):
    blocks = type(features.features)()

    @blocks.add
    def pair(rows):
        return pd.DataFrame({"one": 1, "two": 2}, index=rows.index)

    @blocks.add
    def single(rows):
        return pd.Series(3, index=rows.index)

    x = blocks.build(inputs)
    assert x.iloc[0].to_dict() == {"pair.one": 1.0, "pair.two": 2.0, "single": 3.0}
    assert set(x.dtypes.astype(str)) == {"float64"}
    assert by_feature(x) == {"pair": ["pair.one", "pair.two"], "single": ["single"]}
    assert set(blocks.cost(inputs)) == {"pair", "single"}


def test_two_features_of_one_name_are_refused():
    twice = type(features.features)()
    twice.add(features.features.functions[features.features.names[0]])
    with pytest.raises(errors.UserError, match="two features"):
        twice.add(features.features.functions[features.features.names[0]])


def test_no_feature_takes_the_place_of_what_it_is_judged_by():
    def noise(rows):
        """Decibels, say."""
        return rows[NUMBERS[0]]

    with pytest.raises(errors.UserError, match="no feature may be named noise"):
        type(features.features)().add(noise)
