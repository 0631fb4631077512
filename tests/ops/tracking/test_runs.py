"""Where runs are kept, how their server is reached, and how one is found among many."""

import shutil
import sqlite3
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from sqlalchemy import make_url

from ..conftest import ROOT
from ..project import dataset, errors, runs, settings

NAMES = [
    "roc_auc",
    "slice.age.(40, 55].f1",
    "slice.age.<40.f1",
    "slice.age.>40.f1",
    "slice.price.$5 | 50 %.f1",
    "slice.sort.größe ♂.f1",
    "slice.path.a//b/../c.f1",
    "slice.text." + "long " * 99,
    "slice.text." + "long " * 98,
    *(f"slice.shop.{number}.f1" for number in range(1000)),
]


def test_a_run_measures_under_names_that_mlflow_takes(workplace, tmp_path):
    """It refuses brackets, which the groups of `pandas.cut` have, and a thousand names at once."""
    address = f"sqlite:///{tmp_path}/mlflow.db"
    config = workplace.config.model_copy(update={"var_dir": tmp_path, "tracking_uri": address})
    trained = runs.manifest_of(runs.connect(workplace.config), workplace.trained.run_id)
    manifest = trained.model_copy(update={"metrics": dict.fromkeys(NAMES, 0.5)})
    client = runs.connect(config)
    with runs.run(config, client, "names") as record:
        record.report(1, dict.fromkeys(NAMES[:5], 0.5))
        record.log(manifest, dataset.verified(workplace.config), {})
    called = runs.taken(NAMES)
    assert len({*called.values()}) == len(NAMES)
    assert called["roc_auc"] == "roc_auc"
    assert called["slice.age.(40, 55].f1"] == "slice.age._40_ 55_.f1"
    fit = {f"fit.{called[name]}" for name in NAMES[:2]}
    assert {*called.values()} | fit <= {*client.get_run(record.run_id).data.metrics}


@pytest.mark.parametrize("folder", ["a?b", "50% done", "50%25", "C# code", "o'brien", "a b:c@d"])
def test_the_address_of_the_database_names_its_file_in_any_folder(tmp_path, folder, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow sets it in its own process
    config = settings.settings(root=ROOT, var_dir=tmp_path / folder)
    assert make_url(config.tracking_uri).database == str(tmp_path / folder / "mlflow.db")
    runs.connect(config)
    assert (tmp_path / folder / "mlflow.db").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {folder}


@pytest.fixture
def proxy():
    """A proxy that answers each request itself; yields its address and what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.mark.parametrize("past", ["", "mlflow.invalid"])
def test_a_server_is_reached_through_the_proxy_of_the_client(monkeypatch, proxy, past):
    address, asked = proxy
    for name in ("NO_PROXY", "all_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", address)
    monkeypatch.setenv("no_proxy", past)
    if past:
        with pytest.raises(errors.UserError, match=r"mlflow\.invalid:5000 cannot be reached \("):
            runs._knock("http://mlflow.invalid:5000")
    else:
        runs._knock("http://mlflow.invalid:5000")
    assert bool(asked) is not bool(past)


def test_a_run_is_found_behind_a_thousand_newer_ones(workplace, tmp_path):
    run_id = workplace.trained.run_id
    shutil.copyfile(workplace.config.var_dir / "mlflow.db", tmp_path / "mlflow.db")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        for table in ("runs", "tags"):
            one = f"SELECT * FROM {table} WHERE run_uuid = '{run_id}'"
            database.execute(f"CREATE TEMP TABLE one_{table} AS {one}")
        for number in range(1001):
            for table in ("runs", "tags"):
                database.execute(f"UPDATE one_{table} SET run_uuid = 'x{number}'")
                if table == "runs":
                    database.execute("UPDATE one_runs SET start_time = start_time + 60000")
                database.execute(f"INSERT INTO {table} SELECT * FROM one_{table}")
        database.commit()
    config = workplace.config.model_copy(update={"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"})
    client = runs.connect(config)
    assert runs.find(config, client, run_id[:12]) == run_id
    assert runs.find(config, client, "latest") == "x1000"
    with pytest.raises(errors.UserError, match="more than one run starts with x1"):
        runs.find(config, client, "x1")
    with pytest.raises(errors.UserError, match="is no run's id"):
        runs.find(config, client, "%' OR")
