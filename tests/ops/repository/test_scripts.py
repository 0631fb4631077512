"""The scripts are clean, tell their use, refuse bad input in one line, and build the same."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from ..conftest import ROOT, commit
from ..project import lock

SCRIPTS = sorted((ROOT / "scripts").glob("*.sh"))
COMMANDS = [path for path in SCRIPTS if path.stem != "lib"]
SHELLCHECK = Path(sys.executable).parent / "shellcheck"


def run(*command: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def shellcheck(*scripts: Path) -> subprocess.CompletedProcess[str]:
    return run(SHELLCHECK, "--external-sources", *scripts, cwd=ROOT)


@pytest.fixture
def copy(tmp_path) -> Path:
    """A commit of this project as its users have it, without an environment."""
    root = tmp_path / "a copy"
    ignored = shutil.ignore_patterns(
        ".venv", "var", ".git", "dist", ".tox", "__pycache__", ".*_cache", ".env"
    )
    shutil.copytree(ROOT, root, ignore=ignored)
    commit(root, "start")
    return root


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_scripts_are_clean():
    result = shellcheck(*SCRIPTS)
    assert result.returncode == 0, result.stdout


def test_the_check_notices_a_fault(tmp_path):
    (tmp_path / "bad.sh").write_text("#!/usr/bin/env bash\nrm $1\n", encoding="utf-8")
    assert shellcheck(tmp_path / "bad.sh").returncode != 0


@pytest.mark.parametrize("script", COMMANDS, ids=lambda path: path.stem)
class TestCommand:
    def test_is_strict_and_executable(self, script):
        assert os.access(script, os.X_OK)
        text = script.read_text(encoding="utf-8")
        assert text.startswith("#!/usr/bin/env bash\n")
        assert "lib.sh" in text or "set -euo pipefail" in text

    def test_tells_how_it_is_used(self, script, tmp_path):
        result = run(script, "--help", cwd=tmp_path)
        assert result.returncode == 0
        assert f"Usage: scripts/{script.name}" in result.stdout

    def test_refuses_an_unknown_argument(self, script, tmp_path):
        result = run(script, "--no-such-option", cwd=tmp_path)
        assert result.returncode == 2
        assert "--no-such-option" in result.stderr
        assert "Traceback" not in result.stderr


def test_setup_refuses_another_python(copy):
    (copy / ".python-version").write_text("3.99\n", encoding="utf-8")
    result = run(copy / "scripts" / "setup.sh", cwd=copy.parent)
    assert result.returncode == 1
    assert "3.99" in one_line(result)
    assert not (copy / ".venv").exists()


@pytest.mark.parametrize("written", ["", "garbage", "3.10", "3.12.1", "2.7"])
def test_setup_checks_the_version_before_it_clears_the_environment(copy, written):
    (copy / ".python-version").write_text(f"{written}\n", encoding="utf-8")
    (copy / ".venv").mkdir()
    (copy / ".venv" / ".ready").write_text("whole\n", encoding="utf-8")
    result = run(copy / "scripts" / "setup.sh", cwd=copy.parent)
    assert result.returncode == 1
    assert one_line(result).startswith(f"error: .python-version says '{written}', but")
    assert (copy / ".venv" / ".ready").exists()


@pytest.mark.slow
def test_setup_rebuilds_the_environment_of_a_copied_project(copy):
    (copy / ".venv" / "bin").mkdir(parents=True)
    (copy / ".venv" / "pyvenv.cfg").touch()
    (copy / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (copy / ".venv" / ".ready").write_text("/elsewhere/.venv\n3.12 0\n", encoding="utf-8")
    result = run(copy / "scripts" / "setup.sh", cwd=copy.parent)
    assert result.returncode == 0, result.stderr
    assert "create .venv" in result.stdout
    ready = (copy / ".venv" / ".ready").read_text(encoding="utf-8")
    assert ready.splitlines()[0] == str(copy / ".venv")
    again = run(copy / "scripts" / "setup.sh", cwd=copy.parent)
    assert "create .venv" not in again.stdout


@pytest.mark.parametrize(("ruff", "code"), [("true", 0), ("false", 1)])
def test_lint_fails_by_a_fault_and_not_by_a_tool_that_the_machine_has_no_package_of(
    copy, ruff, code
):
    stub = "#!/bin/sh\nexit 0\n"
    (copy / "scripts" / "setup.sh").write_text(stub, encoding="utf-8")
    (copy / ".venv" / "bin").mkdir(parents=True)
    tools = dict.fromkeys(("mypy", "yamllint", "pre-commit", "pip-licenses"), "true")
    for tool, stands_in in {**tools, "ruff": ruff}.items():
        (copy / ".venv" / "bin" / tool).symlink_to(shutil.which(stands_in))
    result = run(copy / "scripts" / "test.sh", "--layer", "lint", cwd=copy.parent)
    assert result.returncode == code, result.stdout + result.stderr
    assert re.search("^shellcheck +not run, ", result.stdout, re.MULTILINE)
    verdicts = dict(re.findall(r"^(\w+) +(passed|failed) ", result.stdout, re.MULTILINE))
    others = dict.fromkeys(("licences", "mypy", "secrets", "yamllint"), "passed")
    by_ruff = "failed" if code else "passed"
    assert verdicts == {**others, "ruff": by_ruff, "format": by_ruff}


def test_setup_refuses_a_chosen_python_of_another_version(copy):
    other = {"3.12": "3.13"}.get(f"3.{sys.version_info.minor}", "3.12")
    (copy / ".python-version").write_text(f"{other}\n", encoding="utf-8")
    result = run(copy / "scripts" / "setup.sh", cwd=copy.parent, PYTHON=sys.executable)
    assert result.returncode == 1
    assert "PYTHON=" in one_line(result)


def groups(copy: Path, written: str) -> subprocess.CompletedProcess[str]:
    """Write another `groups = …` and ask the scripts what it says."""
    path = copy / "pyproject.toml"
    text, found = re.subn(r"(?m)^groups = .*\n", written, path.read_text(encoding="utf-8"))
    assert found == 1
    path.write_text(text, encoding="utf-8")
    return run("bash", "-c", "source scripts/lib.sh; found=$(groups); echo $found", cwd=copy)


@pytest.mark.parametrize(
    "written", ["", "groups = []\n", "groups=['mine']\n", 'groups = ["ray", "x-y_2"] # [no]\n']
)
def test_setup_reads_the_groups_as_python_does(copy, written):
    result = groups(copy, written)
    assert result.returncode == 0, result.stderr
    assert ("main", "train", *result.stdout.split()) == lock.groups(copy)


@pytest.mark.parametrize("written", ['groups = ["mine"]\n', 'groups = [\n    "ray",\n]\n'])
def test_setup_refuses_groups_that_it_cannot_install(copy, written):
    groups(copy, written)
    result = run(copy / "scripts" / "setup.sh", cwd=copy.parent)
    assert result.returncode == 1
    assert re.search(r"requirements/mine\.txt is missing|on one line", one_line(result))
    assert not (copy / ".venv").exists()


def test_build_refuses_uncommitted_changes(copy):
    (copy / "params.yaml").write_text("changed: true\n", encoding="utf-8")
    result = run(copy / "scripts" / "build.sh", cwd=copy.parent)
    assert result.returncode == 1
    assert "params.yaml" in one_line(result)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--image"], 2, "no stage ''"),
        (["--image", "nowhere"], 2, "no stage 'nowhere'"),
        (["--image", "serving", "--engine", "lxc"], 2, "not 'lxc'"),
        (["--engine"], 2, "docker, podman or buildah"),
        (["--secret", "token=/dev/null"], 2, "index=FILE or ca=FILE"),
        (["--secret", "ca="], 2, "index=FILE or ca=FILE"),
        (["--secret", "ca=no/such/file"], 1, "no/such/file: the file cannot be read"),
    ],
)
def test_build_refuses_what_no_image_can_be_built_of(copy, arguments, code, told):
    result = run(copy / "scripts" / "build.sh", *arguments, cwd=copy.parent)
    assert result.returncode == code
    assert told in one_line(result)
    assert not (copy / "dist").exists()


@pytest.mark.parametrize("installed", [False, True])
@pytest.mark.parametrize(
    ("chosen", "told"),
    [([], "of: docker podman buildah;"), (["--engine", "podman"], "of: podman;")],
)
def test_build_refuses_an_engine_that_is_missing_or_broken(copy, tmp_path, installed, chosen, told):
    """A machine that has little more than git; its engines, if there are any, cannot run."""
    path = tmp_path / "bin"
    path.mkdir()
    for name in ("bash", "basename", "dirname", "git", "grep", "head", "sed", "wc"):
        (path / name).symlink_to(shutil.which(name))
    for name in ("docker", "podman", "buildah") if installed else ():
        (path / name).write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        (path / name).chmod(0o755)
    command = (path / "bash", copy / "scripts" / "build.sh", "--image", "serving", *chosen)
    result = run(*command, cwd=copy.parent, PATH=str(path))
    assert result.returncode == 1
    assert told in one_line(result)
    assert not (copy / ".venv").exists()


@pytest.mark.skipif(not shutil.which("flock"), reason="no flock")
def test_one_that_waits_for_another_says_so(copy):
    (copy / "var").mkdir()
    command = ["bash", "-c", "source scripts/lib.sh && hold update && echo held"]
    with (copy / "var/update.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = subprocess.Popen(command, cwd=copy, stdout=PIPE, stderr=PIPE, text=True)
        assert waiting.stderr.readline() == "  wait for another update here\n"
    assert waiting.communicate(timeout=60) == ("held\n", "")


def test_update_refuses_a_project_that_no_template_made(copy):
    (copy / ".copier-answers.yml").unlink(missing_ok=True)
    result = run(copy / "scripts" / "update.sh", cwd=copy.parent)
    assert result.returncode == 1
    assert "answers" in one_line(result)


@pytest.mark.slow
def test_the_same_commit_builds_the_same_bytes(copy, tmp_path):
    """Another folder, another umask, another zone, another day on the files: the same bytes."""
    other = tmp_path / "elsewhere" / "clone"
    subprocess.run(["git", "clone", "--quiet", copy, other], check=True)
    (other / "src" / "stray.py").write_text("raise SystemExit\n", encoding="utf-8")
    with (other / ".git" / "info" / "exclude").open("a", encoding="utf-8") as file:
        file.write("stray.py\n")
    built = []
    for root, zone, umask in ((copy, "UTC", 0o022), (other, "Asia/Tokyo", 0o077)):
        before = os.umask(umask)
        try:
            result = run(root / "scripts" / "build.sh", cwd=tmp_path, TZ=zone)
        finally:
            os.umask(before)
        assert result.returncode == 0, result.stderr
        built.append({path.name: path.read_bytes() for path in (root / "dist").iterdir()})
    assert built[0] == built[1]
    manifest = json.loads(built[0].pop("manifest.json"))
    assert manifest["files"] == {
        name: hashlib.sha256(content).hexdigest() for name, content in built[0].items()
    }
    assert manifest["dirty"] is False
    bill = json.loads(built[0]["sbom.cdx.json"])
    assert bill["bomFormat"] == "CycloneDX"
    assert {part["purl"] for part in bill["components"]} == {
        f"pkg:pypi/{pin.name}@{pin.version}" for pin in lock.export(ROOT, "main")
    }
