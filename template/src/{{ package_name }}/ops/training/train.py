"""The way from data to a registered version: read, fit and judge, log, gate, register."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from ..core.context import Context
from ..core.errors import UserError
from ..core.files import load_json, private, sha256_folder
from ..core.project import features
from ..core.settings import NAME, Settings
from ..data import dataset
from ..data.dataset import Split
from ..data.record import HOLDOUT, DataManifest
from ..provenance import workspace
from ..provenance.digest import value_digest
from ..provenance.lock import lock_sha256
from ..provenance.manifest import Data, Manifest, code_sha256, collect_manifest
from . import evaluation, gate, tuning
from .bundle import write_bundle
from .gate import Check

if TYPE_CHECKING:
    from ..tracking.summary import Version


@dataclass(frozen=True)
class Trained:
    """What a training gave. `version` is None where the gate said no, or was not asked."""

    run_id: str
    manifest: Manifest
    checks: list[Check]
    version: "Version | None"


def train(
    settings: Settings,
    *,
    register: bool = True,
    quick: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Trained:
    """Train on the prepared data, log the run, and register it if it passes the gate.

    With `quick` the model is fitted once and nothing else is: the gate then lacks what the
    comparisons measure, and registers nothing. A fit that keeps its state is not repeated by the
    next training of the same recipe. Raises UserError, with nothing half-registered, where the
    data is not as recorded, another training is running or MLflow cannot be reached.
    """
    with alone(settings):
        split = dataset.read(settings)
        say(f"data: {len(split.train)} rows to train on, {len(split.holdout)} held out")
        if doubt := tuning.stale(settings, split.manifest):
            say(f"note: {doubt}")
        return _train(settings, split, register=register, quick=quick, say=say)


def _train(
    settings: Settings, split: Split, *, register: bool, quick: bool, say: Callable[[str], None]
) -> Trained:
    from ..tracking import registry, runs

    client = runs.connect(settings)
    params = settings.params
    with runs.run(settings, client, _name(settings), say) as record:
        data = Data(source=split.manifest.source, files=split.manifest.files)
        context = replace(
            Context.of(params, settings),
            folder=_checkpoints(settings, data, say),
            report=record.report,
        )
        outcome = evaluation.run(split, params, context, comparisons=not quick, say=say)
        manifest = collect_manifest(settings, params, data, outcome.model, outcome.metrics)
        costs = features.features.cost(split.train)
        champion = champion_metric(settings, client, manifest, say)
        checks = gate.judge(manifest, params, costs, champion)
        with workspace.scratch(settings.var_dir) as folder:
            write_bundle(folder, settings, split, outcome, manifest, checks)
            bundle = sha256_folder(folder)
            record.log(manifest, split.manifest, costs)
            record.files(folder)
    # All is logged: what an interrupted training would have gone on from is of no more use.
    if not quick:
        shutil.rmtree(settings.var_dir / "checkpoints", ignore_errors=True)
    failed = gate.failures(checks)
    say(f"gate: {failed or 'passed'}")
    wanted = register and not failed
    made = (record.run_id, manifest)
    version = registry.register(settings, client, *made, bundle) if wanted else None
    return Trained(*made, checks, version)


def _name(settings: Settings) -> str:
    """Return a run's name: when it began, and what it does otherwise than params.yaml."""
    changes = (f"{key}={value}" for key, value in settings.overrides.items())
    return " ".join([f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}", *changes])


def _checkpoints(settings: Settings, data: Data, say: Callable[[str], None]) -> Path:
    """Return the folder in which this very recipe keeps its state, for a fit that can resume."""
    recipe = {
        "code": code_sha256(settings.root / "src"),
        "lock": lock_sha256(settings.root),
        "data": data.files,
        "params": settings.params.model_dump(),
        "device": settings.device,
        "workers": settings.workers,
    }
    folder = settings.var_dir / "checkpoints" / value_digest(recipe)[:16]
    if folder.is_dir() and any(folder.iterdir()):
        say("an interrupted training of the same recipe left its state: going on from there")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Be the only training of this project. Raises UserError where one is running."""
    busy = FileLock(private(settings.var_dir) / "train.lock", timeout=0)
    try:
        busy.acquire()
    except Timeout:
        raise UserError("another training is running here; wait for it to end") from None
    try:
        yield
    finally:
        busy.release()


def champion_metric(
    settings: Settings,
    client: Any,
    manifest: Manifest,
    say: Callable[[str], None] = lambda _: None,
) -> float | None:
    """Return the champion's metric on the holdout of `manifest`; None without a champion.

    On the same holdout that is what its run recorded. On another one, or where that record cannot
    be read, the champion is evaluated again, by its own code in its own environment: on the columns
    that this code knows. Raises UserError where it cannot be, such as for rows of another schema or
    a metric that this code does not compute.
    """
    from ..tracking import registry, runs

    if registry.CHAMPION not in registry.aliases(settings, client):
        return None
    champion = registry.resolve(settings, registry.CHAMPION, client)
    metric = settings.params.gate.metric
    try:
        recorded = runs.manifest_of(client, champion.run_id)
    except runs.UnreadableManifestError as error:  # no reason not to train
        say(f"the champion is evaluated again: {error}")
    else:
        same = recorded.data.files.get(HOLDOUT) == manifest.data.files[HOLDOUT]
        if same and metric in recorded.metrics:
            return recorded.metrics[metric]
        if recorded.params.get("holdout") != settings.params.holdout:
            say("note: the holdout share changed; the champion may know some of these rows")
    with workspace.scratch(settings.var_dir) as place:
        bundle = registry.fetch(settings, champion, place / "bundle")
        with workspace.borrowed(settings.root, champion.commit, place / "code") as project:
            python = workspace.environment(project, settings)
            answer = place / "metrics.json"
            known = load_json(project / "data" / "manifest.json", DataManifest).columns
            found: dict[str, float] = {}
            wrong = f"its code does not compute {metric}"
            try:
                rows = dataset.narrowed(settings, known, place / "data")
                asked = (str(bundle / "model"), str(rows), str(answer))
                workspace.run_task(python, project, "score", *asked)
                found = json.loads(answer.read_text(encoding="utf-8"))
            except UserError as error:
                wrong = str(error)
            if metric not in found:
                raise UserError(
                    f"the champion, version {champion.number}, cannot be judged on these rows "
                    f"({wrong}); if rows, split, metric or question are others now, `{NAME} "
                    "retire` it"
                )
        return found[metric]
