"""Nothing of an audited repository runs, and nothing in it stops the audit."""

import json
import os
from datetime import date
from pathlib import Path

import pytest

from groundwork.audit.files import LIMIT, Files
from groundwork.audit.index import tracked
from groundwork.audit.model import Status
from groundwork.audit.run import audit
from groundwork.cli.main import main
from tests.audit.good import GOOD, write
from tests.conftest import commit_all, git

TODAY = date(2026, 11, 26)


def test_nothing_of_the_repository_runs(tmp_path: Path) -> None:
    """Whatever a tool would run leaves a mark here."""
    mark = tmp_path / "mark"
    python = f"open({str(mark)!r}, 'w').close()\n"
    shell = f"#!/bin/sh\ntouch '{mark}'\n"
    names = ("setup.py", "conftest.py", "noxfile.py", "tests/conftest.py", "src/demo/__init__.py")
    folder = write(tmp_path / "demo", GOOD, dict.fromkeys(names, python))
    write(
        folder,
        {
            "backend/backend.py": python,
            "sitecustomize.py": python,
            ".gitattributes": "*.py filter=evil diff=evil\n* -text\n",
            "Makefile": f"$(shell touch '{mark}')\nall:\n",
            ".envrc": shell,
        },
    )
    pyproject = (folder / "pyproject.toml").read_text("utf-8")
    backend = (
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["backend"]\n'
    )
    (folder / "pyproject.toml").write_text(backend + pyproject, "utf-8")
    git(folder, "init", "--quiet")
    commit_all(folder, "Start")
    program = tmp_path / "program"
    program.write_text(shell, "utf-8")
    program.chmod(0o755)
    for key in ("core.fsmonitor", "filter.evil.smudge", "filter.evil.clean", "diff.evil.textconv"):
        git(folder, "config", key, str(program))
    for name in ("post-index-change", "post-checkout", "pre-commit", "fsmonitor-watchman"):
        (folder / ".git/hooks" / name).write_text(shell, "utf-8")
        (folder / ".git/hooks" / name).chmod(0o755)
    mark.unlink(missing_ok=True)
    (folder / "README.md").write_text(GOOD["README.md"] + "More.\n", "utf-8")
    outputs = ("--html", "--sarif", "--badge")
    written = [word for name in outputs for word in (name, str(tmp_path / name))]
    main(["audit", str(folder), *written])
    assert not mark.exists()
    git(folder, "status")  # the trap works: git itself falls into it
    assert mark.exists()


@pytest.mark.parametrize("version", ["2", "4"])
@pytest.mark.parametrize("objects", ["sha1", "sha256"])
def test_the_index_says_what_git_tracks(version: str, objects: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "demo", GOOD | {"lib/é x.py": "", "lib/deep/er/y.py": ""})
    git(folder, "init", "--quiet", f"--object-format={objects}")
    git(folder, "config", "index.version", version)
    commit_all(folder, "Start")
    git(folder, "add", "--intent-to-add", write(folder, {"later.py": ""}).joinpath("later.py").name)
    (folder / "untracked.py").touch()
    listed = git(folder, "ls-files", "-z").split("\0")[:-1]
    assert tracked(folder) == sorted(listed)
    below = git(folder / "lib", "ls-files", "-z").split("\0")[:-1]
    assert tracked(folder / "lib") == sorted(below)
    assert "untracked.py" not in Files(folder).paths


def test_a_linked_work_tree_has_its_own_index(tmp_path: Path) -> None:
    folder = write(tmp_path / "demo", GOOD)
    git(folder, "init", "--quiet")
    commit_all(folder, "Start")
    git(folder, "worktree", "add", "--quiet", "../linked")
    assert tracked(tmp_path / "linked") == tracked(folder)


@pytest.mark.parametrize("broken", [b"", b"DIRC", b"DIRC\0\0\0\2\0\0\0\5abc", b"x" * 4000])
def test_with_a_broken_index_every_file_counts(broken: bytes, tmp_path: Path) -> None:
    folder = write(tmp_path / "demo", GOOD)
    (folder / ".git").mkdir()
    (folder / ".git/index").write_bytes(broken)
    (folder / ".venv").mkdir()
    (folder / ".venv/x.py").touch()
    assert tracked(folder) is None
    assert Files(folder).paths == sorted(GOOD)


HOSTILE: dict[str, bytes] = {
    "src/deep.py": b"x = " + b"(" * 5000 + b"1" + b")" * 5000,
    "src/unary.py": b"x = " + b"-" * 200000 + b"1",
    "src/latin.py": "# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"),
    "src/utf16.py": "x = 1\n".encode("utf-16"),
    "src/nothing.py": b"",
    "src/huge.py": b"# " + b"x" * (LIMIT + 1),
    "poetry.lock": b"[[package]]\nname = 3\n",
    "Pipfile.lock": b'{"default": ["x"]}',
    "Pipfile": b'packages = "x"\n',
    "pdm.lock": b"\xff\xfe",
    "environment.yml": b"dependencies: {a: b}\n",
    "conda-lock.yml": b"a: &a [*a]\n",
    "setup.py": b"from setuptools import setup\nsetup(install_requires=open('x'))\n",
    "setup.cfg": b"install_requires = x\n",
    "requirements.txt": b"-e .\n--hash=x\n=== \n;;\n-r\n\\\n",
    "notebooks/list.ipynb": b"[]",
    "notebooks/odd.ipynb": b'{"cells": [{"cell_type": "code", "outputs": [{}], "source": 3}, 4]}',
    "notebooks/worse.ipynb": b'{"cells": [{"cell_type": "code", "outputs": 3, "metadata": []}]}',
    "Dockerfile": b"FROM\nRUN <<EOF\nnever ends\n",
    "x.Dockerfile": b"RUN x\n\\",
    "compose.yml": b"services: {a: 3, b: [x], c: {image: 7}}\n",
    "k8s/list.yaml": b"apiVersion: v1\nkind: Deployment\nspec: [1]\n---\n3\n",
    ".github/workflows/a.yml": b"jobs: {a: {steps: {x: 1}}, b: [2], c: {steps: [3, {run: [4]}]}}\n",
    ".github/workflows/b.yml": b"on: push\n",
    ".gitlab-ci.yml": b"x: !reference [a, b]\ny: {script: [[pytest], 3]}\n",
    "pyproject.toml": b'project = 3\n[tool]\ngroundwork = "x"\nuv = 4\n',
    ".env": b"\xff=\xfe",
    "README.md": b"\xff\xfe",
}


@pytest.mark.parametrize("name", [*HOSTILE, "all"])
def test_no_file_stops_the_audit(name: str, tmp_path: Path) -> None:
    chosen = HOSTILE if name == "all" else {name: HOSTILE[name]}
    folder = write(tmp_path / "demo", GOOD, dict(chosen))
    report = audit(folder, today=TODAY)
    assert len(report.results) > 40
    json.dumps(report.unread)


@pytest.mark.parametrize("name", ["src/deep.py", "src/utf16.py", "src/huge.py"])
def test_what_depends_on_a_file_that_was_not_read_does_not_pass(name: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "demo", GOOD, {name: HOSTILE[name]})
    report = audit(folder, today=TODAY)
    found = {one.check.id: one.status for one in report.results}
    assert [line.partition(":")[0] for line in report.unread] == [name]
    assert found["AU101"] is Status.FAILED
    assert {found[one] for one in ("EX101", "RB102", "TS102", "CF104")} == {Status.INCOMPLETE}
    assert found["LK102"] is Status.PASSED
    assert report.score < 70


def test_links_pipes_and_loops_are_not_followed(tmp_path: Path) -> None:
    folder = write(tmp_path / "demo", GOOD)
    (tmp_path / "outside.py").write_text("import os\nf(list(os.listdir('.')))\n", "utf-8")
    (folder / "src/out.py").symlink_to(tmp_path / "outside.py")
    (folder / "src/loop.py").symlink_to("loop.py")
    (folder / "src/self").symlink_to(".")
    os.mkfifo(folder / "src/pipe.py")
    report = audit(folder, today=TODAY)
    assert report.unread == ["src/out.py: it is a link that leaves the repository"]
    assert [one.check.id for one in report.results if one.status is Status.FAILED] == ["AU101"]
