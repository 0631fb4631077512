"""The way from data to a registered version: read, fit and judge, log, gate, register."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from .. import features, model, schema
from . import dataset, evaluation, flavor, gate, provenance
from .context import Context
from .dataset import Split
from .errors import UserError
from .evaluation import Outcome
from .gate import Check
from .provenance import Manifest
from .settings import NAME, Settings, load_json

if TYPE_CHECKING:
    from .registry import Version

GOLDEN_ROWS = 8


@dataclass(frozen=True)
class Bundle:
    """All that serving needs of one run, read from a folder and checked.

    `reference` holds the training data's distributions (drift.reference) under `inputs` and
    `features`, the holdout's scores under `scores`, and each column's median under `typical`;
    `golden` holds a few inputs with the scores that they must get.
    """

    folder: Path
    model: Any
    manifest: Manifest
    reference: dict[str, Any]
    golden: dict[str, Any]


@dataclass(frozen=True)
class Trained:
    """What a training gave. `version` is None where the gate said no, or was not asked."""

    run_id: str
    manifest: Manifest
    checks: list[Check]
    version: "Version | None"


def score(fitted: Any, rows: pd.DataFrame) -> np.ndarray:
    """Return each row's score, (rows,) or (rows, classes): the one path from inputs to answers.

    Raises UserError for a score that is not finite.
    """
    return evaluation.predict(fitted, features.features.build(rows))


def train(
    settings: Settings,
    *,
    register: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Trained:
    """Train on the prepared data, log the run, and register it if it passes the gate.

    Raises UserError, with nothing half-registered, where the data is not as recorded, another
    training is running or MLflow cannot be reached.
    """
    with alone(settings):
        split = dataset.read(settings)
        say(f"data: {len(split.train)} rows to train on, {len(split.holdout)} held out")
        from . import tracking

        return tracking.explained(_train)(settings, split, register=register, say=say)


def _train(
    settings: Settings, split: Split, *, register: bool, say: Callable[[str], None]
) -> Trained:
    from . import registry, tracking

    client = tracking.connect(settings)
    params = settings.params
    with tracking.run(settings, client, "train", say) as record:
        data = provenance.Data(source=split.manifest.source, files=split.manifest.files)
        context = replace(
            Context.of(params, settings),
            folder=_checkpoints(settings, data, say),
            report=record.report,
        )
        outcome = evaluation.run(split, params, context)
        manifest = provenance.collect(settings, params, data, outcome.model, outcome.metrics)
        say(f"fitted: {params.gate.metric} {outcome.metrics[params.gate.metric]:.4f}")
        costs = features.features.cost(split.train)
        checks = gate.judge(manifest, params, costs, champion_metric(settings, client, manifest))
        with tempfile.TemporaryDirectory() as folder:
            write_bundle(Path(folder), settings, split, outcome, manifest, checks)
            record.log(manifest, split.manifest, costs)
            record.files(Path(folder))
    # All is logged: what an interrupted training would have gone on from is of no more use.
    shutil.rmtree(settings.var_dir / "checkpoints", ignore_errors=True)
    failed = gate.failures(checks)
    say(f"gate: {failed or 'passed'}")
    wanted = register and not failed
    version = registry.register(settings, client, record.run_id, manifest) if wanted else None
    return Trained(record.run_id, manifest, checks, version)


def _checkpoints(settings: Settings, data: provenance.Data, say: Callable[[str], None]) -> Path:
    """Return the folder in which this very recipe keeps its state, for a fit that can resume."""
    recipe = {
        "code": provenance.code_of(settings.root / "src"),
        "lock": provenance.lock_sha256(settings.root),
        "data": data.files,
        "params": settings.params.model_dump(),
        "device": settings.device,
        "workers": settings.workers,
    }
    folder = settings.var_dir / "checkpoints" / provenance.digest(recipe)[:16]
    if folder.is_dir() and any(folder.iterdir()):
        say("an interrupted training of the same recipe left its state: going on from there")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Be the only training of this project. Raises UserError where one is running."""
    settings.var_dir.mkdir(parents=True, exist_ok=True)
    busy = FileLock(settings.var_dir / "train.lock", timeout=0)
    try:
        busy.acquire()
    except Timeout:
        raise UserError("another training is running here; wait for it to end") from None
    try:
        yield
    finally:
        busy.release()


def champion_metric(settings: Settings, client: Any, manifest: Manifest) -> float | None:
    """Return the champion's metric on the holdout of `manifest`; None without a champion.

    On the same holdout that is what its run recorded. On another one the champion is asked anew,
    by its own code in its own environment.
    """
    from . import registry, tracking, workspace

    if registry.CHAMPION not in registry.aliases(settings, client):
        return None
    champion = registry.resolve(settings, registry.CHAMPION, client)
    metric = settings.params.gate.metric
    with suppress(UserError):  # a manifest that cannot be read is no reason not to train
        recorded = tracking.manifest_of(client, champion.run_id)
        same = recorded.data.files.get(dataset.HOLDOUT) == manifest.data.files[dataset.HOLDOUT]
        if same and metric in recorded.metrics:
            return recorded.metrics[metric]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        bundle = registry.fetch(settings, champion, place / "bundle")
        with workspace.borrowed(settings.root, champion.commit, place / "code") as project:
            python = workspace.environment(project, settings)
            answer = place / "metrics.json"
            asked = (str(bundle / "model"), str(settings.data_dir), str(answer))
            workspace.worker(python, project, "score", *asked)
        found: float = json.loads(answer.read_text(encoding="utf-8"))[metric]
        return found


def write_bundle(
    folder: Path,
    settings: Settings,
    split: Split,
    outcome: Outcome,
    manifest: Manifest,
    checks: list[Check],
) -> None:
    """Write a run's bundle and its plots to `folder`. No personal column gets into it."""
    from . import drift, lock, plots

    x = features.features.build(split.train)
    signature = _signature(x, outcome.scores)
    options = {"pip_requirements": lock.pins(settings.root), "signature": signature}
    flavor.save(outcome.model, folder / "model", **options)
    inputs = split.train[input_columns()]
    reference = {
        "inputs": drift.reference(inputs),
        "features": drift.reference(x),
        "scores": drift.reference(pd.DataFrame({"score": evaluation.highest(outcome.scores)})),
        "typical": x.median().to_dict(),
    }
    golden = split.holdout[input_columns()].head(GOLDEN_ROWS)
    contents = {
        "provenance.json": manifest.model_dump_json(indent=2),
        "reference.json": json.dumps(reference, indent=2),
        "golden.json": json.dumps(
            {
                "inputs": golden.to_dict("records"),
                "scores": outcome.scores[: len(golden)].tolist(),
                "tolerance": flavor.TOLERANCE,
            },
            indent=2,
        ),
        "metrics.json": json.dumps(manifest.metrics, indent=2),
        "gate.json": json.dumps([check.model_dump() for check in checks], indent=2),
        "model_card.md": card(manifest, checks),
    }
    for name, text in contents.items():
        dataset.write(folder / name, (text.rstrip("\n") + "\n").encode())
    decided = model.decide(outcome.scores)
    drawn = plots.figures(outcome.labels, outcome.scores, decided, outcome.metrics)
    for name, figure in drawn.items():
        (folder / "plots").mkdir(exist_ok=True)
        figure.savefig(folder / "plots" / f"{name}.png", dpi=100)


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle. Raises UserError where a part is missing, damaged or not the run's model."""
    manifest = load_json(folder / "provenance.json", Manifest)
    fitted = flavor.load(folder / "model")
    if provenance.model_digest(fitted) != manifest.model_digest:
        raise UserError(f"the model in {folder} is not the one that its run recorded")
    parts = {}
    for name in ("reference", "golden"):
        try:
            parts[name] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise UserError(f"{folder / name}.json is missing or damaged") from None
    return Bundle(folder, fitted, manifest, parts["reference"], parts["golden"])


@contextmanager
def fetched(settings: Settings, version: "Version") -> Iterator[Bundle]:
    """Have `version`'s bundle for the length of the block, checked to fit the code that is here.

    Raises UserError where the version was trained with other feature code: its scores would be
    wrong without a sign of it.
    """
    from . import registry

    with tempfile.TemporaryDirectory() as folder:
        bundle = load_bundle(registry.fetch(settings, version, Path(folder)))
        if bundle.manifest.code.features_sha256 != provenance.features_sha256():
            raise UserError(
                f"version {version.number} was trained with other feature code than is here; "
                f"check out {version.commit[:12]}, or train again"
            )
        yield bundle


def predict(settings: Settings, reference: str, source: Path, out: Path) -> int:
    """Score the rows of a CSV file with a registered version and write them to `out`.

    Identifiers are carried through, other columns must be schema.Inputs'. Returns the number of
    rows. Raises UserError, with `out` untouched, for rows that break the schema.
    """
    from . import registry

    rows = dataset.read_csv(source)
    own = rows.filter(items=[schema.IDENTIFIER])
    checked = dataset.check(rows.drop(columns=own.columns), schema.Inputs, source.name)
    version = registry.resolve(settings, reference)
    with fetched(settings, version) as bundle:
        scores = score(bundle.model, checked)
    columns = {"score": scores} if scores.ndim == 1 else _by_class(scores)
    answers = own.assign(**columns, label=model.decide(scores), model_version=version.number)
    dataset.write(out, answers.to_csv(index=False, lineterminator="\n").encode())
    return len(answers)


def _by_class(scores: np.ndarray) -> dict[str, np.ndarray]:
    return {f"score_{number}": column for number, column in enumerate(scores.T)}


def input_columns() -> list[str]:
    """Return the columns that the model may be asked with: schema.Inputs' own."""
    names: Mapping[str, Any] = schema.Inputs.to_schema().columns
    return [name for name in names if name not in schema.PERSONAL]


def card(manifest: Manifest, checks: list[Check]) -> str:
    """Return the model card (Mitchell et al., Model Cards for Model Reporting, 2019)."""
    rows = "\n".join(
        f"| {check.name} | {'passed' if check.passed else '**failed**'} | {check.detail} |"
        for check in checks
    )
    metrics = "\n".join(f"| {name} | {value:.4f} |" for name, value in manifest.metrics.items())
    return f"""# {NAME}

{(model.__doc__ or "").splitlines()[0]}

- Made: {manifest.created:%Y-%m-%d %H:%M} UTC, commit `{manifest.code.commit}`
- Digest: `{manifest.model_digest}`
- Data: {manifest.data.source}
- Inputs: {", ".join(input_columns())}
- Made again with: `{NAME} reproduce`

## Gate

| check | outcome | detail |
| --- | --- | --- |
{rows}

## Metrics on the holdout

| metric | value |
| --- | --- |
{metrics}
"""


def _signature(x: pd.DataFrame, scores: np.ndarray) -> Any:
    from mlflow.models import infer_signature

    return infer_signature(x, scores[:1])
