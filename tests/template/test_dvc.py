"""What DVC finds in a render: a lock that is current, stages that leave nothing to commit."""

import hashlib
import re
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
import yaml

from groundwork import template as checkout
from tests.conftest import ROOT, Render, commit_all, git
from tests.projects import COMMAND, Project, give_other_rows, install, replace

DVC = ".venv/bin/dvc"
STAGES = ["prepare", "validate", "train", "evaluate"]


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return content


def param(params: dict[str, Any], key: str) -> object:
    for part in key.split("."):
        params = params[part]
    return params


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def stale(root: Path) -> list[str]:
    """Return what a rendered dvc.lock records otherwise than the render has it."""
    params, locked = load(root / "params.yaml"), load(root / "dvc.lock")["stages"]
    found = [f"{name} is missing" for name in STAGES if name not in locked]
    for name, stage in locked.items():
        for dep in stage["deps"]:
            path = root / dep["path"]
            if path.exists() and md5(path) != dep["md5"]:
                found.append(f"{name}: {dep['path']}")
        for key, then in stage.get("params", {}).get("params.yaml", {}).items():
            if param(params, key) != then:
                found.append(f"{name}: {key}")
    return found


def unmeasured(lock: dict[str, Any]) -> dict[str, Any]:
    """Return what a dvc.lock holds beside what a training measured."""
    measured = ("metrics/train.json", "metrics/holdout.json")
    return {
        name: {
            part: [entry for entry in entries if entry["path"] not in measured]
            if part in {"deps", "outs"}
            else entries
            for part, entries in stage.items()
        }
        for name, stage in lock["stages"].items()
    }


@pytest.mark.parametrize("framework", checkout.frameworks(ROOT))
def test_every_lock_is_current_under_any_name(render: Render, framework: str) -> None:
    root = render(framework=framework, package_name="x" * 40, data="dvc")
    assert stale(root) == [], f"run scripts/dvc.sh {framework}"
    paths = [dep["path"] for dep in load(root / "dvc.lock")["stages"]["train"]["deps"]]
    assert f"src/{'x' * 40}/model.py" in paths


def test_a_stale_lock_is_found(render: Render) -> None:
    root = render(data="dvc")
    replace(root / "params.yaml", {"feature_ms: ": "feature_ms: 1"})
    replace(root / "src/my_ml_project/data.py", {"import": "import  "})
    lock = root / "dvc.lock"
    lock.write_text(lock.read_text("utf-8").partition("  evaluate:")[0], "utf-8")
    assert stale(root) == [
        "evaluate is missing",
        "prepare: src/my_ml_project/data.py",
        "train: budgets.feature_ms",
    ]


def test_a_lock_belongs_to_the_project_once_it_is_there() -> None:
    assert "/dvc.lock" in (ROOT / "includes/ownership.yml").read_text("utf-8").split()


def test_without_dvc_there_is_no_trace_of_it(project: Path) -> None:
    names = {path.name for path in project.rglob("*") if "dvc" in path.name}
    assert names == {"dvc.txt"}  # the group's requirements, which every lock has
    assert "metrics" not in (project / ".gitignore").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    "framework",
    [
        pytest.param(name, marks=pytest.mark.rare)
        for name in checkout.frameworks(ROOT)
        if name != "scikit-learn"
    ],
)
def test_what_the_stages_give_is_what_is_committed(render: Render, framework: str) -> None:
    """Of scikit-learn tests/ops/options/test_dvc.py says so."""
    root = render(framework=framework, data="dvc")
    project = install(root, "3.12")
    told = project.ok(DVC, "repro")
    assert re.findall(r"^Running stage '(.+)'", told, re.MULTILINE) == STAGES
    assert "up to date" in project.ok(DVC, "status")
    if framework in {"pytorch", "tensorflow"}:  # round otherwise on another kind of processor
        before = yaml.safe_load(git(root, "show", "HEAD:dvc.lock"))
        assert unmeasured(load(root / "dvc.lock")) == unmeasured(before)
    else:
        assert git(root, "status", "--porcelain") == "", f"run scripts/dvc.sh {framework}"
    rmtree(root)  # gigabytes, for some


@pytest.mark.slow
@pytest.mark.rare  # of its steps tests/ops/options/test_dvc.py has one test each
def test_versions_come_and_go_and_every_run_can_be_had_again(
    render: Render, tmp_path: Path
) -> None:
    root = render(data="dvc")
    project = install(root, "3.12")

    # The untouched render: everything runs, and what comes of it is what is committed.
    told = project.ok(DVC, "repro")
    assert re.findall(r"^Running stage '(.+)'", told, re.MULTILINE) == STAGES
    assert "registered: version 1, challenger" in told
    assert "up to date" in project.ok(DVC, "status")
    assert git(root, "status", "--porcelain") == ""
    project.ok(DVC, "push")
    (first,) = re.findall(r"^run: ([0-9a-f]{32})$", told, re.MULTILINE)
    beginning = git(root, "rev-parse", "HEAD").strip()
    train = (root / "data/train.csv").read_bytes()

    # Another parameter, and back: only what depends on it runs, and the model is trained again, not
    # its metrics taken from the cache.
    for number, (old, new) in enumerate([("C: 0.1", "C: 0.3"), ("C: 0.3", "C: 0.1")], 2):
        replace(root / "params.yaml", {old: new})
        commit_all(root, new)
        told = project.ok(DVC, "repro")
        assert re.findall(r"^Running stage '(.+)'", told, re.MULTILINE)[0] == "train"
        assert f"registered: version {number}, challenger" in told
        commit_all(root, "What came of it")
    assert git(root, "diff", beginning) == ""

    # The source has fewer rows; that is refused, then meant.
    replace(root / "src/my_ml_project/data.py", {"    return rows\n": "    return rows[:430]\n"})
    refused = project.run(DVC, "repro")
    assert "the source no longer gives what manifest.json records" in refused.stderr
    assert refused.returncode != 0
    project.ok(COMMAND, "prepare", "--accept")
    commit_all(root, "Fewer rows")
    told = project.ok(DVC, "repro")
    assert re.findall(r"^Running stage '(.+)'", told, re.MULTILINE) == STAGES
    commit_all(root, "What came of it")
    project.ok(DVC, "push")
    assert (root / "data/train.csv").read_bytes() != train

    # The first run, while data/ holds the newer rows and the cache is lost.
    rmtree(root / ".dvc/cache")
    told = project.ok(COMMAND, "reproduce", first)
    assert re.search(r"^  data +same, from DVC's remote$", told, re.MULTILINE)
    assert "reproduced: exact" in told
    # The run of the newer rows, whose own commit has no lock that knows them.
    rmtree(root / ".dvc/cache")
    rmtree(root / "data")
    git(root, "checkout", "--quiet", "--", "data")
    told = project.ok(COMMAND, "reproduce")
    assert re.search(r"^  data +same, from DVC's remote$", told, re.MULTILINE)
    assert "reproduced: exact" in told

    # The old commit, on another machine that shares the remote.
    other = tmp_path / "other"
    git(tmp_path, "clone", "--quiet", str(root), str(other))
    git(other, "checkout", "--quiet", beginning)
    colleague = Project(other, project.environment)
    colleague.ok(root / DVC, "remote", "modify", "--local", "storage", "url", root / "var/dvc")
    colleague.ok(root / DVC, "pull")
    assert (other / "data/train.csv").read_bytes() == train
    assert "up to date" in colleague.ok(root / DVC, "status")
    assert git(other, "status", "--porcelain") == ""


@pytest.mark.slow
def test_the_scheduled_job_trains_on_new_rows_and_stores_them(
    render: Render, tmp_path: Path
) -> None:
    """As Kubernetes runs it, but for the container: in a clone, where no environment lies."""
    root = render(data="dvc", deploy=["compose", "kubernetes"])
    project = install(root, "3.12")
    project.ok(DVC, "remote", "modify", "storage", "url", tmp_path / "store")
    commit_all(root, "A remote that others reach")
    origin = tmp_path / "origin"
    git(tmp_path, "clone", "--quiet", "--bare", str(root), str(origin))
    give_other_rows(root)
    git(root, "push", "--quiet", str(origin), "main")
    (tmp_path / "home").mkdir()
    given = {
        "REPOSITORY": str(origin),
        "HOME": str(tmp_path / "home"),
        "PATH": f"{root}/.venv/bin:{project.environment['PATH']}",
        "MLFLOW_TRACKING_URI": f"sqlite+pysqlite:///{tmp_path}/mlflow.db",
    }

    done = project.run("scripts/retrain.sh", **given)
    assert done.returncode == 0, done.stderr
    (branch,) = re.findall(r"^pushed (\S+) for review$", done.stdout, re.MULTILINE)
    changed = git(origin, "diff", "--name-only", "main", branch).split()
    assert changed == ["data/manifest.json", "dvc.lock"]
    outs = yaml.safe_load(git(origin, "show", f"{branch}:dvc.lock"))["stages"]["prepare"]["outs"]
    stored = [tmp_path / "store/files/md5" / out["md5"][:2] / out["md5"][2:] for out in outs]
    assert [md5(path) for path in stored] == [out["md5"] for out in outs]

    git(tmp_path, "clone", "--quiet", str(root), "elsewhere")
    done = Project(tmp_path / "elsewhere", project.environment).run("scripts/stage.sh", "prepare")
    assert done.stderr == "error: there is no environment here; run scripts/setup.sh\n"
