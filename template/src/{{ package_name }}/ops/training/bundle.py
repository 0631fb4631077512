"""A run's bundle: the model, and all that serving needs to know of it."""

import html
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..core import flavor
from ..core.errors import UserError
from ..core.files import load_json, read_file, write_file, write_json
from ..core.project import features, model, schema
from ..core.settings import NAME, Settings
from ..data import columns, dataset
from ..data.dataset import Split
from ..provenance.digest import model_digest
from ..provenance.manifest import Manifest
from . import evaluation
from .evaluation import Outcome
from .gate import Check
from .golden import ROWS, Golden, as_sent

if TYPE_CHECKING:
    from ..tracking.summary import Version


@dataclass(frozen=True)
class Bundle:
    """All that serving needs of one run, read from a folder and checked.

    `reference` holds the training data's distributions (describe) under `inputs` and
    `features`, the holdout's scores under `scores`, and each column's median under `typical`;
    `golden` holds a few inputs with the scores that they must get.
    """

    folder: Path
    model: Any
    manifest: Manifest
    reference: dict[str, Any]
    golden: Golden


def score(fitted: Any, rows: pd.DataFrame) -> np.ndarray:
    """Return each row's score, (rows,) or (rows, classes): the one path from inputs to answers.

    Raises UserError for a score that is not finite.
    """
    return evaluation.predict(fitted, features.features.build(rows))


def write_bundle(
    folder: Path,
    settings: Settings,
    split: Split,
    outcome: Outcome,
    manifest: Manifest,
    checks: list[Check],
) -> None:
    """Write a run's bundle and its plots to `folder`. No personal column gets into it."""
    from mlflow.models import infer_signature

    from ..data.distributions import describe
    from ..provenance import lock
    from . import plots

    x = features.features.build(split.train)
    signature = infer_signature(x, outcome.scores[:1])
    options = {"pip_requirements": lock.pins(settings.root), "signature": signature}
    flavor.save(outcome.model, folder / "model", **options)
    inputs = split.train[input_columns()]
    reference = {
        "inputs": describe(inputs),
        "features": describe(x),
        "scores": describe(pd.DataFrame({"score": evaluation.highest(outcome.scores)})),
        "typical": x.median().to_dict(),
    }
    golden = golden_rows(outcome.model, split.holdout[input_columns()])
    write_json(folder / "provenance.json", manifest.model_dump(mode="json"))
    write_json(folder / "reference.json", reference)
    write_json(folder / "golden.json", golden.model_dump())
    write_json(folder / "metrics.json", manifest.metrics)
    write_json(folder / "gate.json", [check.model_dump() for check in checks])
    write_file(folder / "model_card.md", card(manifest, checks).encode())
    decided = model.decide(outcome.scores)
    drawn = plots.figures(outcome.labels, outcome.scores, decided, outcome.metrics)
    for name, figure in drawn.items():
        (folder / "plots").mkdir(exist_ok=True)
        figure.savefig(folder / "plots" / f"{name}.png", dpi=100)


def golden_rows(fitted: Any, held: pd.DataFrame) -> Golden:
    """Return a few rows and their scores: the first held out, or what `schema.golden` makes of all.

    Raises UserError where those are no valid rows.
    """
    chosen = getattr(schema, "golden", lambda rows: rows.head(ROWS))(held)
    rows = dataset.check(chosen, schema.Inputs, "schema.golden")
    scores = score(fitted, rows).tolist()
    return Golden(inputs=as_sent(rows), scores=scores, tolerance=flavor.TOLERANCE)


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle. Raises UserError where a part is missing, damaged or not the run's model."""
    manifest = load_json(folder / "provenance.json", Manifest)
    fitted = flavor.load(folder / "model")
    if model_digest(fitted) != manifest.model_digest:
        raise UserError(f"the model in {folder} is not the one that its run recorded")
    reference = load_json(folder / "reference.json", dict[str, Any])
    return Bundle(folder, fitted, manifest, reference, load_json(folder / "golden.json", Golden))


@contextmanager
def fetched(settings: Settings, version: "Version") -> Iterator[Bundle]:
    """Have `version`'s bundle for the length of the block, proven with the code that is here.

    Raises UserError where this code gives other golden scores than the version's own.
    """
    from ..provenance import workspace
    from ..tracking import registry

    with workspace.scratch(settings.var_dir) as folder:
        bundle = load_bundle(registry.fetch(settings, version, folder))
        try:
            replay(bundle)
        except UserError as error:
            raise UserError(
                f"version {version.number} does not answer as at training with the code that is "
                f"here ({error}); check out {version.commit[:12]}, or train again"
            ) from None
        yield bundle


def predict_file(settings: Settings, reference: str, source: Path, out: Path) -> int:
    """Score the rows of a CSV file with a registered version and write them to `out`.

    Identifiers are carried through, other columns must be schema.Inputs'. Returns the number of
    rows. Raises UserError, with `out` untouched, for rows that break the schema, or where it is a
    file of something else than scores, such as `source` itself.
    """
    from ..tracking import registry

    if out.is_file() and b"model_version" not in read_file(out).partition(b"\n")[0]:
        raise UserError(f"{out} is there and has no scores of `predict`; name another file")
    rows = dataset.read_csv(source)
    own = rows.filter(items=[schema.IDENTIFIER])
    checked = dataset.check(rows.drop(columns=own.columns), schema.Inputs, source.name)
    version = registry.resolve(settings, reference)
    with fetched(settings, version) as bundle:
        scores = score(bundle.model, checked)
    names = dataset.classes(scores)
    found = (
        {"score": scores}
        if names is None
        else {f"score_{name}": column for name, column in zip(names, scores.T, strict=True)}
    )
    answers = own.assign(**found, label=model.decide(scores), model_version=version.number)
    write_file(out, answers.to_csv(index=False, lineterminator="\n").encode())
    return len(answers)


def replay(bundle: Bundle) -> None:
    """Score the golden rows again. Raises UserError where they get other scores, or none."""
    try:
        own = schema.Inputs.to_schema().columns
        names = [name for name in own if name in bundle.golden.inputs[0]]
        rows = columns.frame(own, names, bundle.golden.inputs)
        rows = dataset.check(rows, schema.Inputs, "golden.json")
        scores = score(bundle.model, rows)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"golden predictions: {type(error).__name__}: {error}") from error
    bundle.golden.compare(scores.tolist())


def input_columns() -> list[str]:
    """Return the columns that the model may be asked with: schema.Inputs' own."""
    return [*schema.Inputs.to_schema().columns]


def _cell(text: str) -> str:
    """Return what a table of Markdown shows as this text, in one line."""
    return " ".join(html.escape(text, quote=False).replace("|", "\\|").split())


def card(manifest: Manifest, checks: list[Check]) -> str:
    """Return the model card (Mitchell et al., Model Cards for Model Reporting, 2019)."""
    rows = "\n".join(
        f"| {_cell(check.name)} | {'passed' if check.passed else '**failed**'} "
        f"| {_cell(check.detail)} |"
        for check in checks
    )
    metrics = "\n".join(
        f"| {_cell(name)} | {value:.4f} |" for name, value in manifest.metrics.items()
    )
    return f"""# {NAME}

{(inspect.getdoc(model) or NAME).splitlines()[0]}

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
