"""DVC's stages are current, resume and pass the gate; runs outlive the data in the working tree."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from ...contract.test_dvc import stale
from ..conftest import ROOT, commit
from ..project import (
    data,
    dataset,
    files,
    git,
    package,
    reproduce,
    retrain,
    runs,
    settings,
    workspace,
)

pytestmark = pytest.mark.xdist_group("dvc")

OWN = ("dvc.yaml", "dvc.lock", ".dvc/config", ".dvc/.gitignore", ".dvcignore", "scripts")
STAGES = ["prepare", "validate", "train", "evaluate"]
SECRETS = {
    "access_key_id",
    "account_key",
    "client_secret",
    "connection_string",
    "gdrive_client_secret",
    "password",
    "sas_token",
    "secret_access_key",
    "session_token",
    "token",
}


def dvc(root: Path, *arguments: str, fails: bool = False) -> str:
    """What `dvc` says in `root`, whose stages run this project's code on that project."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=root,
        env=os.environ | {"ML_ROOT": str(root), "ML_VAR_DIR": str(root / "var")},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def copied(project: Path, to: Path) -> Path:
    return shutil.copytree(project, to, symlinks=True)


@pytest.fixture(scope="session")
def start(project_factory) -> Path:
    """A project with DVC whose stages were never run."""
    root = project_factory()
    for name in OWN:
        source, target = ROOT / name, root / name
        if source.is_dir():
            shutil.copytree(source, target)
        elif source.exists():
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(source, target)
    (root / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n", encoding="utf-8")
    (root / ".venv").mkdir()
    (root / ".venv" / "bin").symlink_to(Path(sys.prefix) / "bin")
    commit(root, "with DVC")
    return root


@pytest.fixture(scope="session")
def _done(start, tmp_path_factory) -> Path:
    root = copied(start, tmp_path_factory.mktemp("dvc") / "project")
    dvc(root, "repro")
    commit(root, "what came of it")
    dvc(root, "push")
    return root


@pytest.fixture
def done(_done, tmp_path) -> Path:
    """A project whose stages were run, committed and pushed, to be changed at will."""
    return copied(_done, tmp_path / "project")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "old", "new", "first"),
    [
        ("params.yaml", "seed: ", "seed: 1", "train: seed in params.yaml changed"),
        ("params.yaml", "holdout: 0.", "holdout: 0.1", "prepare: holdout in params.yaml changed"),
        ("params.yaml", "feature_ms: ", "feature_ms: 1", "train: budgets.feature_ms in"),
        ("data/manifest.json", "{", "{ ", "prepare: data/manifest.json changed"),
        (f"src/{package.__name__}/model.py", "\n", "\n\n", f"train: src/{package.__name__}/model"),
        ("dvc.yaml", "stage.sh train", "stage.sh evaluate", "train: its command changed"),
        ("dvc.yaml", "      - data/manifest.json\n", "", "prepare: its dependencies changed"),
        ("dvc.yaml", "  evaluate:\n", "  judge:\n", "evaluate: is not in dvc.yaml"),
    ],
)
def test_a_stale_lock_is_found(done, name, old, new, first):
    assert stale(done) == []
    text = (done / name).read_text(encoding="utf-8")
    assert old in text
    (done / name).write_text(text.replace(old, new, 1), encoding="utf-8")
    assert stale(done)[0].startswith(first)


@pytest.mark.slow
def test_all_stages_run_from_clean_pass_the_gate_and_record_what_is_committed(done):
    """DVC writes dvc.lock while they run, which does not count as an uncommitted change."""
    assert "up to date" in dvc(done, "status")
    assert git.git(done, "status", "--porcelain") == ""
    config = settings.settings(root=done, var_dir=done / "var")
    run = runs.find(config, runs.connect(config), "latest")
    assert runs.manifest_of(runs.connect(config), run).reproducible == []
    locked = yaml.safe_load((done / "dvc.lock").read_text("utf-8"))["stages"]
    assert list(locked) == STAGES
    assert sorted(json.loads((done / "metrics" / "holdout.json").read_text("utf-8")))
    shown = dvc(done, "metrics", "show", "--json")
    assert set(json.loads(shown)[""]["data"]) == {
        f"metrics/{name}.json" for name in ("data", "train", "holdout")
    }


@pytest.mark.slow
def test_only_what_depends_on_a_change_runs_again(done):
    path = done / "params.yaml"
    path.write_text(path.read_text("utf-8").replace("seed: ", "seed: 1", 1), encoding="utf-8")
    assert list(json.loads(dvc(done, "status", "--json"))) == ["train"]
    told = dvc(done, "repro", "--dry")
    assert "Stage 'prepare' didn't change, skipping" in told
    assert "Stage 'validate' didn't change, skipping" in told
    assert "Running stage 'train'" in told
    assert "seed" in dvc(done, "params", "diff")
    # Not committed, so the gate refuses it, and DVC stops there.
    told = dvc(done, "repro", fails=True)
    assert "uncommitted changes in params.yaml" in told
    assert "Running stage 'evaluate'" not in told
    assert "Traceback" not in told


@pytest.mark.slow
def test_a_training_that_runs_already_stops_the_stage(done):
    with FileLock(done / "var" / "train.lock"):
        told = dvc(done, "repro", "--single-item", "--force", "train", fails=True)
    assert "another training is running here" in told


@pytest.mark.slow
def test_a_killed_training_is_run_again(start, tmp_path):
    root = copied(start, tmp_path / "project")
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=root,
        env=os.environ | {"ML_ROOT": str(root), "ML_VAR_DIR": str(root / "var")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    lock = root / "var" / "train.lock"
    deadline = time.monotonic() + 120
    while not lock.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    told = dvc(root, "repro")
    assert "Stage 'validate' didn't change, skipping" in told
    assert "registered: version 1" in told
    assert "up to date" in dvc(root, "status")


@pytest.mark.slow
def test_data_that_was_tampered_with_is_found_and_brought_back(done):
    path = done / "data" / "train.csv"
    content = path.read_bytes()
    path.write_bytes(content + b"\n")
    assert "data/train.csv" in dvc(done, "status")
    told = dvc(done, "repro", "--single-item", "--force", "validate", fails=True)
    assert "is not the data that manifest.json records" in told
    dvc(done, "checkout", "--force")
    assert path.read_bytes() == content
    assert "up to date" in dvc(done, "status")


@pytest.mark.slow
def test_another_trainings_challenger_is_not_evaluated(done):
    config = settings.settings(root=done, var_dir=done / "var")
    assert reproduce.since(config, latest(config)[1]) == []
    path = done / "src" / package.__name__ / "model.py"
    path.write_text(path.read_text("utf-8") + "\n# Changed.\n", encoding="utf-8")
    told = dvc(done, "repro", "--single-item", "--force", "evaluate", fails=True)
    assert "version 1 was not trained on what is here: code changed since" in told


def latest(config):
    client = runs.connect(config)
    run_id = runs.find(config, client, "latest")
    return run_id, runs.manifest_of(client, run_id)


@pytest.fixture
def again(done, monkeypatch):
    """Reproduce the project's run, without the fitting: what is asked is where the data is."""
    config = settings.settings(root=done, var_dir=done / "var")
    run_id, wanted = latest(config)

    def worker(_python, project, command, data, *out, **_):
        place = config.model_copy(update={"data_dir": Path(data), "root": project})
        if command == "prepare":
            dataset.prepare(place)
        else:
            assert dataset.read(place).manifest.files == wanted.data.files
            files.write_file(Path(out[0]), wanted.model_dump_json().encode())

    monkeypatch.setattr(workspace, "environment", lambda *_: sys.executable)
    monkeypatch.setattr(workspace, "run_task", worker)
    return lambda **options: reproduce.reproduce(config, run_id, **options)


def lose(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder)


def data_line(verdict) -> str:
    return next(line.strip() for line in verdict.lines() if line.split()[0] == "data")


@pytest.mark.slow
def test_data_comes_from_the_folder_the_cache_or_the_remote(done, again):
    assert data_line(again()) == "data      same"
    path = done / "data" / "train.csv"
    path.write_bytes(path.read_bytes() + b"\n")
    assert data_line(again()) == "data      same, from DVC's cache"
    assert not again(here=True).exact
    # What was changed in the cache itself is not taken.
    locked = yaml.safe_load((done / "dvc.lock").read_text("utf-8"))["stages"]["prepare"]["outs"][0]
    kept = done / ".dvc" / "cache" / "files" / "md5" / locked["md5"][:2] / locked["md5"][2:]
    kept.chmod(0o644)
    kept.write_bytes(b"changed")
    assert data_line(again()) == "data      same, from DVC's remote"
    lose(done / ".dvc" / "cache", done / "data")
    verdict = again()
    assert verdict.exact
    assert data_line(verdict) == "data      same, from DVC's remote"


@pytest.mark.slow
def test_what_neither_cache_nor_remote_has_is_one_line(done, again):
    lose(done / ".dvc" / "cache", done / "var" / "dvc")
    (done / "data" / "train.csv").unlink()
    verdict = again()
    assert list(verdict.differences) == ["data"]
    assert "are not the run's; neither DVC's cache nor its remote has " in data_line(verdict)
    # With nothing here at all the source is asked; it may still give the same.
    lose(done / "data")
    assert data_line(again()) == "data      same, from its source"


@pytest.mark.slow
def test_a_source_that_moved_on_does_not_matter_while_dvc_has_the_data(done, again, monkeypatch):
    load = data.load
    monkeypatch.setattr(data, "load", lambda: load().iloc[:-1])
    lose(done / "data")
    assert data_line(again()) == "data      same, from DVC's cache"
    lose(done / ".dvc" / "cache", done / "var" / "dvc")
    assert "the source no longer gives the run's rows" in data_line(again())


@pytest.mark.slow
def test_retraining_keeps_the_fresh_rows_as_a_version_of_the_data(done, monkeypatch):
    source = done / "src" / package.__name__ / "data.py"
    text = source.read_text(encoding="utf-8")
    source.write_text(text.replace("    return rows\n", "    return rows.iloc[5:]\n"), "utf-8")
    start = commit(done, "the source moved on")
    rows = data.load().iloc[5:]
    monkeypatch.setattr(data, "load", lambda: rows)
    # The stages run the command of the environment, which has to be this project's.
    command = done / ".venv" / "bin" / package.__name__.replace("_", "-")
    command.parent.unlink()
    command.parent.mkdir()
    run = f'PYTHONPATH="{done}/src" exec "{sys.executable}" -m {package.__name__} "$@"'
    command.write_text(f"#!/bin/sh\n{run}\n", encoding="utf-8")
    command.chmod(0o755)
    for name, value in {"ML_ROOT": done, "ML_VAR_DIR": done / "var"}.items():
        monkeypatch.setenv(name, str(value))
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "test")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "test@example.com")
    config = settings.settings()
    retrain.retrain(config, print)
    changed = git.git(done, "diff", "--name-only", start).split()
    assert changed == ["data/manifest.json", "dvc.lock"]
    assert stale(done) == []
    assert git.git(done, "status", "--porcelain") == ""
    lose(done / "data")
    verdict = reproduce.reproduce(config)
    assert verdict.exact, verdict.lines()
    assert data_line(verdict) == "data      same, from DVC's cache"


NOWHERE = """[core]
    remote = nowhere
"""
UNREACHABLE = """[core]
    remote = far
['remote "far"']
    url = s3://bucket/x
    endpointurl = http://127.0.0.1:9
    access_key_id = a
    secret_access_key = b
    connect_timeout = 1
"""


@pytest.mark.slow
@pytest.mark.parametrize(("config", "reason"), [(NOWHERE, "nowhere"), (UNREACHABLE, "127.0.0.1:9")])
def test_a_remote_that_cannot_be_reached_is_one_line(done, again, config, reason):
    (done / ".dvc" / "config.local").write_text(config, encoding="utf-8")
    lose(done / ".dvc" / "cache")
    (done / "data" / "train.csv").unlink()
    line = data_line(again())
    assert "DVC's cache lacks them, and its remote fails: " in line
    assert reason in line
    assert "\n" not in line


@pytest.mark.slow
def test_a_run_finds_the_lock_that_was_committed_after_it(done, again):
    """Its own commit has one that knows nothing of its data."""
    assert "stages: {}" in git.git(done, "show", "HEAD~1:./dvc.lock")
    (done / "dvc.lock").write_text("<<<<<<< HEAD\n", encoding="utf-8")
    (done / "data" / "train.csv").unlink()
    assert data_line(again()) == "data      same, from DVC's cache"
    lost = git.git(done, "rev-parse", "HEAD~1").strip()
    for command in (("update-ref", "HEAD", lost), ("reflog", "expire", "--expire=now", "--all")):
        git.git(done, *command)
    assert "no dvc.lock was made for that commit's data/manifest.json" in data_line(again())


def secrets(text: str) -> list[str]:
    """The lines of a DVC configuration that should be nobody else's."""
    return [
        line
        for line in text.splitlines()
        if line.partition("=")[0].strip() in SECRETS or re.search(r"//[^/@]+:[^/@]+@", line)
    ]


def test_no_credential_is_committed():
    text = (ROOT / ".dvc" / "config").read_text(encoding="utf-8")
    assert secrets(text) == []
    address = "https://me:secret@example.com/data"  # pragma: allowlist secret
    for line in ("access_key_id = A", "secret_access_key = B", "session_token = C",
                 "password = D", f"url = {address}"):  # fmt: skip
        assert secrets(f"{text}['remote \"s\"']\n    {line}\n") == [f"    {line}"]
    assert secrets("    url = ssh://me@example.com/data\n    keyfile = ~/.ssh/id\n") == []


def test_dvc_asks_nobody_and_stages_nothing():
    text = (ROOT / ".dvc" / "config").read_text(encoding="utf-8")
    for name in ("analytics", "check_update", "autostage"):
        assert f"{name} = false" in text


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        (".dvc/config", False),
        (".dvc/config.local", True),
        (".dvc/cache/files/md5/00/11", True),
        (".dvc/tmp/lock", True),
        ("dvc.lock", False),
        ("dvc.yaml", False),
        ("metrics/train.json", True),
    ],
)
def test_git_keeps_what_dvc_needs_committed(tmp_path, path, ignored):
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / ".dvc").mkdir()
    for name in (".gitignore", ".dvc/.gitignore"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    command = ["git", "-C", tmp_path, "check-ignore", "--quiet", "--no-index", path]
    assert (subprocess.run(command, check=False).returncode == 0) is ignored


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_its_command(stage):
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
    assert stages[stage]["cmd"] == f"scripts/stage.sh {stage}"


def test_an_unknown_stage_is_one_line():
    done = subprocess.run(
        [ROOT / "scripts" / "stage.sh", "sleep"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == "error: there is no stage 'sleep'; see stage.sh --help\n"
