"""One path from your data to an answering service, in a committed copy of this project."""

import json

import numpy as np
import pandas as pd
import pytest

from ..project import (
    app,
    bundle,
    dataset,
    explain,
    monitor,
    registry,
    reproduce,
    schema,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workplace")]  # it trains


@pytest.fixture
def version(workplace):
    """The champion."""
    return registry.resolve(workplace.config, "champion")


@pytest.fixture
def table(workplace, tmp_path):
    """A CSV file of the holdout as a caller would have it."""
    rows = dataset.read(workplace.config).holdout.head(20)
    own = {schema.TARGET, *schema.PERSONAL} - {schema.IDENTIFIER}
    path = tmp_path / "rows.csv"
    rows.drop(columns=list(own), errors="ignore").to_csv(path, index=False)
    return path


def test_the_gate_lets_the_model_through_and_says_why(workplace):
    assert workplace.trained.checks
    assert all(check.passed for check in workplace.trained.checks)
    assert workplace.trained.manifest.reproducible == []


def test_the_run_can_be_reproduced(workplace):
    verdict = reproduce.reproduce(workplace.config, workplace.trained.run_id, here=True)
    assert verdict.exact, verdict.lines()


def test_a_file_of_rows_is_scored_and_identifiers_come_back(workplace, table, tmp_path):
    assert bundle.predict_file(workplace.config, "champion", table, tmp_path / "out.csv")
    asked, answered = (pd.read_csv(path, dtype=str) for path in (table, tmp_path / "out.csv"))
    assert answered[schema.IDENTIFIER].tolist() == asked[schema.IDENTIFIER].tolist()


def test_the_service_proves_itself_and_answers_as_the_model_does(workplace, version, tmp_path):
    from fastapi.testclient import TestClient

    folder = registry.fetch(workplace.config, version, tmp_path)
    service = app.Service(workplace.config, folder)
    service.load()
    golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    with TestClient(app.application(service)) as client:
        assert client.get("/readyz").json()["model_digest"] == version.digest
        answer = client.post("/predict", json={"rows": golden["inputs"]}).json()
        refused = client.post("/predict", json={"rows": [{"unlisted_column": 1}]})
    scores = [one["score"] for one in answer["predictions"]]
    np.testing.assert_allclose(scores, golden["scores"], rtol=golden["tolerance"])
    assert refused.status_code == 422
    assert refused.json()["violations"]


def test_a_score_is_explained(workplace, table):
    lines = explain.report(workplace.config, table, 0, "", "champion")
    assert str(workplace.trained.run_id) in lines[-1]


def test_data_like_that_of_training_has_not_drifted(workplace, tmp_path):
    rows = dataset.read(workplace.config).train
    path = tmp_path / "same.csv"
    own = [schema.IDENTIFIER, schema.TARGET, *schema.PERSONAL]
    rows.drop(columns=own, errors="ignore").to_csv(path, index=False)
    report, page = monitor.drifted(workplace.config, path)
    assert report.drifted == []
    assert page.is_file()


def test_the_champion_is_monitored(workplace):
    health = monitor.monitor(workplace.config)
    assert workplace.trained.manifest.model_digest[:12] in health.lines[0]


def test_no_personal_column_is_in_what_serving_gets(workplace, version, tmp_path):
    folder = registry.fetch(workplace.config, version, tmp_path)
    for name in ("golden", "reference"):
        text = (folder / f"{name}.json").read_text(encoding="utf-8")
        assert not [column for column in schema.PERSONAL if f'"{column}"' in text]
    assert not set(schema.PERSONAL) & set(bundle.input_columns())
