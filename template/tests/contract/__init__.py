"""What the tests share: the project's data, a fitted model, and one trained project.

Here and not in tests/conftest.py, which may be the one that a repository had before the standard.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from ..project import dataset, evaluation, git, package, schema, settings

ROOT = Path(__file__).resolve().parents[2]
# Whatever this machine is set to, tests use the CPU, one process, and stores and repositories of
# their own.
for _name in list(os.environ):
    if _name.startswith(("ML_", "MLFLOW_", "WANDB_")) or _name in git.OF_HOOKS:
        del os.environ[_name]
os.environ.update({"ML_DEVICE": "cpu", "ML_WORKERS": "1", "ML_MIRRORS": "[]"})
# What a training reads.
PROJECT = (
    f"src/{package.__name__}",
    "requirements",
    "params.yaml",
    "pyproject.toml",
    "poetry.lock",
    "tuning.json",
    "benchmark.json",
    "data/manifest.json",
    ".python-version",
    ".gitignore",
)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at the groups
def pytest_collection_modifyitems(items):
    """Run the tests of an adopted repository in their order, as before: they may share files."""
    if (ROOT / "adopted" / "REPORT.md").exists():
        standard = (ROOT / "tests/contract", ROOT / "tests/yours")
        for item in items:
            if not any(item.path.is_relative_to(folder) for folder in standard):
                item.add_marker(pytest.mark.xdist_group("adopted"))


@pytest.fixture(autouse=True)
def var_dir(monkeypatch, tmp_path):
    """Give each test run-time state of its own."""
    monkeypatch.setenv("ML_VAR_DIR", str(tmp_path / "var"))


@pytest.fixture(scope="session")
def split(tmp_path_factory) -> "dataset.Split":
    """The project's prepared data, as data/manifest.json records it. Copy what you change."""
    config = settings.settings(root=ROOT, data_dir=tmp_path_factory.mktemp("data"))
    shutil.copyfile(ROOT / "data" / "manifest.json", config.data_dir / "manifest.json")
    dataset.prepare(config)
    return dataset.read(config)


@pytest.fixture(scope="session")
def outcome(split) -> "evaluation.Outcome":
    """The project's own model, fitted and evaluated. Leave it as it is."""
    return evaluation.run(split, settings.load_params(ROOT / "params.yaml"))


@pytest.fixture
def rows(split) -> pd.DataFrame:
    """Labelled training rows, to be changed at will."""
    return split.train.copy()


@pytest.fixture
def inputs(split) -> pd.DataFrame:
    """Rows as a caller sends them: without identifier, label and personal columns."""
    own = [schema.IDENTIFIER, schema.TARGET, *schema.PERSONAL]
    return split.train.drop(columns=own, errors="ignore")


@pytest.fixture
def params() -> "settings.Params":
    """The project's own parameters."""
    return settings.load_params(ROOT / "params.yaml")


def copy_project(root: Path) -> Path:
    """Copy what a training reads into the folder `root`, and commit it there."""
    for name in PROJECT:
        source, target = ROOT / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():  # what tune and bench recorded may not be there
            shutil.copyfile(source, target)
    commit(root, "start")
    return root


def commit(root: Path, message: str) -> str:
    """Commit everything under `root`, as nobody in particular; return the commit."""
    git = ["git", "-C", str(root), "-c", "user.name=test", "-c", "user.email=test@example.com",
           "-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"]  # fmt: skip
    subprocess.run([*git, "init", "--quiet", "--initial-branch=main"], check=True)
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", message], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return head.stdout.strip()


@dataclass(frozen=True)
class Workplace:
    """A copy of the project, committed, with its model trained and promoted."""

    root: Path
    config: "settings.Settings"
    trained: "object"


@pytest.fixture(scope="session")
def trained_workplace(tmp_path_factory) -> Workplace:
    from ..project import registry, train

    root = copy_project(tmp_path_factory.mktemp("project"))
    config = settings.settings(root=root, var_dir=root / "var")
    dataset.prepare(config)
    trained = train.train(config)
    assert trained.version is not None, f"the gate refused the model: {trained.checks}"
    registry.promote(config)
    return Workplace(root, config, trained)


@pytest.fixture
def workplace(trained_workplace, monkeypatch) -> Workplace:
    """The trained project; commands run in it. Tests leave its data and models as they are."""
    monkeypatch.setenv("ML_ROOT", str(trained_workplace.root))
    monkeypatch.setenv("ML_VAR_DIR", str(trained_workplace.root / "var"))
    return trained_workplace
