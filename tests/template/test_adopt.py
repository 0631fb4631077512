"""Repositories of many shapes come onto the standard: nothing lost, and updates from then on."""

import json
import os
import subprocess
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import questionary
import yaml
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from groundwork.adopt.adoption import adopt as adopted
from groundwork.adopt.places import BRANCH, FOLDER, REPORT
from groundwork.cli.main import main
from groundwork.errors import UserError
from groundwork.update.ownership import ANSWERS
from groundwork.update.standard import Standard
from tests.conftest import PRESENT_PYTHON, commit_all, git
from tests.versions import NEWEST

from .test_update_script import ENVIRONMENT

MIT = "MIT License\n\nPermission is hereby granted, free of charge, to any person\n"
MODEL = """\
from sklearn.linear_model import LinearRegression


def fit(x, y):
    return LinearRegression().fit(x, y)
"""
TEST = """\
from churn.model import fit


def test_a_line_is_found():
    assert round(fit([[0], [1]], [0, 2]).coef_[0], 6) == 2
"""
POETRY = """\
[tool.poetry]
name = "churn"
version = "1.0"
description = "Who leaves?"
authors = ["Ada <ada@example.com>"]

[tool.poetry.dependencies]
python = "^3.10"
scikit-learn = "^1.5"
humanize = "^4.9"
local = {path = "../local"}

[tool.poetry.group.dev.dependencies]
pytest = "*"
freezegun = "~1.5"

[tool.isort]
profile = "black"
"""
POETRY_LOCK = """\
[[package]]
name = "humanize"
version = "4.12.3"
description = ""
optional = false
python-versions = ">=3.9"
groups = ["main"]
files = []

[metadata]
lock-version = "2.1"
python-versions = "^3.10"
content-hash = "0"
"""
PEP_621 = """\
[project]
name = "churn"
version = "1.0"
description = 'Who "leaves"?'
requires-python = ">=3.11,<3.13"
dependencies = ["xgboost>=2", "humanize>=4.9"]
authors = [{name = "Ada", email = "ada@example.com"}]

[project.optional-dependencies]
track = ["wandb"]

[dependency-groups]
dev = ["freezegun>=1.4", {include-group = "other"}]

[tool.black]
line-length = 88
"""
UV_LOCK = '[[package]]\nname = "humanize"\nversion = "4.12.3"\nsource = { registry = "x" }\n'
SETUP = """\
from setuptools import find_packages, setup

setup(
    name="churn",
    description="Who leaves?",
    packages=find_packages(),
    python_requires=">=3.8",
    install_requires=["torch>=2", "humanize==4.12.3"],
    extras_require={"dev": ["freezegun"]},
)
"""
CONDA = """\
name: churn
channels: [conda-forge]
dependencies:
  - python=3.11
  - pytorch::pytorch=2.4
  - cudatoolkit=11
  - humanize >=4.9
  - pip:
      - freezegun==1.5.1
"""
PIPFILE = """\
[packages]
tensorflow = "*"
humanize = "==4.12.3"
mine = {git = "https://git.example.com/mine.git"}

[dev-packages]
freezegun = "*"

[requires]
python_version = "3.11"
"""
SETUP_CFG = """\
[metadata]
name = churn

[options]
install_requires =
    scikit-learn
    humanize>=4.9

[options.extras_require]
dev = freezegun
"""
NOTEBOOK = json.dumps(
    {
        "cells": [
            {"cell_type": "code", "source": ["import xgboost"], "metadata": {}, "outputs": []}
        ],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
)
FLAT = {"churn/__init__.py": "", "churn/model.py": MODEL, "tests/test_model.py": TEST}
SRC = {"src/churn/__init__.py": "", "src/churn/model.py": MODEL, "tests/test_model.py": TEST}
# Each shape: its files, and what is to be found in them.
SHAPES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "requirements": (
        {
            **FLAT,
            "requirements.txt": "scikit-learn==1.5.0\nhumanize==4.12.3 # sizes\n-e ./mine\n",
            "requirements-dev.txt": "-r requirements.txt\nfreezegun\n",
            "README.md": "# Churn\n\nWho leaves?\n",
            "LICENSE": MIT,
            ".gitignore": "*.log\n/out/\n",
        },
        {"framework": "scikit-learn", "license": "MIT"},
    ),
    "setup.py": (
        {
            **FLAT,
            "churn/net.py": "import torch\n",
            "setup.py": SETUP,
            "Dockerfile": "FROM nvidia/cuda:12.4.0-base\n",
        },
        {"framework": "pytorch", "accelerator": "cuda", "description": "Who leaves?"},
    ),
    "setup.cfg": (
        {**SRC, "setup.cfg": SETUP_CFG, "setup.py": "import setuptools\nsetuptools.setup()\n"},
        {"framework": "scikit-learn"},
    ),
    "Poetry": (
        {**SRC, "pyproject.toml": POETRY, "poetry.lock": POETRY_LOCK},
        {"framework": "scikit-learn", "python_version": "3.12", "description": "Who leaves?"},
    ),
    "uv": (
        {
            **SRC,
            "src/churn/trees.py": "import xgboost\n",
            "pyproject.toml": PEP_621,
            "uv.lock": UV_LOCK,
            ".python-version": "3.11\n",
        },
        {"framework": "xgboost", "tracking": "wandb", "python_version": "3.11"},
    ),
    "conda": (
        {**FLAT, "churn/net.py": "from torch import nn\n", "environment.yml": CONDA},
        {"framework": "pytorch", "accelerator": "cuda", "python_version": "3.11"},
    ),
    "Pipfile": (
        {
            **FLAT,
            "churn/net.py": "import keras\n",
            "Pipfile": PIPFILE,
            "Pipfile.lock": '{"default": {}, "develop": {}}',
        },
        {"framework": "tensorflow"},
    ),
    "notebooks": (
        {
            "notebooks/one.ipynb": NOTEBOOK,
            "data/raw.csv": "a,b\n1,2\n",
            "notebooks/explore.ipynb": "{}",
        },
        {"framework": "xgboost"},
    ),
    "DVC, Ray and GitLab": (
        {
            **FLAT,
            ".dvc/config": "[core]\n",
            "requirements.txt": "ray[tune]>=2\nscikit-learn\nhumanize\nfreezegun\n",
            ".gitlab-ci.yml": "test:\n  script: pytest\n",
        },
        {"framework": "scikit-learn", "data": "dvc", "scale": "ray", "ci": "gitlab"},
    ),
    "tests with a conftest": (
        {
            **FLAT,
            "requirements/base.txt": "scikit-learn\nhumanize==4.12.3\n",
            "requirements/dev.txt": "freezegun\n",
            "tests/__init__.py": "",
            # Of a name that the standard's tests have a fixture of, too.
            "tests/conftest.py": "import pytest\n\n\n@pytest.fixture\ndef rows():\n    return 2\n",
            "tests/test_model.py": f"{TEST}\n\ndef test_a_fixture(rows):\n    assert rows == 2\n",
            ".github/workflows/ci.yml": "on: push\n",
            "docs": "a file where the standard has a folder\n",
        },
        {"framework": "scikit-learn", "ci": "github"},
    ),
    "one script": ({"train.py": "import torch\n"}, {"framework": "pytorch"}),
}


@pytest.fixture
def make(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """Make a repository with these files, on a branch of its own name."""

    def made(content: dict[str, str]) -> Path:
        root = tmp_path / "churn-model"
        git(tmp_path, "init", "--quiet", "--initial-branch", "trunk", str(root))
        for name, text in content.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, "utf-8")
        commit_all(root, "Before")
        return root

    return made


def adopt(root: Path, moved: Path, *options: str) -> int:
    return main(["adopt", str(root), "--url", str(moved), "--yes", *options])


def state(root: Path) -> tuple[str, ...]:
    words = ("rev-parse HEAD", "branch --show-current", "status --porcelain --ignored")
    return tuple(git(root, *line.split()) for line in words)


def blobs(root: Path, commit: str) -> Counter[str]:
    """Return how often each content occurs in a commit."""
    lines = git(root, "ls-tree", "-r", commit).splitlines()
    return Counter(line.split()[2] for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_a_repository_comes_onto_the_standard_with_every_file(
    make: Callable[[dict[str, str]], Path],
    moved: Path,
    shape: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content, expected = SHAPES[shape]
    root = make(content)
    before = state(root)
    assert adopt(root, moved, "--to", "v1.1.0") == 0
    report = capsys.readouterr().out
    assert state(root) == before
    assert git(root, "rev-parse", f"{BRANCH}~") == before[0]

    git(root, "switch", "--quiet", BRANCH)
    assert (root / REPORT).read_text("utf-8") == report
    answers = yaml.safe_load((root / ANSWERS).read_text("utf-8"))
    assert answers.items() >= {**expected, "_commit": "v1.1.0", "_src_path": str(moved)}.items()
    # Every file is there, byte for byte; lists of patterns have both sides' lines.
    joined = {name for name in content if name == ".gitignore"}
    there = blobs(root, BRANCH)
    for name in content.keys() - joined:
        (line,) = git(root, "ls-tree", "trunk", name).splitlines()
        assert there[line.split()[2]], name
        shown = "tests/" if name.startswith("tests/") else name
        if f"`{shown}` is now `{FOLDER}/{shown}`" not in report:
            assert (root / name).read_text("utf-8") == content[name]
    for name in joined:
        assert {*content[name].splitlines()} <= {*(root / name).read_text("utf-8").splitlines()}

    pyproject = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    wanted = " ".join(pyproject["project"]["dependencies"])
    development = " ".join(pyproject["dependency-groups"]["dev"])
    if any("humanize" in text for text in content.values()):
        assert wanted.count("humanize") == 1
        pinned = (
            "==4.12.3" in "".join(content.values()) or {"uv.lock", "poetry.lock"} & content.keys()
        )
        assert ("humanize==4.12.3" in wanted) == bool(pinned)
    if "freezegun" in "".join(content.values()):
        assert "freezegun" in wanted + development
    stated = {"setup.py": "0.1.0", "setup.cfg": "0.1.0", "Poetry": "1.0", "uv": "1.0"}
    name = "churn" if shape in stated else "churn-model"
    assert (pyproject["project"]["name"], pyproject["project"]["version"]) == (
        name,
        stated.get(shape, "0.1.0"),
    )
    assert name in pyproject["tool"]["pip-licenses"]["ignore-packages"]
    for name, table in (("Poetry", "isort"), ("uv", "black")):
        assert (table in pyproject["tool"]) == (shape == name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(one, marks=[] if one in {"Poetry", "one script"} else pytest.mark.rare)
        for one in SHAPES
    ],
)
def test_the_next_version_comes_as_to_any_other_project(
    make: Callable[[dict[str, str]], Path], moved: Path, shape: str
) -> None:
    """With no conflict of the adoption's making."""
    root = make(SHAPES[shape][0])
    assert adopt(root, moved, "--to", "v1.1.0") == 0
    git(root, "switch", "--quiet", BRANCH)
    assert main(["fleet", "--update", str(root)]) == 0
    told = git(root, "diff", "--name-only", BRANCH, f"standard-{NEWEST}").split()
    assert {"tox.ini", "docs/team.md", ANSWERS} <= {*told}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--to", "v9.0.0"], "has no version v9.0.0"),
        (["--data", "framework=prolog"], "framework: choose one of scikit-learn"),
        (["--data", "colour=red"], "the template asks no 'colour'"),
        (["--url", "/nowhere"], "the template at /nowhere cannot be cloned"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(
    make: Callable[[dict[str, str]], Path],
    moved: Path,
    options: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = make(FLAT)
    before = state(root)
    assert adopt(root, moved, *options) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert state(root) == before
    assert git(root, "branch", "--list", BRANCH) == ""


def test_what_cannot_be_adopted_is_told(
    make: Callable[[dict[str, str]], Path],
    moved: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def said(root: Path) -> str:
        assert adopt(root, moved) == 1
        (line,) = capsys.readouterr().err.splitlines()
        return line

    (tmp_path / "plain").mkdir()
    assert "plain is not a git repository with a commit" in said(tmp_path / "plain")
    assert "nowhere is not a git repository" in said(tmp_path / "nowhere")
    root = make(FLAT)
    assert adopt(root, moved) == 0
    capsys.readouterr()
    assert f"has a branch {BRANCH}" in said(root)
    git(root, "switch", "--quiet", BRANCH)
    assert "is on the standard already" in said(root)
    git(root, "switch", "--quiet", "trunk")
    git(root, "branch", "--quiet", "--delete", "--force", BRANCH)
    (root / FOLDER).mkdir()
    (root / FOLDER / "x").touch()
    commit_all(root, "In the way")
    assert f"has a folder {FOLDER}" in said(root)


def test_a_repository_of_another_user_is_named(
    make: Callable[[dict[str, str]], Path],
    moved: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = make(FLAT)
    standard = Standard(str(moved), tmp_path / "cache")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(UserError, match=r"belongs to another user.*safe\.directory '/"):
        adopted(root, standard, {}, ask=None, say=print)


def test_files_of_every_kind_are_kept(
    make: Callable[[dict[str, str]], Path], moved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = {
        **FLAT,
        "Dockerfiles/one": "FROM scratch\n",
        'scripts/bob\'s "own" file.py': "x = 1\n",
        "src/own.py": "x = 1\n",
        "Icon\r": "a name on macOS\n",
        "crlf.csv": "a,b\r\n1,2\r\n",
        "src/a/ops/__init__.py": "",  # before the standard's, by its name
        ".gitignore": "*.log\r\n",
    }
    root = make(odd)
    (root / "gone.py").symlink_to("nowhere")
    (root / "setup.py").write_bytes('setup(name="ch\xfcrn")\n'.encode("latin-1"))
    (root / "pyproject.toml").write_bytes(b"# \xff\n[tool.black]\nline-length = 88\n")
    (root / "tool.sh").touch(0o755)
    (root / os.fsdecode(b"\xff.txt")).touch()
    commit_all(root, "Odd")
    assert adopt(root, moved) == 0
    assert "pyproject.toml cannot be read" in capsys.readouterr().out
    kept = git_lines(root, "trunk") - git_lines(root, BRANCH)
    assert {line.rpartition("\t")[2] for line in kept} == {"pyproject.toml", ".gitignore"}
    aside = {line.split()[2] for line in git_lines(root, BRANCH) if f"\t{FOLDER}/" in line}
    assert {line.split()[2] for line in kept if "gitignore" not in line} <= aside
    # There is one package with the standard's ops, whatever else is called so.
    git(root, "switch", "--quiet", "--force", BRANCH)
    package = ["bash", "-c", "source scripts/lib.sh; package"]
    assert subprocess.check_output(package, cwd=root, text=True) == "chuern\n"
    # Linters and type checkers leave them alone at first.
    tools = tomllib.loads(git(root, "show", f"{BRANCH}:pyproject.toml"))["tool"]
    assert {"src/own.py", 'scripts/bob\'s "own" file.py'} <= {*tools["ruff"]["extend-exclude"]}
    assert tools["mypy"]["exclude"] == ["^src/a/", r"^src/own\.py$"]


def test_what_worked_goes_on_working_and_each_step_has_its_place(
    make: Callable[[dict[str, str]], Path], moved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = {
        "data/raw.csv.dvc": "outs: []\n",
        "data/load.py": "x = 1\n",
        "notes/own.txt": "hidden by nobody\n",
        "src/__init__.py": "",
        "src/net.py": "import torch\n",
        "notebooks/own.ipynb": NOTEBOOK,
        "LICENSE.md": "GNU GENERAL PUBLIC LICENSE\n",
    }
    gone = {
        "pytest.ini": "[pytest]\naddopts = --nothing\n",
        "mypy.ini": "[mypy]\n",
        "uv.toml": 'exclude-newer = "7 days"\n',
        "readme.md": "# Churn\n",
        "scripts/setup.sh": "echo hello\n",
        "Makefile": "all:\n\tbash scripts/setup.sh\n",
        "pyproject.toml": "[tool.tox.env.lint]\ncommands = [['cat', 'pyproject.toml']]\n",
    }
    root = make({**kept, **gone, ".gitignore": "*.txt\n!/notes/*.txt\n/requirements/\n.venv\n"})
    (root / ".venv").mkdir()
    assert adopt(root, moved, "--data", "description=Who leaves?") == 0
    report = capsys.readouterr().out
    git(root, "switch", "--quiet", "--force", BRANCH)
    for name, content in kept.items():
        assert (root / name).read_text("utf-8") == content
    for name in gone.keys() - {"Makefile"}:
        assert (root / FOLDER / name).read_text("utf-8") == gone[name]
    # Nothing that either side has is hidden; what is new in an ignored folder is.
    tracked = git(root, "ls-files", "-z")
    ignored = git(root, "ls-files", "-z", "--cached", "--ignored", "--exclude-standard")
    assert "requirements/main.txt" in tracked
    assert ignored == ""
    (root / "requirements/other.md").touch()
    (root / "data/rows.csv").touch()
    assert git(root, "status", "--porcelain") == ""
    pyproject = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    assert {"include": "src"} in pyproject["tool"]["poetry"]["packages"]
    assert "license" not in pyproject["project"]
    assert not (root / "LICENSE").exists()
    # Notebooks that linters leave alone are not executed either.
    assert "notebooks/own.ipynb" in pyproject["tool"]["ruff"]["extend-exclude"]
    rows = {tuple(line.strip("| ").split(" | ")) for line in report.splitlines() if "|" in line}
    assert ("description", "Who leaves?", "--data") in rows
    assert ("framework", "pytorch", "the repository") in rows
    assert [row[-1] for row in rows if row[0] == "python_version"] == ["default"]
    steps = report[report.index("## What is left") :].splitlines()[2:]
    assert [line for line in steps if "`" not in line] == []
    (line,) = (line for line in report.splitlines() if "names `scripts/setup.sh`" in line)
    assert "line 2, in `all`, names" in line
    assert line.endswith("which is `adopted/scripts/setup.sh` now")
    subprocess.run(line.split("`")[1], cwd=root, shell=True, check=True)  # noqa: S602 - as told
    assert (root / "Makefile").read_text("utf-8") == "all:\n\tbash adopted/scripts/setup.sh\n"
    assert "`mv .venv .venv-before`" in report
    assert any("uv's setting exclude-newer" in line for line in steps)
    assert any("`tox -c pyproject.toml`" in line for line in steps)
    # It is there, with the project's packages and tools.
    assert "names `pyproject.toml`" not in report


@pytest.mark.parametrize("program", ["no-such-git-lfs", ""])
def test_pointers_of_git_lfs_stay_as_they_are_where_neither_it_nor_their_content_is_there(
    make: Callable[[dict[str, str]], Path], moved: Path, program: str
) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n"
    lfs = "filter=lfs diff=lfs merge=lfs -text\n"
    content = {
        **FLAT,
        ".gitattributes": f"*.bin {lfs}*.json {lfs}*.md {lfs}",
        "a/model.bin": pointer,
    }
    root = make(content | {"a/rows.json": pointer})
    if program:
        for name in ("clean", "smudge", "process"):
            git(root, "config", f"filter.lfs.{name}", program)
        git(root, "config", "filter.lfs.required", "true")
    assert adopt(root, moved) == 0
    if program:
        git(root, "config", "--remove-section", "filter.lfs")
    git(root, "switch", "--quiet", BRANCH)
    for name in ("a/model.bin", "a/rows.json"):
        assert (root / name).read_text("utf-8") == pointer
        assert "filter: lfs" in git(root, "check-attr", "filter", name)
    # What the standard has is stored as it is, and git does not take it for a pointer.
    standard = ("data/manifest.json", "README.md", REPORT)
    assert "lfs" not in git(root, "check-attr", "filter", *standard)
    assert git(root, "status", "--porcelain") == ""


def git_lines(root: Path, commit: str) -> set[str]:
    """Return a line for each file of a commit: mode, kind, name of the content, and path."""
    told = subprocess.run(
        ["git", "ls-tree", "-r", "-z", commit], cwd=root, check=True, capture_output=True
    ).stdout
    return {os.fsdecode(line) for line in told.split(b"\0") if line}


def test_without_a_name_for_git_one_line_says_so(
    make: Callable[[dict[str, str]], Path],
    moved: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = make(FLAT)
    git(root, "config", "user.useConfigOnly", "true")
    for who in ("AUTHOR", "COMMITTER"):
        for what in ("NAME", "EMAIL"):
            monkeypatch.delenv(f"GIT_{who}_{what}")
    monkeypatch.delenv("EMAIL", raising=False)
    assert adopt(root, moved) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: no ")


def test_a_submodule_in_the_way_is_refused(
    make: Callable[[dict[str, str]], Path], moved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make({**FLAT, "tests/project.py": ""})
    commit = git(root, "rev-parse", "HEAD").strip()
    git(root, "update-index", "--add", "--cacheinfo", f"160000,{commit},tests/sub")
    git(root, "commit", "--quiet", "--message", "A submodule")
    assert adopt(root, moved) == 1
    assert "the submodule tests/sub is where the standard has files" in capsys.readouterr().err


def test_only_what_cannot_be_told_is_asked(
    make: Callable[[dict[str, str]], Path],
    moved: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content, _ = SHAPES["Poetry"]
    root = make(content | {"LICENSE": MIT, ".github/x.yml": "on: push\n"})
    git(root, "remote", "add", "origin", "git@git.example.com:team/churn.git")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    asked = []
    text = questionary.text

    def watched(words: str, *rest: object, **more: object) -> object:
        asked.append(words.rsplit(maxsplit=1)[-1])
        return text(words, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(questionary, "text", watched)
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        keys.send_text("\r\r\r")
        assert main(["adopt", str(root), "--url", str(moved)]) == 0
    assert asked == ["package_name", "team"]
    answers = yaml.safe_load(git(root, "show", f"{BRANCH}:{ANSWERS}"))
    assert answers["repository_url"] == "https://git.example.com/team/churn"
    assert answers["package_name"] == "churn_ml"
    assert answers["license"] == "MIT"
    capsys.readouterr()


def test_without_a_terminal_nothing_is_asked(
    make: Callable[[dict[str, str]], Path], moved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make(FLAT)
    assert main(["adopt", str(root), "--url", str(moved)]) == 1
    assert "there is no terminal to ask on" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [
        "tests with a conftest",
        *(pytest.param(shape, marks=pytest.mark.rare) for shape in ("requirements", "Poetry")),
    ],
)
def test_the_result_installs_and_its_own_tests_still_pass(
    make: Callable[[dict[str, str]], Path], moved: Path, shape: str
) -> None:
    root = make({**SHAPES[shape][0], ".github/workflows/own.yml": "on:  push\n"})
    python = f"python_version={PRESENT_PYTHON}"
    assert adopt(root, moved, "--to", "v1.1.0", "--data", python) == 0
    git(root, "switch", "--quiet", BRANCH)
    for command in (
        ["scripts/lock.sh"],
        ["scripts/setup.sh", "--quiet"],
        ["scripts/lock.sh", "--check"],
        [".venv/bin/python", "-m", "pytest", "--quiet", "tests/test_model.py"],
        ["scripts/test.sh", "--layer", "yours", "--layer", "contract"],
        ["scripts/test.sh", "--layer", "lint"],
        ["git", "add", "--all"],
        ["git", "commit", "--quiet", "--message", "Lock"],
        ["scripts/update.sh", "--no-tests"],
    ):
        done = subprocess.run(
            command, cwd=root, env=ENVIRONMENT, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    lock = (root / "poetry.lock").read_text("utf-8")
    assert 'name = "humanize"\nversion = "4.12.3"' in lock
    assert f"_commit: {NEWEST}" in (root / ANSWERS).read_text("utf-8")
