"""`scripts/new.sh` and `scripts/test.sh`: their options, and every way for them to fail early."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest

from tests.conftest import ROOT, git

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def checkout(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean checkout with an environment that copier is in, so that no test has to fetch it."""
    folder = copytree(template, tmp_path_factory.mktemp("scripts") / "template", symlinks=True)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


@pytest.fixture
def run(checkout: Path, tmp_path: Path) -> Run:
    """Run a script of the checkout from a folder of the test's own."""

    def script(name: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [checkout / "scripts" / name, *map(str, arguments)],
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | variables,
        )

    return script


def assert_one_line(done: subprocess.CompletedProcess[str], *parts: str, status: int = 1) -> None:
    assert done.returncode == status, done.stdout + done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    for part in parts:
        assert part in done.stderr


@pytest.mark.parametrize("script", ["new.sh", "test.sh"])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_tells_the_usage(run: Run, script: str, option: str) -> None:
    done = run(script, option)
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: scripts/{script} ")
    assert "shellcheck" not in done.stdout


@pytest.mark.parametrize(
    ("script", "arguments", "part"),
    [
        ("new.sh", [], "DEST is missing"),
        ("new.sh", ["a", "b"], "one DEST"),
        ("new.sh", ["--data", "x=y", "a"], "options for copier come after --"),
        ("test.sh", ["--quick"], "unknown argument '--quick'"),
        ("test.sh", ["tests/template/test_docs.py"], "options for pytest come after --"),
    ],
)
def test_a_wrong_call_is_one_line(run: Run, script: str, arguments: list[str], part: str) -> None:
    assert_one_line(run(script, *arguments), part, f"{script} --help", status=2)


def test_a_folder_with_something_in_it_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine", "utf-8")
    assert_one_line(run("new.sh", "full"), "full is not empty; choose another folder")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]


def test_another_repository_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "repository").mkdir()
    git(tmp_path / "repository", "init", "--quiet")
    assert_one_line(run("new.sh", "repository"), "is not empty")
    assert {path.name for path in (tmp_path / "repository").iterdir()} == {".git"}


def test_a_file_in_the_way_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", "utf-8")
    assert_one_line(run("new.sh", "file"), "file is a file; choose a folder")


def test_an_answer_that_is_refused_is_one_line_and_can_be_mended(run: Run, tmp_path: Path) -> None:
    for value in ("class", "numpy"):  # the second run finds what the first one began
        done = run("new.sh", "p", "--", "--data", f"package_name={value}")
        assert_one_line(done, "render: ", "question 'package_name': is taken")
    assert {path.name for path in (tmp_path / "p").iterdir()} == {".git"}


def test_a_project_begun_with_other_options_is_not_mixed(run: Run, tmp_path: Path) -> None:
    run("new.sh", "p", "--", "--data", "package_name=class")
    (tmp_path / "p/README.md").write_text("half rendered", "utf-8")
    assert_one_line(run("new.sh", "p"), "was begun with other options: --data package_name=class")


def test_locks_of_a_git_that_was_killed_do_not_stand_in_the_way(run: Run, tmp_path: Path) -> None:
    refused = ["p", "--", "--data", "package_name=class"]
    run("new.sh", *refused)
    for name in ("config", "index", "HEAD", "refs/heads/main"):
        (tmp_path / f"p/.git/{name}.lock").write_text("", "utf-8")
    done = run("new.sh", *refused)
    assert_one_line(done, "is taken")  # by then the repository has been started
    assert not list((tmp_path / "p/.git").rglob("*.lock"))


def mounted(disk: Path, options: str, *command: object) -> subprocess.CompletedProcess[str]:
    """Run a command where `disk` is a file system of its own, that nobody else sees."""
    disk.mkdir(exist_ok=True)
    script = (
        "mount --make-rprivate / 2>/dev/null || true\n"  # fails, and is needless, in a chroot
        'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"'
    )
    unshare = ["unshare", "--mount", "--propagation", "unchanged", "bash", "-c", script, "-"]
    return subprocess.run(
        [*unshare, options, disk, *map(str, command)], check=False, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("options", "told"), [("ro", "read-only"), ("size=64k", "full"), ("size=900k", "full")]
)
def test_a_target_that_cannot_be_written_is_one_line(
    checkout: Path, tmp_path: Path, options: str, told: str
) -> None:
    """Nothing can be written, or there is no room at the start, or not for the whole project."""
    disk = tmp_path / "disk"
    if mounted(disk, options, "true").returncode:
        pytest.skip("this user may not mount a file system to fill")
    assert_one_line(mounted(disk, options, checkout / "scripts/new.sh", disk / "p"), told)


def bare(folder: Path, *without: str) -> str:
    """Return a PATH with all that the system has but the commands that begin with these words."""
    folder.mkdir()
    for place in ("/usr/bin", "/bin"):
        for command in Path(place).iterdir():
            if not command.name.startswith(without) and not (folder / command.name).exists():
                (folder / command.name).symlink_to(command)
    return str(folder)


PYTHONS = ("python", "pypy", "uv", "pyenv")


@pytest.mark.parametrize("script", ["new.sh", "test.sh"])
def test_without_a_python_one_line_says_how_to_get_it(
    run: Run, tmp_path: Path, script: str
) -> None:
    arguments = ["p"] if script == "new.sh" else ["--setup"]
    path = bare(tmp_path / "bin", *PYTHONS)
    done = run(script, *arguments, PATH=path, HOME=str(tmp_path), PYENV_ROOT="", XDG_DATA_HOME="")
    assert_one_line(done, "no Python 3.11, 3.12 or 3.13", "apt-get install python3")


@pytest.mark.parametrize("script", ["new.sh", "test.sh"])
def test_without_git_one_line_says_so(run: Run, tmp_path: Path, script: str) -> None:
    done = run(script, "p" if script == "new.sh" else "--setup", PATH=bare(tmp_path / "bin", "git"))
    assert_one_line(done, "git is not installed")


def interpreter(path: Path, version: str, status: int = 0) -> Path:
    """Make a stand-in for a Python that says it is `version`."""
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho {version}\nexit {status}\n", "utf-8")
    path.chmod(0o755)
    return path


def chosen(checkout: Path, tmp_path: Path, path: str, **variables: str) -> str:
    """Return the Python that the scripts take for the newest one."""
    done = subprocess.run(
        ["bash", "-c", 'source scripts/lib.sh; choose_python; echo "$version $python"'],
        cwd=checkout,
        env={"PATH": path, "HOME": str(tmp_path), **variables},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def test_the_newest_python_on_path_is_taken(checkout: Path, tmp_path: Path) -> None:
    old = interpreter(tmp_path / "old/python3.11", "3.11")
    new = interpreter(tmp_path / "new/python3", "3.13")
    path = f"{old.parent}:{new.parent}:{bare(tmp_path / 'bin', *PYTHONS)}"
    assert chosen(checkout, tmp_path, path) == f"3.13 {new}"


def test_a_name_that_lies_about_its_version_is_passed_over(checkout: Path, tmp_path: Path) -> None:
    """As pyenv's shims do: python3.13 is there, fails, or is another version."""
    broken = interpreter(tmp_path / "broken/python3.13", "", status=127)
    liar = interpreter(tmp_path / "liar/python3.12", "3.10")
    real = interpreter(tmp_path / "real/python3.11", "3.11")
    path = f"{broken.parent}:{liar.parent}:{real.parent}:{bare(tmp_path / 'bin', *PYTHONS)}"
    assert chosen(checkout, tmp_path, path) == f"3.11 {real}"


def test_pythons_of_pyenv_are_found_without_its_shims(checkout: Path, tmp_path: Path) -> None:
    interpreter(tmp_path / "pyenv/versions/3.12.1/bin/python", "3.12")
    newest = interpreter(tmp_path / "pyenv/versions/3.12.11/bin/python", "3.12")
    path = bare(tmp_path / "bin", *PYTHONS)
    found = chosen(checkout, tmp_path, path, PYENV_ROOT=str(tmp_path / "pyenv"))
    assert found == f"3.12 {newest}"


def test_the_scripts_look_for_every_python_that_the_question_offers(checkout: Path) -> None:
    offered = 'choices: ["3.11", "3.12", "3.13"]'
    assert offered in (checkout / "questions/project.yml").read_text("utf-8")
    assert "for version in 3.13 3.12 3.11; do" in (checkout / "scripts/lib.sh").read_text("utf-8")


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_a_skip_is_listed_with_its_reason_and_fails_in_ci(
    tmp_path: Path, ci: str, status: int
) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\ndef test_it():\n    pytest.skip('no such tool')\n", "utf-8"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.conftest",
            "-c",
            ROOT / "pyproject.toml",
            tmp_path,
        ],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"CI": ci},
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "no such tool" in done.stdout


def test_each_step_is_named_when_it_starts_and_ticks_on_a_terminal(tmp_path: Path) -> None:
    script = tmp_path / "steps.sh"
    script.write_text(
        f"source {ROOT}/scripts/lib.sh\nstep 'one' sleep 2.5\nstep 'two' sh -c 'echo no; exit 1'\n",
        "utf-8",
    )
    plain = subprocess.run(["bash", script], check=False, capture_output=True, text=True)
    assert plain.returncode == 1
    assert re.fullmatch(r"  one …\n  one +2\.\d s\n  two …\n", plain.stdout)
    assert plain.stderr == "error: two: no\n"

    def shown(descriptor: int) -> bytes:
        found = os.read(descriptor, 1000)
        output.extend(found)
        return found

    output = bytearray()
    status = pty.spawn(["bash", str(script)], shown)
    assert os.waitstatus_to_exitcode(status) == 1
    first, *ticks = re.split(r"\r(?!\n)", output.decode())
    assert first == "  one                                     0.0 s"
    assert [re.sub(r"\.\d s.*", "", tick, flags=re.DOTALL).split() for tick in ticks[:3]] == [
        ["one", "1"],
        ["one", "2"],
        ["one", "2"],
    ]
    assert "0.0 s\r\nerror: two: no\r\n" in output.decode()
