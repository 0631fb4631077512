"""A run is done again exactly; whatever is changed, the verdict names its layer."""

import json
import platform
import shutil
import subprocess
import sys

import pytest

from ..conftest import commit
from ..project import (
    bundle,
    dataset,
    errors,
    files,
    git,
    machine,
    manifest,
    process,
    registry,
    reproduce,
    runs,
    settings,
    train,
    workspace,
)

pytestmark = pytest.mark.xdist_group("reproduce")


@pytest.fixture
def this_environment(monkeypatch):
    """Spare the tests of one layer the building of an environment."""
    monkeypatch.setattr(workspace, "environment", lambda *_: sys.executable)


@pytest.fixture
def source_file(workplace):
    """The owned model.py of the workplace, relative to its root."""
    found = next((workplace.root / "src").glob("*/model.py"))
    return str(found.relative_to(workplace.root))


def first(verdict):
    """The first layer that differs."""
    return next(iter(verdict.differences), None)


def recorded(workplace):
    """Log a run of the workplace as it stands, without the fitting; return its id."""
    config = settings.settings(root=workplace.root, var_dir=workplace.config.var_dir)
    made = workplace.trained.manifest
    version = registry.resolve(workplace.config, "champion")
    with bundle.fetched(workplace.config, version) as loaded:
        again = manifest.collect_manifest(
            config, config.params, made.data, loaded.model, made.metrics
        )
    assert again.reproducible
    client = runs.connect(config)
    with runs.run(config, client, "test") as run:
        client.log_text(run.run_id, again.model_dump_json(), "provenance.json")
        client.set_tag(run.run_id, "model_digest", again.model_digest)
    return run.run_id


def test_the_working_tree_as_it_is_gives_the_run_again(workplace):
    verdict = reproduce.reproduce(workplace.config, workplace.trained.run_id, here=True)
    assert verdict.exact, verdict.lines()


@pytest.mark.parametrize(
    ("layer", "name", "old", "new"),
    [
        ("params", "params.yaml", "seed: ", "seed: 1"),
        ("code", "src/model.py", "\n", "\n# changed\n"),
        ("lock", "poetry.lock", 'name = "', 'name = " '),
        ("lock", "requirements/main.txt", "numpy==", "numpy==9"),
        ("code", ".gitignore", "#", "##"),
    ],
)
def test_a_changed_working_tree_is_named(workplace, changed, source_file, layer, name, old, new):
    changed(name.replace("src/model.py", source_file), old, new)
    verdict = reproduce.reproduce(workplace.config, workplace.trained.run_id, here=True)
    assert first(verdict) == layer
    assert not verdict.exact
    assert verdict.lines()[-1] == f"reproduced: differs, first in {layer}"


@pytest.mark.parametrize(
    ("layer", "name", "old", "new"),
    [
        ("params", "params.yaml", "seed: ", "seed: 1"),
        ("code", "src/model.py", "\n", "\n# changed\n"),
        ("lock", "requirements/main.txt", "numpy==", "numpy==9"),
        ("code", ".gitignore", "#", "##"),
    ],
)
def test_a_run_made_with_uncommitted_changes_is_not_exact(
    workplace, changed, this_environment, source_file, layer, name, old, new
):
    changed(name.replace("src/model.py", source_file), old, new)
    verdict = reproduce.reproduce(workplace.config, recorded(workplace))
    assert first(verdict) == layer, verdict.lines()
    told = json.loads((workplace.config.var_dir / "reproduced.json").read_text(encoding="utf-8"))
    assert told["verdict"] == f"differs, first in {layer}"


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_another_gpu_counts_only_where_one_was_used(workplace, device):
    here = workplace.trained.manifest
    used = here.model_copy(
        update={"platform": here.platform.model_copy(update={"device": device, "gpu": "one"})}
    )
    other = used.model_copy(update={"platform": used.platform.model_copy(update={"gpu": "two"})})
    assert used.differences(other) == (
        {} if device == "cpu" else {"platform": "gpu one became two"}
    )


def test_a_run_is_done_again_on_its_own_device_with_as_many_workers(monkeypatch, tmp_path):
    seen = {}

    def run(command, *, env, **_):
        seen.update(env)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(process.subprocess, "run", run)
    monkeypatch.setenv("ML_DEVICE", "cpu")
    made_on = machine.describe_machine("cuda", 4).model_copy(update={"blas": "Prescott"})
    workspace.run_task(tmp_path / "python", tmp_path, "retrain", "a", "b", platform=made_on)
    names = ("ML_DEVICE", "ML_WORKERS", "OPENBLAS_CORETYPE")
    assert [seen[name] for name in names] == ["cuda", "4", "Prescott"]


@pytest.mark.parametrize("here", [True, False])
def test_one_changed_byte_of_data_is_named(workplace, changed, this_environment, here):
    changed("data/train.csv", "\n", "\n\n")
    verdict = reproduce.reproduce(workplace.config, workplace.trained.run_id, here=here)
    assert first(verdict) == "data"


@pytest.mark.parametrize(
    ("layer", "change"),
    [
        ("platform", {"platform": {"python": "CPython 3.0.0"}}),
        ("platform", {"platform": {"device": "cuda"}}),
        ("platform", {"platform": {"workers": 2}}),
        ("model", {"model_digest": "0"}),
        ("metrics", {"metrics": {"any": 0.1}}),
        ("lock", {"lock": {"drifted": ["numpy 1 is not 2"]}}),
    ],
)
def test_what_the_new_process_gives_is_compared(workplace, monkeypatch, layer, change):
    wanted = runs.manifest_of(runs.connect(workplace.config), workplace.trained.run_id)
    ((part, value),) = change.items()
    if isinstance(value, dict):
        old = getattr(wanted, part)
        value = {**old, **value} if isinstance(old, dict) else old.model_copy(update=value)
    other = wanted.model_copy(update={part: value})

    def worker(python, project, *arguments, **_):
        files.write_file(dataset.Path(arguments[-1]), other.model_dump_json().encode())

    monkeypatch.setattr(workspace, "run_task", worker)
    verdict = reproduce.reproduce(workplace.config, workplace.trained.run_id, here=True)
    assert list(verdict.differences) == [layer]
    assert not verdict.exact


@pytest.mark.parametrize("layer", ["code", "lock"])
def test_a_layer_that_was_committed_since_is_named(workplace, layer):
    wanted = workplace.trained.manifest
    other = getattr(wanted, layer).model_copy(update={"sha256": "0" * 64})
    assert list(wanted.differences(wanted.model_copy(update={layer: other}))) == [layer]


def test_thread_counts_and_processors_are_told_but_not_compared(workplace):
    wanted = workplace.trained.manifest
    other = wanted.platform.model_copy(update={"cpu": "another", "cores": 1, "threads": {}})
    assert wanted.differences(wanted.model_copy(update={"platform": other})) == {}


@pytest.mark.slow
def test_other_kernels_of_linear_algebra_are_compared(workplace):
    wanted = workplace.trained.manifest
    other = wanted.platform.model_copy(update={"blas": "another"})
    found = wanted.differences(wanted.model_copy(update={"platform": other}))
    assert "blas" in found["platform"]


def test_every_layer_is_in_the_report(workplace):
    verdict = reproduce.Verdict("id", workplace.trained.manifest, {"lock": "why"}, retrained=False)
    told = verdict.lines()
    assert [line.split()[0] for line in told[:-1]] == list(manifest.LAYERS)
    assert "DIFFERS  why" in told[1]
    assert "not reached" in told[5]


def test_a_commit_that_is_gone_is_told(workplace, tmp_path):
    with pytest.raises(errors.UserError, match="not in this repository"):
        workspace.checkout(workplace.root, "0" * 40, tmp_path / "code")


def test_layers_that_moved_on_are_noted(workplace, changed):
    manifest = workplace.trained.manifest
    assert reproduce.since(workplace.config, manifest) == []
    changed("params.yaml", "seed: ", "seed: 1")
    assert reproduce.since(workplace.config, manifest) == ["params"]


@pytest.mark.slow
def test_a_run_is_reproduced_exactly_elsewhere(project_factory, monkeypatch, tmp_path):
    """In a folder of a larger repository, too, and with no data but what the source gives."""
    single = project_factory()
    shutil.rmtree(single / ".git")
    root = tmp_path / "many" / "one"
    root.parent.mkdir()
    shutil.move(single, root)
    commit(root.parent, "all")
    config = settings.settings(root=root, var_dir="var")
    dataset.prepare(config)
    trained = train.train(config)
    assert trained.version is not None, trained.checks

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    if (platform.system(), platform.machine()) == ("Linux", "x86_64"):
        # What a very old processor would choose: the run's own kernels are asked for instead.
        monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    elsewhere = config.model_copy(update={"data_dir": tmp_path / "nothing"})
    verdict = reproduce.reproduce(elsewhere)
    assert verdict.exact, verdict.lines()
    assert verdict.lines()[-1] == "reproduced: exact"
    told = json.loads((root / "var" / "reproduced.json").read_text(encoding="utf-8"))
    assert told.items() >= {"run_id": verdict.run_id, "verdict": "exact"}.items()
    assert list((root / "var" / "envs").glob("*/bin/python"))
    assert "prunable" not in git.git(root, "worktree", "list", "--porcelain")
