"""Do a run again, somewhere else, and say layer by layer whether the same came out."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..core import optional
from ..core.errors import UserError
from ..core.files import load_json, sha256_file, write_json
from ..core.settings import Settings, load_params
from ..data.record import DataManifest
from ..provenance import workspace
from ..provenance.lock import lock_sha256
from ..provenance.manifest import LAYERS, Data, Lock, Manifest, code_sha256, describe_code
from ..tracking import runs
from . import evaluation


class NoDataError(UserError):
    """The run's data is no longer available; says why."""


@dataclass(frozen=True)
class Verdict:
    """What came of it: the layers that differ, each with the reason, in the order of LAYERS.

    `origin` says where the data came from where that was not the data folder; `full` whether the
    comparisons with other models were repeated, too.
    """

    run_id: str
    manifest: Manifest
    differences: dict[str, str]
    retrained: bool
    origin: str = ""
    full: bool = True

    @property
    def exact(self) -> bool:
        """Whether every layer agrees."""
        return self.retrained and not self.differences

    def lines(self) -> list[str]:
        """Return the report, a line for each layer and one that sums it up."""
        states = dict.fromkeys(LAYERS, "same")
        if self.origin:
            states["data"] = f"same, from {self.origin}"
        if not self.full:
            states["metrics"] = "same; comparisons with other models are repeated by --full"
        if not self.retrained:
            states |= dict.fromkeys(("platform", "model", "metrics"), "not reached")
        states |= {layer: f"DIFFERS  {reason}" for layer, reason in self.differences.items()}
        report = [f"  {layer:<9} {state}" for layer, state in states.items()]
        return [*report, f"reproduced: {self.summary}"]

    @property
    def summary(self) -> str:
        """Return `exact`, or the first layer that differs."""
        first = next(iter(self.differences), None)
        return "exact" if first is None else f"differs, first in {first}"


def reproduce(
    settings: Settings, reference: str = "latest", *, here: bool = False, full: bool = False
) -> Verdict:
    """Do the run that `reference` means again and compare every layer exactly.

    The run's commit is checked out into a new folder, its environment is built from that commit's
    lock, and its training runs in a new process. With `here`, the present working tree and
    environment are used instead: would they still give that run? Otherwise, the outcome is written
    to var/reproduced.json, for those who look after many projects. The model is fitted once; `full`
    repeats the fits of the comparisons, too. Raises UserError where the run, its commit or its
    environment is not available.
    """
    client = runs.connect(settings)
    run_id = runs.find(settings, client, reference)
    wanted = runs.manifest_of(client, run_id)
    with workspace.scratch(settings.var_dir) as place:
        if here:
            return _again(settings, run_id, wanted, settings.root, place, here=True, full=full)
        if wanted.code.commit is None:
            verdict = Verdict(run_id, wanted, wanted.differences(wanted), retrained=False)
        else:
            with workspace.borrowed(settings.root, wanted.code.commit, place / "code") as project:
                verdict = _again(settings, run_id, wanted, project, place, here=False, full=full)
    record = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "run_id": run_id,
        "commit": wanted.code.commit,
        "verdict": verdict.summary,
    }
    write_json(settings.var_dir / "reproduced.json", record)
    return verdict


def _again(  # noqa: PLR0913 - what reproduce was asked for, and where
    settings: Settings,
    run_id: str,
    wanted: Manifest,
    project: Path,
    place: Path,
    *,
    here: bool,
    full: bool,
) -> Verdict:
    # What can be compared without training comes first: if it differs, training adds nothing.
    code = describe_code(project)
    recorded = load_json(project / "data" / "manifest.json", DataManifest)
    expected = wanted.model_copy(
        update={
            "code": code if here else code.model_copy(update={"dirty": []}),
            "lock": Lock(sha256=lock_sha256(project), drifted=[]),
            "data": Data(source=wanted.data.source, files=recorded.files),
            "params": load_params(project / "params.yaml", wanted.overrides).model_dump(),
        }
    )
    if found := wanted.differences(expected):
        return Verdict(run_id, wanted, found, retrained=False)

    def python() -> Path:
        return Path(sys.executable) if here else workspace.environment(project, settings)

    # With `here` the question is about the data folder as it is.
    versions = None if here else optional.load("provenance.versions")
    try:
        origin = _bring_data(settings, wanted, project, place / "data", python, versions)
    except NoDataError as error:
        return Verdict(run_id, wanted, {"data": str(error)}, retrained=False)
    # As the run was made, with its kernels: a processor of another kind then gives the same bits.
    asked = ["retrain", str(place / "data"), str(place / "again.json")]
    asked += ["full"] if full else []
    given = {"ML_OVERRIDES": json.dumps(wanted.overrides)}
    workspace.run_task(python(), project, *asked, platform=wanted.platform, given=given)
    again = load_json(place / "again.json", Manifest)
    if not full:  # the comparisons were not repeated
        kept = {name: value for name, value in wanted.metrics.items()
                if name.startswith(evaluation.COMPARISONS)}  # fmt: skip
        again = again.model_copy(update={"metrics": again.metrics | kept})
    found = wanted.differences(again)
    return Verdict(run_id, wanted, found, retrained=True, origin=origin, full=full)


def _bring_data(
    settings: Settings,
    wanted: Manifest,
    project: Path,
    into: Path,
    python: Callable[[], Path],
    versions: Any,
) -> str:
    """Put the run's data into the new folder `into`; return where from: "" for the data folder.

    Where that does not hold the run's files, `versions` is asked, the module that keeps them all;
    where it holds none, the source is asked as well. Raises NoDataError where nothing has them.
    """
    files = {name: settings.data_dir / name for name in wanted.data.files}
    present = [name for name, path in files.items() if path.exists()]
    if present == list(files) and all(
        sha256_file(path) == wanted.data.files[name] for name, path in files.items()
    ):
        into.mkdir()
        for name, path in files.items():
            shutil.copyfile(path, into / name)
        shutil.copyfile(project / "data" / "manifest.json", into / "manifest.json")
        return ""
    reasons = [f"the files in {settings.data_dir} are not the run's"] if present else []
    if versions is not None:
        try:
            return str(versions.bring(settings.root, wanted.data.files, project, into))
        except UserError as error:
            reasons.append(str(error))
    if not present:
        workspace.run_task(python(), project, "prepare", str(into))
        if load_json(into / "manifest.json", DataManifest).files == wanted.data.files:
            return "its source"
        reasons.append("the source no longer gives the run's rows")
    raise NoDataError("; ".join(reasons))


def since(settings: Settings, wanted: Manifest) -> list[str]:
    """Return the layers of the present working tree that are no longer the run's."""
    try:
        params = load_params(settings.root / "params.yaml", wanted.overrides).model_dump()
        files = load_json(settings.data_dir / "manifest.json", DataManifest).files
    except UserError as error:
        return ["params" if "params.yaml" in str(error) else "data"]
    changed = {
        "code": code_sha256(settings.root / "src") != wanted.code.sha256,
        "lock": lock_sha256(settings.root) != wanted.lock.sha256,
        "data": files != wanted.data.files,
        "params": params != wanted.params,
    }
    return [layer for layer, differs in changed.items() if differs]
