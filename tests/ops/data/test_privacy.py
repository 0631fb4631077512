"""No value of a personal column leaves by a message, a metric or a distribution."""

import pandas as pd
import pytest

from ..project import commands, errors, evaluation, features, schema

VALUE = "Secret-Name"


@pytest.fixture
def own(split):
    """Labelled rows in which every personal column, and every text, is telling."""
    rows = split.holdout.copy()
    rows[schema.IDENTIFIER] = [f"{VALUE}-{number}" for number in range(len(rows))]
    return rows


@pytest.mark.parametrize("command", ["validate", "predict", "evaluate", "explain", "drift"])
@pytest.mark.xdist_group("workplace")
def test_a_file_without_a_header_shows_no_value(
    workplace, own, tmp_path, command, monkeypatch, capfd
):
    path = tmp_path / "in.csv"
    own.to_csv(path, index=False, header=False)
    given = {"predict": [path, tmp_path / "out.csv"], "evaluate": ["champion", path]}
    with pytest.raises(SystemExit) as ended:
        commands.main([command, *map(str, given.get(command, [path]))])
    assert str(ended.value.code).startswith("error: ")
    shown = str(ended.value.code) + "".join(capfd.readouterr())
    assert VALUE not in shown
    assert not [value for value in own.iloc[0].map(str) if len(value) > 3 and value in shown]


def test_a_feature_of_text_is_refused_without_the_text(own):
    made = features.Features()
    made.add(lambda rows: pd.Series(VALUE, index=rows.index))
    with pytest.raises(errors.UserError, match="must be numbers") as caught:
        made.build(own)
    assert VALUE not in str(caught.value)


@pytest.mark.parametrize("kind", ["build", "cost"])
@pytest.mark.parametrize("name", sorted({schema.IDENTIFIER, schema.TARGET, *schema.PERSONAL}))
def test_no_feature_is_made_from_an_identifier_or_a_label(own, kind, name):
    made = features.Features()
    made.add(lambda rows: rows[name].astype(str).str.len())
    with pytest.raises(errors.UserError, match=f"asks for column {name}"):
        getattr(made, kind)(own)


@pytest.mark.parametrize("shape", ["{}", "of {}"])
def test_groups_of_a_personal_column_are_no_metrics(own, monkeypatch, params, shape):
    monkeypatch.setattr(schema, "PERSONAL", (schema.IDENTIFIER,))
    doubled = pd.concat([own, own], ignore_index=True)
    labels = doubled[schema.TARGET]
    named = doubled[schema.IDENTIFIER].map(shape.format)
    monkeypatch.setattr(schema, "groups", lambda _: pd.DataFrame({"who": named}))
    with pytest.raises(errors.UserError, match="who shows values of the personal") as caught:
        evaluation.sliced(doubled, labels, labels.astype(float), params)
    assert VALUE not in str(caught.value)
