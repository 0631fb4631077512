"""`scripts/lock.sh --check` of a project: by its record where nothing changed, else by Poetry."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from pytest_copie.plugin import Copie

from tests.conftest import commit_all, git, rendered

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("lock-check")]

RECORD = Path("requirements/lock.sha256")


@pytest.fixture(scope="module")
def installed(
    copie_session: Copie, template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    root = rendered(copie_session, template, tmp_path_factory.mktemp("locked") / "project")
    git(root, "init", "--quiet", "--initial-branch", "main")
    commit_all(root, "Start")
    subprocess.run(["scripts/setup.sh", "--quiet"], cwd=root, check=True)
    return root


@pytest.fixture
def project(installed: Path) -> Path:
    git(installed, "checkout", "--quiet", "--", ".")
    return installed


def check(project: Path, **changed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["scripts/lock.sh", "--check"],
        cwd=project,
        env=os.environ | changed,
        check=False,
        capture_output=True,
        text=True,
    )


def edit(path: Path, pattern: str, replacement: str) -> None:
    text, found = re.subn(
        pattern, replacement, path.read_text("utf-8"), count=1, flags=re.MULTILINE
    )
    assert found
    path.write_text(text, "utf-8")


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """An environment in which no tool can be fetched: no cache, and no index that answers."""
    dead = "http://127.0.0.1:9/simple"
    return {
        "UV_CACHE_DIR": str(tmp_path / "cache"),
        "UV_DEFAULT_INDEX": dead,
        "XDG_CACHE_HOME": str(tmp_path / "tools"),
        "UV_HTTP_RETRIES": "0",
    }


def test_a_fresh_project_needs_no_poetry(project: Path, nowhere: dict[str, str]) -> None:
    done = check(project, **nowhere)
    assert done.returncode == 0, done.stderr
    assert git(project, "status", "--porcelain") == ""


def test_where_poetry_cannot_be_asked_the_check_fails(
    project: Path, nowhere: dict[str, str]
) -> None:
    with (project / "poetry.lock").open("a", encoding="utf-8") as lock:
        lock.write("\n")
    done = check(project, **nowhere)
    assert done.returncode == 1
    assert done.stderr == (
        "error: poetry check --lock: a package is not in the cache and the package index cannot be "
        "reached\n"
    )


MAIN, DEV = "requirements/main.txt", "requirements/dev.txt"
DIFFERS = "requirements/ is not what poetry.lock gives: .*requirements/{}.txt differ"
BROKEN = {
    "stale lock": (
        "pyproject.toml",
        r"^dependencies = \[",
        'dependencies = [\n    "left-pad",',
        "not made from this pyproject.toml",
    ),
    "other version": (MAIN, r"^numpy==\S+", "numpy==0.0.1", DIFFERS.format("main")),
    "no hash": (
        MAIN,
        r"^numpy==(.+?) \\\n(    --hash.*\n)+",
        r"numpy==\1\n",
        DIFFERS.format("main"),
    ),
    "other hash": (DEV, r"--hash=sha256:\w{8}", "--hash=sha256:00000000", DIFFERS.format("dev")),
    "other machines": (
        MAIN,
        r'^(numpy==\S+ ; )python_version >= "3\.11"',
        r'\1python_version >= "3.13"',
        DIFFERS.format("main"),
    ),
    "not installed": (
        "requirements/ray.txt",
        r"^([\w-]+)==\S+",
        r"\1==0.0.1",
        DIFFERS.format("ray"),
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_what_poetry_does_not_agree_to_is_found(project: Path, broken: str) -> None:
    name, pattern, replacement, expected = BROKEN[broken]
    edit(project / name, pattern, replacement)
    recorded = (project / RECORD).read_text("utf-8")
    done = check(project)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert re.search(expected, done.stderr), done.stderr
    assert (project / RECORD).read_text("utf-8") == recorded


def test_what_poetry_agrees_to_is_recorded(project: Path) -> None:
    """The lock has other bytes and says the same. The page that names its hash is rewritten."""
    with (project / "poetry.lock").open("a", encoding="utf-8") as lock:
        lock.write("\n")
    subprocess.run([".venv/bin/my-ml-project", "docs"], cwd=project, check=True)
    done = check(project)
    assert done.returncode == 0, done.stderr
    assert "Poetry agrees with every file" in done.stdout
    changed = git(project, "status", "--porcelain", "--", "requirements").split()
    assert changed == ["M", str(RECORD)]
    assert "Poetry agrees" not in check(project).stdout
