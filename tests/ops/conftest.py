"""What the tests share: prepared data, and one real training in a project of its own."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from .project import dataset, evaluation, schema, settings

ROOT = Path(__file__).resolve().parents[2]
# The developer's own settings and stores stay out. What every machine can do, whatever
# pyproject.toml asks for; tests of more say so themselves.
for _name in list(os.environ):
    if _name.startswith(("ML_", "MLFLOW_", "WANDB_")):
        del os.environ[_name]
os.environ.update({"ML_DEVICE": "cpu", "ML_WORKERS": "1", "ML_MIRRORS": "[]"})
# Everything that a run depends on.
PROJECT = (
    "src",
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


@pytest.fixture(autouse=True)
def var_dir(monkeypatch, tmp_path):
    """Give each test run-time state of its own."""
    monkeypatch.setenv("ML_VAR_DIR", str(tmp_path / "var"))


@pytest.fixture(scope="session")
def project_factory(tmp_path_factory) -> Callable[[], Path]:
    """Make copies of this project, each a git repository with one commit."""

    def make() -> Path:
        root = tmp_path_factory.mktemp("project")
        for name in PROJECT:
            source, target = ROOT / name, root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(source, target)
        commit(root, "start")
        return root

    return make


def commit(root: Path, message: str) -> str:
    """Commit everything under `root`, as nobody in particular; return the commit."""
    git = ["git", "-C", str(root), "-c", "user.name=test", "-c", "user.email=test@example.com",
           "-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"]  # fmt: skip
    subprocess.run([*git, "init", "--quiet", "--initial-branch=main"], check=True)
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", message], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return head.stdout.strip()


@pytest.fixture(scope="session")
def split(tmp_path_factory) -> "dataset.Split":
    """The project's prepared data, verified. Copy what you change."""
    config = settings.settings(root=ROOT, data_dir=tmp_path_factory.mktemp("data"))
    shutil.copyfile(ROOT / "data" / "manifest.json", config.data_dir / "manifest.json")
    dataset.prepare(config)
    return dataset.read(config)


@pytest.fixture(scope="session")
def outcome(split) -> "evaluation.Outcome":
    """The project's own model, fitted and judged. Leave it as it is."""
    return evaluation.run(split, settings.load_params(ROOT / "params.yaml"))


@pytest.fixture
def rows(split) -> pd.DataFrame:
    """Labelled training rows, to be changed at will."""
    return split.train.copy()


@pytest.fixture
def inputs(split) -> pd.DataFrame:
    """Rows as a caller sends them: without identifier and label."""
    return split.train.drop(columns=[schema.IDENTIFIER, schema.TARGET])


@pytest.fixture
def params() -> "settings.Params":
    """The project's own parameters."""
    return settings.load_params(ROOT / "params.yaml")


@dataclass(frozen=True)
class Workplace:
    """A project of its own, trained and promoted once. Tests that change it put it back."""

    root: Path
    config: "settings.Settings"
    trained: "object"


@pytest.fixture(scope="session")
def _workplace(project_factory) -> Workplace:
    from .project import registry, train

    root = project_factory()
    config = settings.settings(root=root, var_dir=root / "var")
    dataset.prepare(config)
    trained = train.train(config)
    assert trained.version is not None, trained.checks
    registry.promote(config)
    return Workplace(root, config, trained)


@pytest.fixture
def workplace(_workplace, monkeypatch) -> Workplace:
    """The trained project; commands run in it.

    Each process that tests makes one, so keep tests of it together with pytest.mark.xdist_group.
    """
    monkeypatch.setenv("ML_ROOT", str(_workplace.root))
    monkeypatch.setenv("ML_VAR_DIR", str(_workplace.root / "var"))
    return _workplace


@pytest.fixture
def changed(workplace):
    """Change a file of the workplace for one test: changed("params.yaml", old, new)."""
    kept: dict[Path, bytes] = {}

    def change(name: str, old: str, new: str) -> None:
        path = workplace.root / name
        kept.setdefault(path, path.read_bytes())
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    yield change
    for path, content in kept.items():
        path.write_bytes(content)
