"""One score, taken apart: what went in, what each feature added, and which run answers for it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core.errors import UserError
from ..core.project import features, model, schema
from ..core.settings import Settings
from ..data import dataset
from ..serving import prediction_log
from ..tracking import registry
from ..training import evaluation
from ..training.bundle import Bundle, fetched

# Rows of the table that are shown: an image has a column for each pixel.
SHOWN = 20


def contributions(bundle: Bundle, x: pd.DataFrame) -> pd.DataFrame:
    """Return what each column adds to one score, as against a typical row; largest first.

    `x` holds one row of features. A contribution is the score less the score with that column at
    its training median: ablation, so it needs nothing of the model but that it predicts. Of
    several classes, the score is that of the likeliest. Columns: value, typical, contribution.
    """
    first = evaluation.predict(bundle.model, x)[0]
    likeliest = int(np.argmax(first))
    before = np.ravel(first)[likeliest]
    effects = {}
    for name in map(str, x):
        typical = float(bundle.reference["typical"][name])
        without = evaluation.predict(bundle.model, x.assign(**{name: typical}))[0]
        after = np.ravel(without)[likeliest]
        effects[name] = {
            "value": x[name].iloc[0],
            "typical": typical,
            "contribution": before - after,
        }
    return pd.DataFrame(effects).T.sort_values("contribution", key=abs, ascending=False)


def report(
    settings: Settings, source: Path | None, row: int, prediction: str, reference: str
) -> list[str]:
    """Explain row `row` of a CSV file, or a served prediction by its id; return the lines.

    Raises UserError where there is no such row or prediction.
    """
    lines = []
    if prediction:
        x, reference = _served(settings, prediction)
    elif source is not None:
        rows = dataset.read_csv(source)
        own = [*schema.PERSONAL, schema.IDENTIFIER, schema.TARGET]
        rows = rows.drop(columns=own, errors="ignore")
        rows = dataset.check(rows, schema.Inputs, source.name)
        if row >= len(rows):
            raise UserError(f"{source.name} has rows 0 to {len(rows) - 1}, no row {row}")
        inputs = rows.iloc[[row]]
        lines = [f"  {name:<24}{_shown(inputs[name].iloc[0]):>12}" for name in inputs]
        lines = ["inputs", *lines]
        x = features.features.build(inputs)
    else:
        raise UserError("give a CSV file, or --prediction ID")
    version = registry.resolve(settings, reference)
    with fetched(settings, version) as bundle:
        x = x[list(bundle.reference["typical"])].astype("float64")
        table = contributions(bundle, x)
        scores = evaluation.predict(bundle.model, x)
        score, label = evaluation.highest(scores)[0], model.decide(scores)[0]
    return [
        *lines,
        f"{'feature':<26}{'value':>12}{'typical':>12}{'adds':>10}",
        *(
            f"  {name:<24}{at['value']:>12.4g}{at['typical']:>12.4g}{at['contribution']:>+10.4f}"
            for name, at in table.head(SHOWN).iterrows()
        ),
        *([f"  and {len(table) - SHOWN} more that add less"] if len(table) > SHOWN else []),
        f"score {score:.6f} ({label}) by version {version.number}, run {version.run_id}",
    ]


def _shown(value: Any) -> str:
    if pd.isna(value):
        return "missing"
    return f"{value:.4g}" if isinstance(value, int | float | np.number) else str(value)


def _served(settings: Settings, prediction: str) -> tuple[pd.DataFrame, str]:
    found = next(prediction_log.read(settings.var_dir, prediction_id=prediction), None)
    if found is None:
        raise UserError(f"no prediction {prediction} is logged in {settings.var_dir}/predictions")
    return prediction_log.features(found), str(found["model_version"].iloc[0])
