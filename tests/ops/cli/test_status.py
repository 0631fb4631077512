"""`status`: each line stands alone, and nothing heavy is imported for it."""

import pytest

from ..conftest import loads
from ..project import package, settings, status, summary

pytestmark = pytest.mark.xdist_group("workplace")


def lines(config):
    return {line[:11].strip(): line[11:] for line in status.lines(config)}


def test_it_says_where_a_trained_project_stands(workplace):
    shown = lines(workplace.config)
    digest = workplace.trained.manifest.model_digest[:12]
    assert digest in shown["champion"]
    assert "as recorded" in shown["data"]
    assert not [name for name, text in shown.items() if text.startswith("- (")]


def test_without_mlflow_all_else_is_shown(workplace):
    away = workplace.config.model_copy(update={"tracking_uri": "http://127.0.0.1:9"})
    shown = lines(away)
    for name in ("last run", "champion", "challenger", "versions"):
        assert "cannot be reached" in shown[name]
    assert "as recorded" in shown["data"]
    assert shown["commit"].endswith("clean")


def test_damaged_data_is_one_line_and_no_end(workplace, changed):
    changed("data/manifest.json", "rows", "raws")
    shown = lines(workplace.config)
    assert shown["data"].startswith("- (")
    assert "version" in shown["champion"]


def test_the_database_is_read_as_mlflow_reads_it(workplace, monkeypatch):
    found = summary.summary(workplace.config)
    monkeypatch.setattr(summary.Path, "exists", lambda _: True)
    monkeypatch.setattr(summary, "RUN", "select nothing of the kind")
    assert found == summary.summary(workplace.config)
    assert found.versions[0].aliases == ("challenger", "champion")


def test_without_a_database_there_is_none_afterwards(workplace, tmp_path):
    empty = workplace.config.model_copy(
        update={"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db", "var_dir": tmp_path}
    )
    shown = lines(empty)
    assert shown["last run"] == "- (no run has finished; run `{}`)".format(f"{settings.NAME} train")
    assert not list(tmp_path.iterdir())


def test_a_damaged_database_is_reported(workplace, tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 100)
    damaged = workplace.config.model_copy(
        update={"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db", "var_dir": tmp_path}
    )
    assert lines(damaged)["champion"].startswith("- (MLflow: ")


def test_it_imports_nothing_that_takes_seconds(workplace):
    script = (
        f"from {package.__name__}.ops.cli.commands import main\n"
        "try: main(['status'])\n"
        "except SystemExit: pass"
    )
    heavy = ("mlflow", "pandas", "pandera", "scipy", "sklearn", "sqlalchemy")
    assert loads(script, *heavy)[1] == "[]"
