"""Many projects at once: what is shown, branches made beside the work, one's failure no other's."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from shutil import copytree
from xml.etree import ElementTree as ET

import pytest
import yaml
from pytest_copie.plugin import Copie

from groundwork.cli.main import main
from groundwork.fleet import survey as fleet
from groundwork.fleet.report import Row
from groundwork.update.ownership import ANSWERS
from tests.conftest import PRESENT_PYTHON, Render, commit_all, files, git
from tests.versions import NEWEST, append, begin

from .test_scenarios import own_dependency
from .test_scripts import mounted

pytestmark = pytest.mark.slow

BRANCH = f"standard-{NEWEST}"


@pytest.fixture(scope="session")
def first(copie_session: Copie, moved: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project at the first version."""
    into = tmp_path_factory.mktemp("fleet") / "first"
    return begin(copie_session, moved, into, "v1.0.0", python_version=PRESENT_PYTHON)


@pytest.fixture
def project(first: Path, tmp_path: Path) -> Path:
    """A copy of it that is the test's own."""
    return copytree(first, tmp_path / "project")


def answer(project: Path, name: str, value: str) -> None:
    """Change a line of the answers by hand."""
    path = project / ANSWERS
    lines = path.read_text("utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(f"{name}:")]
    path.write_text("\n".join([*kept, f"{name}: {value}", ""]), "utf-8")
    commit_all(project, "By hand")


UPDATE = fleet.Task(update=True)


def survey(*names: object, task: fleet.Task = UPDATE, wave: int = 0) -> dict[str, Row]:
    rows = fleet.survey([str(name) for name in names], task, wave=wave)
    return {Path(row.name).name: row for row in rows}


def state(project: Path) -> tuple[str, ...]:
    """Return all of a checkout that an update must leave alone."""
    told = ("rev-parse HEAD", "status --porcelain", "diff", "branch --show-current")
    return tuple(git(project, *words.split()) for words in told)


def broken(first: Path, into: Path) -> dict[str, str]:
    """Make five projects that cannot be looked at, each with what is said of it."""
    into.mkdir()
    for name in ("none", "unread", "unknown", "unreached"):
        copytree(first, into / name)
    (into / "none" / ANSWERS).unlink()
    (into / "unread" / ANSWERS).write_text("a: [", "utf-8")
    for name in ("none", "unread"):
        commit_all(into / name, "Broken")
    answer(into / "unknown", "_commit", "v7.0.0")
    answer(into / "unreached", "_src_path", str(into / "nowhere"))
    (into / "plain").mkdir()
    return {
        "none": "main has no .copier-answers.yml; groundwork adopt",
        "unread": ".copier-answers.yml cannot be read",
        "unknown": "has no version v7.0.0",
        "unreached": "nowhere cannot be cloned",
        "plain": "it is not a git repository with a commit",
    }


def of_numpy(folder: Path) -> Path:
    """Write a database with an advisory of every version of NumPy."""
    folder.mkdir()
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]
    affected = {"package": {"ecosystem": "PyPI", "name": "NumPy"}, "ranges": ranges}
    text = json.dumps({"id": "GHSA-1", "affected": [affected]})
    (folder / "GHSA-1.json").write_text(text, "utf-8")
    return folder


def test_what_is_wrong_with_one_is_told_and_stops_no_other(
    copie: Copie, first: Path, moved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = broken(first, tmp_path / "broken")
    current = begin(copie, moved, tmp_path / "current", NEWEST)
    append(current / "tox.ini", "; mine")
    (current / "docs/runbook.md").unlink()
    (current / "params.yaml").write_text("mine\n", "utf-8")
    append(current / "docs/own.md", "mine")
    commit_all(current, "Edit")
    (current / "var").mkdir()
    told = {"at": "2026-01-02T03:04:05+00:00", "verdict": "exact"}
    (current / "var/reproduced.json").write_text(json.dumps(told), "utf-8")
    listed = tmp_path / "fleet.txt"
    names = [*(tmp_path / "broken" / name for name in wrong), tmp_path / "nowhere"]
    listed.write_text("# all\n\n" + "".join(f"{name} # one\n" for name in names), "utf-8")
    page = tmp_path / "fleet.html"

    written = [tmp_path / "fleet.json", tmp_path / "fleet.csv"]
    files = ("--html", str(page), "--json", str(written[0]), "--csv", str(written[1]))
    given = (str(current), str(first), "--file", str(listed), "--uses", "NumPy")
    given += ("--advisories", str(of_numpy(tmp_path / "osv")))
    assert main(["fleet", *given, *files]) == 1
    out = capsys.readouterr().out.splitlines()
    cells = {Path(line.split()[0]).name: line.split() for line in out[1:]}
    lock = tomllib.loads((first / "poetry.lock").read_text("utf-8"))
    (numpy,) = (one["version"] for one in lock["package"] if one["name"] == "numpy")
    owner = "team@example.com"  # by its CODEOWNERS
    behind = ["main", "v1.0.0", NEWEST, "2", "60", "0", "100", numpy, "1", owner, "behind"]
    assert cells["first"][1:] == behind
    recorded = [numpy, "1", "2026-01-02", "exact", owner, "current"]
    assert cells["current"][1:] == ["main", NEWEST, NEWEST, "0", "0", "2", "100", *recorded]
    assert [*cells][-2:] == ["first", "current"], "those that need a person come first"
    for name, words in {**wrong, "nowhere": "there is no such folder"}.items():
        (line,) = (line for line in out[1:] if line.split()[0].endswith(f"/{name}"))
        assert "failed: " in line
        assert words in line

    text = page.read_text("utf-8")
    body = text[text.index("<tbody>") : text.index("</tbody>") + len("</tbody>")]
    rows = ET.fromstring(body)  # noqa: S314 - our own page
    shown = [[cell.findtext("details/summary") or cell.text or "" for cell in row] for row in rows]
    assert len(shown) == len(out) - 1
    assert shown[-1][2:10] == ["main", NEWEST, NEWEST, "0", "0", "2", "100", numpy]
    details = rows[-1].find("td/details")
    assert details is not None
    edited = ["docs/runbook.md", "tox.ini"]
    assert (details[0].tail or "").split(", ") == edited

    found = {Path(one["name"]).name: one for one in json.loads(written[0].read_text("utf-8"))}
    last = found["current"]
    assert (last["name"], last["behind"], last["changed"]) == (str(current), 0, edited)
    days = {name: found[name]["days"] for name in ("first", "unknown", "unreached", "current")}
    assert days == {"first": 60, "unknown": None, "unreached": None, "current": 0}
    table = list(csv.DictReader(written[1].read_text("utf-8").splitlines()))
    assert [row["name"] for row in table] == [line.split()[0] for line in out[1:]]
    assert (table[-1]["uses"], table[-1]["changed"]) == (numpy, " ".join(edited))


def test_an_update_is_a_branch_and_leaves_the_checkout_alone(
    project: Path, moved: Path, tmp_path: Path, render: Render
) -> None:
    (project / "uncommitted.md").write_text("mine\n", "utf-8")
    append(project / "tox.ini", "; not committed")
    before = state(project)
    row = survey(project)["project"]
    assert (row.state, row.note) == ("updated", f"branch {BRANCH}")
    assert state(project) == before
    commit = git(project, "rev-parse", BRANCH)
    assert git(project, "rev-parse", f"{BRANCH}~") == git(project, "rev-parse", "HEAD")
    assert survey(project)["project"].note == f"branch {BRANCH} was there"
    assert git(project, "rev-parse", BRANCH) == commit

    git(project, "worktree", "add", "--quiet", str(tmp_path / "branch"), BRANCH)
    fresh = render("fresh", of=moved, python_version=PRESENT_PYTHON)
    names = [path.relative_to(fresh) for path in files(fresh)]
    there = [path.relative_to(tmp_path / "branch") for path in files(tmp_path / "branch")]
    assert [name for name in there if name != Path(".git")] == names
    answers = yaml.safe_load((fresh / ANSWERS).read_text("utf-8"))
    for name in names:
        content = (tmp_path / "branch" / name).read_bytes()
        if name == Path(ANSWERS):
            assert yaml.safe_load(content) == answers | {"license": "MIT"}
        elif name.name not in {"model.py", "LICENSE", "pyproject.toml", "README.md"}:
            assert content == (fresh / name).read_bytes(), name


@pytest.mark.parametrize("kind", ["address", pytest.param("checkout", marks=pytest.mark.rare)])
def test_conflicts_make_a_draft_that_passes_for_no_update(
    project: Path, tmp_path: Path, kind: str
) -> None:
    append(project / "tox.ini", "; mine")
    commit_all(project, "Edit")
    git(tmp_path, "clone", "--quiet", "--bare", str(project), "bare.git")
    name = project if kind == "checkout" else f"file://{tmp_path}/bare.git"
    where = project if kind == "checkout" else tmp_path / "bare.git"
    draft = f"draft-{BRANCH}"
    (row,) = fleet.survey([str(name)], UPDATE)
    assert (row.state, row.conflicts) == ("conflict", ["tox.ini"])
    assert row.note == f"branch {draft}; decide in tox.ini"
    assert git(where, "branch", "--list", "--format=%(refname:short)").split() == [draft, "main"]
    text = git(where, "show", f"{draft}:tox.ini")
    assert "<<<<<<< yours\n; mine\n=======\n" in text
    assert ">>>>>>> the standard\n" in text
    subject, _, body = git(where, "log", "-1", "--format=%B", draft).partition("\n")
    assert subject == f"Draft, do not merge: the standard from v1.0.0 to {NEWEST}, with conflicts"
    assert "\n- tox.ini\n" in body
    commit = git(where, "rev-parse", draft)
    (row,) = fleet.survey([str(name)], UPDATE)
    assert (row.state, row.note) == ("conflict", f"branch {draft} was there; decide in tox.ini")
    assert git(where, "rev-parse", draft) == commit


def test_the_default_branch_of_the_remote_is_updated_and_not_what_is_checked_out(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(project), "bare.git")
    git(tmp_path, "clone", "--quiet", "bare.git", "checkout")
    checkout = tmp_path / "checkout"
    git(checkout, "switch", "--quiet", "--create", "mine")
    append(checkout / "tox.ini", "; mine")
    (checkout / ANSWERS).write_text("a: [", "utf-8")
    commit_all(checkout, "Mine, with what cannot be read")
    # A host that cannot be reached costs its own columns only.
    git(checkout, "remote", "set-url", "origin", "http://127.0.0.1:9/team/churn.git")
    monkeypatch.setenv("GITHUB_SERVER_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("GITHUB_TOKEN", "x")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    row = survey(checkout)["checkout"]
    assert row.ci.startswith("cannot reach: ")
    assert row.request == "cannot reach"
    assert (row.state, row.branch, row.changed, row.audit) == ("updated", "main", [], 100)
    assert git(checkout, "rev-parse", f"{BRANCH}~") == git(project, "rev-parse", "main")


@pytest.mark.rare
def test_a_signer_that_fails_costs_its_own_project_only(
    project: Path, first: Path, tmp_path: Path
) -> None:
    git(project, "config", "commit.gpgSign", "true")
    git(project, "config", "gpg.program", "nowhere")
    rows = survey(project, copytree(first, tmp_path / "other"))
    assert rows["project"].state == "failed"
    assert rows["project"].note.startswith("the commit cannot be signed: cannot run nowhere")
    assert git(project, "branch", "--list", BRANCH) == ""
    assert rows["other"].state == "updated"


def test_packages_of_its_own_are_kept_and_told(project: Path) -> None:
    own_dependency(project)
    commit_all(project, "humanize")
    row = survey(project)["project"]
    assert row.note == f"branch {BRANCH}; run scripts/lock.sh on it"
    lock = git(project, "show", f"{BRANCH}:poetry.lock")
    assert lock.count('name = "humanize"') == 1
    assert 'name = "idna"\nversion = "3.10"' not in lock
    assert "humanize" in git(project, "show", f"{BRANCH}:pyproject.toml")


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("bare", marks=pytest.mark.rare),
        "url",
        pytest.param("subfolder", marks=pytest.mark.rare),
        "subfolder of a url",
    ],
)
def test_a_bare_repository_an_address_and_a_folder_of_a_larger_one_are_updated_too(
    project: Path, tmp_path: Path, kind: str
) -> None:
    if kind.startswith("subfolder"):
        larger = tmp_path / "larger"
        git(tmp_path, "init", "--quiet", "--initial-branch", "main", "larger")
        append(larger / "README.md", "All of it.")
        copytree(project, larger / "one", ignore=lambda *_: [".git"])
        commit_all(larger, "One")
        repository, name, folder = larger, str(larger / "one"), "one/"
        if kind == "subfolder of a url":
            name = f"file://{larger}#subdirectory=one"
    else:
        repository = tmp_path / "bare.git"
        git(tmp_path, "clone", "--quiet", "--bare", str(project), str(repository))
        name, folder = (f"file://{repository}" if kind == "url" else str(repository)), ""
    branch = f"{BRANCH}-one" if folder else BRANCH
    (row,) = fleet.survey([name], UPDATE)
    assert (row.state, row.behind, row.audit) == ("updated", 2, 100), row.note
    changed = git(repository, "diff", "--name-only", "main", branch).split()
    assert f"{folder}tox.ini" in changed
    assert all(path.startswith(folder) for path in changed)
    (row,) = fleet.survey([name], UPDATE)
    assert row.note == f"branch {branch} was there"


def test_a_remote_that_refuses_is_told_in_its_own_words(project: Path, tmp_path: Path) -> None:
    repository = tmp_path / "bare.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(project), str(repository))
    hook = repository / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'ask Ada first' >&2\nexit 1\n", "utf-8")
    hook.chmod(0o755)
    row = survey(f"file://{repository}")["bare.git"]
    assert (row.state, row.note) == ("failed", "remote: ask Ada first")
    assert git(repository, "branch", "--list", BRANCH) == ""


def test_what_git_calls_remotes_here_does_not_matter(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "bare.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(project), str(repository))
    for name, value in {
        "COUNT": "1",
        "KEY_0": "clone.defaultRemoteName",
        "VALUE_0": "upstream",
    }.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    row = survey(f"file://{repository}")["bare.git"]
    assert row.state == "updated", row.note


def test_a_version_that_looks_like_a_number_stays_a_text(
    copie: Copie, moved: Path, tmp_path: Path
) -> None:
    template = copytree(moved, tmp_path / "template", symlinks=True)
    git(template, "tag", "3.0", f"{NEWEST}^{{}}")
    project = begin(copie, template, tmp_path / "project", "v1.0.0")
    assert survey(project)["project"].note == "branch standard-3.0"
    git(project, "switch", "--quiet", "standard-3.0")
    assert yaml.safe_load((project / ANSWERS).read_text("utf-8"))["_commit"] == "3.0"
    assert survey(project)["project"].state == "current"


def test_a_host_that_hangs_costs_its_own_project_only(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hanging = f"http://127.0.0.1:{silent.getsockname()[1]}/p.git"
        rows = survey(hanging, tmp_path / "nowhere", task=fleet.Task(seconds=2))
    assert {name: row.note for name, row in rows.items()} == {
        "nowhere": "there is no such folder",
        "p.git": "not done after 2 s; --timeout gives it more",
    }


@pytest.mark.parametrize("well", [True, False])
def test_the_others_are_updated_if_the_first_wave_could_be(
    project: Path, first: Path, tmp_path: Path, *, well: bool
) -> None:
    other = copytree(first, tmp_path / "other")
    if not well:
        append(project / "tox.ini", "; mine")
        commit_all(project, "Edit")
    rows = survey(project, other, wave=1)
    assert rows["project"].state == ("updated" if well else "conflict")
    assert rows["other"].state == ("updated" if well else "behind")
    assert bool(git(other, "branch", "--list", BRANCH)) is well
    if not well:
        assert "one of the first wave could not be updated" in rows["other"].note


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_one_that_is_stopped_half_way_goes_on_from_there(
    first: Path, tmp_path: Path, how: signal.Signals
) -> None:
    # After an interrupt the pool ends what it runs and has queued: three with one job.
    projects = [copytree(first, tmp_path / f"p{number}") for number in range(6)]
    before = [state(project) for project in projects]
    page = tmp_path / "fleet.html"
    page.write_text("of last week", "utf-8")
    options = ["--update", "--jobs", "1", "--html", page]
    command = [sys.executable, "-m", "groundwork", "fleet", *options, *projects]
    known = tmp_path / "known"
    with (
        known.open("w", encoding="utf-8") as out,
        subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        assert process.stderr
        assert process.stderr.readline().startswith("[1/6] ")
        os.killpg(process.pid, how)
        said = process.stderr.read().splitlines()
    assert process.returncode == (-9 if how == signal.SIGKILL else 130)
    if how == signal.SIGINT:
        assert [line for line in said if not line.startswith("[")] == [
            "error: interrupted; nothing is half-written, run it again"
        ]
        # What is known by then is shown.
        assert "updated: branch" in known.read_text("utf-8")
    assert page.read_text("utf-8") == "of last week"
    assert [state(project) for project in projects] == before
    made = [project for project in projects if git(project, "branch", "--list", BRANCH)]
    assert 1 <= len(made) < len(projects)
    rows = survey(*projects)
    assert {row.state for row in rows.values()} == {"updated"}
    assert sum(row.note.endswith("was there") for row in rows.values()) == len(made)
    trees = {git(project, "rev-parse", f"{BRANCH}^{{tree}}") for project in projects}
    assert len(trees) == 1


ON_A_FULL_DISK = """
cp -r "$1" "$2/p" && cd "$2/p" && shift 2
before=$(git rev-parse HEAD; git branch --list; git status --porcelain)
dd if=/dev/zero of=../fill bs=4k 2>/dev/null
"$@"
echo "status $?"
rm ../fill
after=$(git rev-parse HEAD; git branch --list; git status --porcelain)
[ "$before" = "$after" ] && echo as it was
"$@" >/dev/null && echo done
"""


@pytest.mark.parametrize("command", ["fleet", "adopt", "scripts/update.sh"])
def test_on_a_full_disk_a_project_stays_as_it_was(
    project: Path, moved: Path, tmp_path: Path, command: str
) -> None:
    disk = tmp_path / "disk"
    if mounted(disk, "size=24m", "true").returncode:
        pytest.skip("this user may not mount a file system to fill")
    groundwork = [sys.executable, "-m", "groundwork"]
    given = {
        "fleet": [*groundwork, "fleet", "--update", "."],
        "adopt": [*groundwork, "adopt", ".", "--yes", "--url", moved],
        "scripts/update.sh": ["scripts/update.sh", "--no-tests", "--to", NEWEST],
    }[command]
    if command == "adopt":
        (project / ANSWERS).unlink()
        (project / "adopted.md").write_text("x" * 200, "utf-8")
        commit_all(project, "Not on the standard")
    done = mounted(disk, "size=24m", "bash", "-c", ON_A_FULL_DISK, "-", project, disk, *given)
    told = done.stdout.splitlines()
    assert "status 1" in told, done
    assert "as it was" in told
    assert told[-1] == "done" or command == "scripts/update.sh", done
    if command == "fleet":
        assert any("No space left" in line or "full" in line for line in told), done
    else:
        said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert said, done.stderr
        assert "No space left" in said[0] or "full" in said[0]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "there is no project to look at"),
        (["--file", "nowhere"], "nowhere cannot be read"),
        (["p", "--html", "nowhere/x.html"], "nowhere/x.html cannot be written"),
        (["p", "--jobs", "0"], "--jobs must be at least 1"),
        (["p", "--timeout", "0"], "--timeout must be at least 1"),
        (["p", "--wave", "5"], "--wave needs --update"),
        (["p", "--json", "nowhere/x.json"], "nowhere/x.json cannot be written"),
        (["p", "--since", "nowhere.json"], "nowhere.json cannot be read"),
        (["p", "--advisories", "nowhere.zip"], "nowhere.zip cannot be read"),
    ],
)
def test_what_was_typed_wrongly_is_one_line(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fleet", *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {words}")


def test_a_version_that_is_not_there_is_told(project: Path) -> None:
    row = survey(project, task=fleet.Task(update=True, to="v9.9.9"))["project"]
    assert (row.state, row.note.split("has ")[1]) == ("failed", "no version v9.9.9")


def test_days_are_counted_to_the_version_that_is_named(first: Path) -> None:
    row = survey(first, task=fleet.Task(to="v1.1.0"))["first"]
    assert (row.newest, row.days) == ("v1.1.0", 31)


def test_a_branch_of_the_template_is_called_by_its_version(project: Path) -> None:
    row = survey(project, task=fleet.Task(update=True, to="main"))["project"]
    assert row.state == "updated", row.note
    answers = yaml.safe_load(git(project, "show", f"standard-main:{ANSWERS}"))
    assert answers["_commit"] == NEWEST
