"""Settings: a machine's variables come before .env, and both before the project's own defaults."""

import pytest

from ..conftest import ROOT
from ..project import errors, optional, settings

TABLE = '[tool.groundwork]\ndevice = "cuda"\nworkers = 3\nlog_level = "debug"\ngroups = ["ray"]\n'


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose pyproject.toml has defaults of its own, on a machine that says nothing."""
    for name in ("ML_DEVICE", "ML_WORKERS", "ML_MIRRORS", "ML_VAR_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (tmp_path / "pyproject.toml").write_text(TABLE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ML_ROOT", str(tmp_path))
    return tmp_path


def test_the_project_s_defaults_come_last(project, monkeypatch):
    found = settings.settings()
    assert (found.device, found.workers, found.log_level) == ("cuda", 3, "debug")
    (project / ".env").write_text("ML_WORKERS=4\nML_LOG_LEVEL=error\n", encoding="utf-8")
    monkeypatch.setenv("ML_LOG_LEVEL", "warning")
    found = settings.settings(port=9000)
    assert (found.device, found.workers, found.log_level, found.port) == (
        "cuda",
        4,
        "warning",
        9000,
    )


@pytest.mark.parametrize("how", ["current folder", "command"])
def test_a_copy_of_the_project_asks_for_an_environment_of_its_own(
    project, monkeypatch, tmp_path_factory, how
):
    (project / "src" / settings.PACKAGE / "ops").mkdir(parents=True)
    monkeypatch.delenv("ML_ROOT")
    if how == "command":
        monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
        monkeypatch.setattr(settings.sys, "argv", [str(project / ".venv/bin/command"), "status"])
    with pytest.raises(errors.UserError) as caught:
        settings.settings()
    assert f"works on {ROOT}, not on {project}; run scripts/setup.sh" in str(caught.value)
    monkeypatch.setenv("ML_ROOT", str(project))
    assert settings.settings().root == project


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_the_defaults_are_those_of_the_project_that_was_named(
    project, monkeypatch, tmp_path_factory, how
):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    if how == "argument":
        monkeypatch.delenv("ML_ROOT")
    found = settings.settings(**({"root": project} if how == "argument" else {}))
    assert found.workers == 3


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('[tool.groundwork]\ndevice = "tpu"\n', "DEVICE"),
        ("[tool.groundwork]\nworkers = 0\n", "WORKERS"),
        ("[tool.groundwork\n", "pyproject.toml is not TOML"),
    ],
)
def test_a_default_that_cannot_be_is_one_line(project, table, said):
    (project / "pyproject.toml").write_text(table, encoding="utf-8")
    with pytest.raises(errors.UserError, match=said) as caught:
        settings.settings()
    assert "\n" not in str(caught.value)


def test_a_module_of_an_option_that_was_not_chosen_is_none():
    assert optional.load("no_such_option") is None
    assert optional.load("core.errors") is errors
