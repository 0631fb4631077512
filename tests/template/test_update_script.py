"""`scripts/update.sh` for real: Copier, Poetry, git and uv, on a project that has moved on too."""

import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from random import Random
from shutil import copytree, rmtree
from time import monotonic, sleep

import pytest
from poetry.repositories.pypi_repository import PyPiRepository
from pytest_copie.plugin import Copie

from tests.conftest import PRESENT_PYTHON, ROOT, commit_all, git
from tests.versions import DROPPED, MODEL, MOVED, NEWEST, RENAMED, append, begin, change

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("update")]
# Poetry needs an address with the simple API where that is all there is: see docs/how-to/mirror.md.
ENVIRONMENT = {
    "POETRY_PYPI_MIRROR_URL": os.environ.get("PIP_INDEX_URL", PyPiRepository().url)
} | os.environ


# The last commit whose projects have scripts/merge.py.
FLAT = "00d478c"


@pytest.fixture
def project(copie: Copie, moved: Path, tmp_path: Path) -> Path:
    return begin(copie, moved, tmp_path / "project", "v1.0.0", python_version=PRESENT_PYTHON)


def run(project: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=project,
        env=ENVIRONMENT | variables,
        check=False,
        capture_output=True,
        text=True,
    )


def update(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return run(project, "scripts/update.sh", *options)


def state(project: Path) -> tuple[str, str]:
    return git(project, "rev-parse", "HEAD"), git(project, "status", "--porcelain")


def test_a_project_is_audited_by_its_own_version_with_no_published_package(project: Path) -> None:
    before = state(project)
    done = update(project, "--audit")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("project: 100 of 100\n")
    assert state(project) == before
    unseeded = "from sklearn.model_selection import train_test_split as s\n\nSPLIT = s([1, 2])"
    append(project / "src/my_ml_project/features.py", unseeded)
    commit_all(project, "Not seeded")
    done = update(project, "--audit")
    assert done.returncode == 1
    assert "features.py" in done.stdout
    assert done.stderr.splitlines()[-1] == (
        "error: audit this project: checks fail; each is named above, with what to do"
    )
    assert [path.name for path in (project / "var").glob("update.*")] == ["update.lock"]


def test_an_update_keeps_packages_edits_and_files_and_leaves_a_project_that_passes(
    project: Path,
) -> None:
    done = run(project, "scripts/lock.sh", "add", "humanize>=4.12,<4.14")
    assert done.returncode == 0, done.stderr
    own = re.search(r'name = "humanize"\nversion = "(.+)"', (project / "poetry.lock").read_text())
    assert own
    append(project / "docs/own.md", "Mine.")
    change(project / RENAMED, "line 20\n", "line 20\nmine\n")
    append(project / DROPPED, "mine")
    (project / MODEL).write_text((project / MODEL).read_text("utf-8") + "\n# Mine.\n", "utf-8")
    commit_all(project, "Mine")

    assert run(project, "scripts/update.sh", "--check").returncode == 1
    told = update(project, "--status").stdout.splitlines()
    assert told[-4].endswith("with 3 of its files changed here")
    assert sorted(line.split() for line in told[-3:]) == [
        ["+1", "-0", DROPPED],
        ["+1", "-0", RENAMED],
        ["+1", "-0", "pyproject.toml"],
    ]

    done = update(project, "--no-tests")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"no longer the standard's, kept as yours: {DROPPED}" in done.stdout
    assert f"Updated from v1.0.0 to {NEWEST}" in done.stdout
    lock = (project / "poetry.lock").read_text("utf-8")
    assert own[0] in lock
    assert 'name = "idna"\nversion = "3.10"' not in lock
    assert "mine\n" in (project / MOVED).read_text("utf-8")
    assert (project / MODEL).read_text("utf-8").endswith("# Mine.\n")
    assert "humanize" in (project / "docs/environment.md").read_text("utf-8")
    assert run(project, "scripts/lock.sh", "--check").returncode == 0
    commit_all(project, "Update")
    assert git(project, "ls-files", "var", ".venv") == ""
    assert run(project, "scripts/update.sh", "--check").returncode == 0
    assert update(project).stdout == f"Already at {NEWEST}\n"

    # Another answer, and back, with no newer version: no resolution, and nothing of the rest moves.
    done = update(project, "--data", "scale=ray", "--no-tests")
    assert done.returncode == 0, done.stderr
    assert (project / "docs/how-to/ray.md").is_file()
    commit_all(project, "Ray")
    assert update(project, "--data", "scale=none", "--no-tests").returncode == 0
    commit_all(project, "None")
    assert git(project, "diff", "HEAD~2", "--stat") == ""


def test_an_update_runs_the_code_of_the_version_that_the_project_has(
    copie: Copie, moved: Path, tmp_path: Path
) -> None:
    """What merges is known by its commit; a new version may have it elsewhere, or broken."""
    template = copytree(moved, tmp_path / "it's: a template", symlinks=True)
    (template / "src").rename(template / "tools")
    append(template / "template/tox.ini", "; three")
    commit_all(template, "Four")
    git(template, "tag", "v1.3.0")
    project = begin(copie, template, tmp_path / "project", NEWEST, python_version=PRESENT_PYTHON)
    assert not (project / "scripts/merge.py").exists()
    # As inside a hook of another repository.
    there = {"GIT_DIR": str(template / ".git"), "GIT_INDEX_FILE": str(tmp_path / "index")}
    done = run(project, "scripts/update.sh", "--status", **there)
    assert done.stdout.splitlines()[-1].endswith("with 0 of its files changed here"), done.stderr
    done = run(project, "scripts/update.sh", "--no-tests", **there)
    assert done.returncode == 0, done.stderr
    assert (project / "tox.ini").read_text("utf-8").endswith("; three\n")
    assert "_commit: v1.3.0" in (project / ".copier-answers.yml").read_text("utf-8")
    assert git(template, "status", "--porcelain") == ""


def test_a_project_from_before_that_brings_its_own_merge_is_updated_too(
    copie: Copie, template: Path, tmp_path: Path
) -> None:
    """Its own scripts take it to the present layout, and those to the next version."""
    history = tmp_path / "template"
    git(tmp_path, "clone", "--quiet", "--no-local", str(ROOT), str(history))
    git(history, "tag", "v998.0.0", FLAT)
    git(history, "fetch", "--quiet", str(template), "v999.0.0:refs/tags/v999.0.0")
    git(history, "checkout", "--quiet", "v999.0.0")
    project = begin(copie, history, tmp_path / "project", "v998.0.0", python_version=PRESENT_PYTHON)
    assert (project / "scripts/merge.py").is_file()
    append(project / ".editorconfig", "# mine")
    commit_all(project, "Mine")
    done = update(project, "--no-tests")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (project / "scripts/merge.py").exists()
    assert (project / ".editorconfig").read_text("utf-8").endswith("# mine\n")
    commit_all(project, "Update")
    append(history / "template/docs/ownership.yml.jinja", "# One thing more.")
    commit_all(history, "Next")
    git(history, "tag", "v999.1.0")
    done = update(project, "--no-tests")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# One thing more." in (project / "docs/ownership.yml").read_text("utf-8")


def test_two_edits_of_the_same_lines_are_left_to_a_person(project: Path) -> None:
    append(project / "tox.ini", "; mine")
    commit_all(project, "Mine")
    done = update(project)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: decide between the two edits in: tox.ini; then git add them and run scripts/test.sh"
    ]
    assert {
        line[:2] for line in git(project, "status", "--porcelain").splitlines() if "tox" in line
    } == {"UU"}
    text = (project / "tox.ini").read_text("utf-8")
    assert "<<<<<<< yours\n; mine\n=======\n; one\n; two\n>>>>>>> the standard\n" in text


@pytest.mark.parametrize(
    ("prepare", "options", "words"),
    [
        (lambda root: append(root / "tox.ini", "; x"), [], "there are uncommitted changes"),
        (None, ["--to", "v9.0.0"], "has no version v9.0.0"),
        (None, ["--data", "colour=red"], "the template asks this project no 'colour'"),
        (None, ["--data", "scale=many"], "'many' is not in"),
        ("_src_path: /nowhere", [], "the template cannot be reached"),
        ("_src_path: https://127.0.0.1:9/x.git", [], "the template cannot be reached"),
        ("_commit: v0.0.1", ["--to", NEWEST], "has no version v0.0.1"),
        ("# commit: 0123abc", [], "and this project was made from 0123abc: ask"),
    ],
)
def test_what_goes_wrong_is_one_line_and_changes_nothing(
    project: Path, prepare: object, options: list[str], words: str
) -> None:
    if isinstance(prepare, str):
        path = project / ".copier-answers.yml"
        name = prepare.partition(":")[0]
        path.write_text(re.sub(rf"(?m)^{name}:.*$", prepare, path.read_text("utf-8")), "utf-8")
        commit_all(project, "By hand")
    elif callable(prepare):
        prepare(project)
    before = state(project)
    done = update(project, *options)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert state(project) == before
    assert list((project / "var").glob("update.??????")) == []


@pytest.mark.parametrize(
    ("how", "after"),
    [
        (signal.SIGKILL, "the write"),
        pytest.param(signal.SIGINT, "render the standard", marks=pytest.mark.rare),
        pytest.param(signal.SIGTERM, "the write", marks=pytest.mark.rare),
        pytest.param(signal.SIGKILL, "render it as it is", marks=pytest.mark.rare),
        pytest.param(signal.SIGKILL, "render the standard", marks=pytest.mark.rare),
    ],
)
def test_one_that_is_stopped_leaves_the_project_as_it_was_or_is_finished_by_the_next(
    project: Path, tmp_path: Path, how: signal.Signals, after: str
) -> None:
    before = state(project)
    told = tmp_path / "told"
    process = started(project, told)

    def reached() -> bool:
        recorded = list(project.glob("var/update.*/appl*"))
        return bool(recorded) if after == "the write" else after in told.read_text()

    while not reached():
        assert process.poll() is None, told.read_text()
        sleep(0.005)
    os.killpg(process.pid, how)
    process.wait()
    finish(project, before, tmp_path / "copy")


@pytest.mark.rare
@pytest.mark.parametrize("seed", range(30))
def test_killed_at_any_moment_the_next_one_finishes(
    project: Path, tmp_path: Path, seed: int
) -> None:
    """The moments are spread over the time that an update takes here, and random within a step."""
    whole = copytree(project, tmp_path / "whole", symlinks=True)
    began = monotonic()
    assert update(whole, "--no-tests").returncode == 0
    seconds = monotonic() - began
    rmtree(whole)
    before = state(project)
    process = started(project, tmp_path / "told")
    sleep((seed + Random(seed).random()) / 30 * seconds)  # noqa: S311
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finish(project, before, tmp_path / "copy")


def started(project: Path, told: Path) -> subprocess.Popen[bytes]:
    """Start an update in a group of its own, which writes what it says to the file `told`."""
    with told.open("w") as output:
        return subprocess.Popen(
            ["scripts/update.sh", "--no-tests"],
            cwd=project,
            env=ENVIRONMENT,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def finish(project: Path, before: tuple[str, str], copy: Path) -> None:
    """Run the update again after one that was stopped: it is as before, or fully updated."""
    # Elsewhere: all that the record names is in the project's folder.
    copytree(project, copy, symlinks=True)
    if list(copy.glob("var/update.*/applying")):
        done = update(copy, "--no-tests")
        assert "finish the update that was stopped" in done.stdout
    elif state(project) == before:
        done = update(copy, "--no-tests")
    else:  # it was quicker
        assert not (copy / ".git/index.lock").exists()
        done = update(copy, "--check")
    assert done.returncode == 0, done.stderr
    assert NEWEST in done.stdout
    assert f"_commit: {NEWEST}" in (copy / ".copier-answers.yml").read_text("utf-8")
    # Nothing is half of it: where an update went through is how it differs from the start.
    lines = git(copy, "status", "--porcelain").splitlines()
    assert lines
    assert {line[1] for line in lines} == {" "}
    assert (copy / MOVED).is_file()
