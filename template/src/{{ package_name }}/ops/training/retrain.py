"""Training on fresh rows, as a scheduler does it: recorded by a commit of its own, then gated."""

import shutil
from collections.abc import Callable

from ..core import optional
from ..core.errors import UserError
from ..core.files import load_json, sha256_text, write_file
from ..core.settings import Settings
from ..data import dataset
from ..data.record import DataManifest
from ..provenance import workspace
from ..provenance.git import git, git_state
from ..tracking import registry, runs
from . import gate, train

# What a change that is opened for the new model says; absent where there is none.
REPORT = "retrained.md"


def retrain(settings: Settings, say: Callable[[str], None]) -> None:
    """Load the rows again; where they changed, record them on a branch and train on them.

    The branch is named by the rows, and is left checked out. Raises UserError where uncommitted
    changes are in the way, or the gate says no: the branch then has the rows, but no version is
    registered.
    """
    root, report = settings.root, settings.var_dir / REPORT
    report.unlink(missing_ok=True)
    commit, dirty = git_state(root)
    if commit is None or dirty:
        what = ", ".join(dirty) if commit else "everything"
        raise UserError(f"a retraining starts from a commit; commit {what} first")
    path = settings.data_dir / "manifest.json"
    before = load_json(path, DataManifest)
    with workspace.scratch(settings.var_dir) as folder:
        fresh = dataset.prepare(settings.model_copy(update={"data_dir": folder}))
        if fresh == before:
            say("the rows are as recorded: nothing to retrain")
            return
        branch = f"retrain-{sha256_text(fresh.model_dump_json())[:12]}"
        if branch in git(root, "branch", "--all", "--format=%(refname:lstrip=-1)").split():
            say(f"the branch {branch} has these rows already: nothing to retrain")
            return
        git(root, "switch", "--quiet", "--create", branch)
        for made in folder.iterdir():
            (target := settings.data_dir / made.name).touch(0o600)
            shutil.copyfile(made, target)
    old = before.rows
    rows = ", ".join(f"{name} {old.get(name, 0)} → {now}" for name, now in fresh.rows.items())
    git(root, "commit", "--quiet", "--message", f"Fresh rows: {rows}", "--", str(path))
    say(f"fresh rows: {rows}; committed on the branch {branch}")
    if versions := optional.load("provenance.versions"):
        versions.record(root)
    else:
        trained = train.train(settings, say=say)
        if failed := gate.failures(trained.checks):
            raise UserError(f"not registered; {failed}")
    client = runs.connect(settings)
    version = registry.resolve(settings, registry.CHALLENGER, client)
    metric = settings.params.gate.metric
    reached = runs.manifest_of(client, version.run_id).metrics[metric]
    lines = [
        f"Fresh rows: {rows}",
        f"The model passed the gate with {metric} {reached:.4f}, and is challenger: {version}",
        "Merge this without squashing, as the run is tied to the commit. Then promote the version.",
    ]
    write_file(report, ("\n\n".join(lines) + "\n").encode())
    say(f"registered: version {version.number}, challenger; {report} describes the change")
