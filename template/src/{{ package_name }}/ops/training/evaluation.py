"""The part of a run that must come out the same every time: fit, score, judge. No tracking here."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from ..core import optional
from ..core.context import Context
from ..core.errors import UserError
from ..core.project import features, model, schema
from ..core.seeding import deterministic
from ..core.settings import Params
from ..data.dataset import Split, together
from ..data.features import NOISE, by_feature

PERMUTATIONS, FOLDS = 10, 5
MISSING = "missing"
# Words of so few letters say nothing of a person: they may be in a group's name by chance.
SHORT = 3
# Metrics that take fits of their own: of the simpler model, and of ones with a column of noise.
COMPARISONS = ("baseline.", "importance.")


@dataclass(frozen=True)
class Outcome:
    """A fitted model and how it did on the holdout.

    `metrics` is flat: a metric of model.metrics by its own name, and under `train.`, `baseline.`,
    `slice.<kind>.<group>.`, `gap.<kind>` and `importance.<feature>` what the gate also looks at.
    `scores` are the holdout's, shape (rows,) or (rows, classes).
    """

    model: Any
    metrics: dict[str, float]
    scores: np.ndarray
    labels: pd.Series


def run(
    split: Split,
    params: Params,
    context: Context | None = None,
    *,
    comparisons: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Fit and judge; without a `context`, in this process with the seed and threads of `params`.

    `comparisons` are what needs fits of its own, one for the simpler model and one a fold for the
    importance of features: without them, the metrics under COMPARISONS are missing. Raises
    UserError where the model's parameters, its scores or its device are not usable.
    """
    context = context or Context(params.seed, params.threads)
    with deterministic(context):
        (x, y), (x_held, y_held) = matrix(split.train), matrix(split.holdout)
        start = time.monotonic()
        fitted = fit(x, y, params.model, context)
        scores = predict(fitted, x_held)
        metric = params.gate.metric
        judged = _metrics(y_held, scores, params)
        found = {
            **judged,
            f"train.{metric}": quality(fitted, x, y, params),
            **sliced(split.holdout, y_held, scores, params),
        }
        say(f"fitted: {metric} {judged[metric]:.4f}, in {time.monotonic() - start:.1f} s")
        if comparisons:
            say(f"comparing: the simpler model, and importance over {FOLDS} folds")
            simple = model.baseline(x, y, context.beside())
            found[f"baseline.{metric}"] = quality(simple, x_held, y_held, params)
            found |= importance(x, y, together(split.train), params, context.beside())
    return Outcome(fitted, found, scores, y_held)


def matrix(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Return the features of labelled rows, and the labels."""
    return features.features.build(rows), rows[schema.TARGET]


def quality(fitted: Any, x: pd.DataFrame, y: pd.Series, params: Params) -> float:
    """Return the gate's metric of a model on rows with labels."""
    return _metrics(y, predict(fitted, x), params)[params.gate.metric]


def _metrics(y: pd.Series, scores: np.ndarray, params: Params, rows: str = "") -> dict[str, float]:
    """Return the model's metrics on `rows`, which a message names.

    Raises UserError where the gate's are not among them, or one is not a finite number.
    """
    found: dict[str, Any] = model.metrics(y, scores)
    asked = {"metric": params.gate.metric, "fairness.metric": params.gate.fairness.metric}
    for key, name in asked.items():
        if name not in found:
            raise UserError(f"params.yaml: gate.{key} {name} is none of {', '.join(found)}")
    for name, value in found.items():
        if not (isinstance(value, Real) and math.isfinite(value)):
            raise UserError(
                f"model.metrics gave {value} for {name}{rows}; it must be a finite number"
            )
    return found


def fit(x: pd.DataFrame, y: pd.Series, parameters: Mapping[str, Any], context: Context) -> Any:
    """Fit the project's model, on Ray where the context has more than one worker.

    Raises UserError for parameters that it does not take.
    """
    how = model if context.workers == 1 else optional.load("training.distributed")
    if how is None:
        raise UserError(
            f"ML_WORKERS is {context.workers}, but this project trains in one process; set it to 1"
        )
    try:
        return how.fit(x, y, parameters, context)
    except (TypeError, ValueError) as error:
        raise UserError(f"model.fit refused: {error}") from None


def predict(fitted: Any, x: pd.DataFrame) -> np.ndarray:
    """Score `x`, shape (rows,) or (rows, classes).

    Raises UserError for another shape and where a score is not a finite number.
    """
    scores = np.asarray(model.predict(fitted, x), dtype="float64")
    if not shaped(scores, len(x)):
        raise UserError(f"model.predict gave shape {scores.shape} for {len(x)} rows")
    if bad := int((~np.isfinite(scores)).sum()):
        raise UserError(f"model.predict gave {bad} scores that are not finite")
    return scores


def shaped(scores: np.ndarray, rows: int) -> bool:
    """Tell whether `scores` are one number a row, or one for each of several classes."""
    return scores.shape == (rows,) or (
        scores.ndim == 2 and len(scores) == rows and scores.shape[1] > 1  # noqa: PLR2004
    )


def highest(scores: np.ndarray) -> np.ndarray:
    """Return one number a row, shape (rows,): the score, or that of the likeliest class."""
    return scores if scores.ndim == 1 else scores.max(axis=1)


def sliced(
    rows: pd.DataFrame, labels: pd.Series, scores: np.ndarray, params: Params
) -> dict[str, float]:
    """Judge every group of schema.groups that is large enough and whose labels differ.

    Rows of no group of a kind are one, too.
    """
    found = {}
    gate = params.gate
    for kind, given in schema.groups(rows).items():
        groups = given.astype(object).where(given.notna(), MISSING).astype(str)
        _refuse_personal(str(kind), {*groups}, rows)
        compared = []
        for group in sorted(groups.unique()):
            member = (groups == group).to_numpy()
            if member.sum() < gate.slices.rows or labels[member].nunique() < 2:  # noqa: PLR2004
                continue
            who = f" of {kind} {group}"
            judged = _metrics(labels[member], scores[member], params, who)
            found[f"slice.{kind}.{group}.{gate.metric}"] = judged[gate.metric]
            compared.append(judged[gate.fairness.metric])
        if len(compared) > 1:
            found[f"gap.{kind}"] = max(compared) - min(compared)
    return found


def _refuse_personal(kind: str, groups: set[str], rows: pd.DataFrame) -> None:
    """Raise UserError where a group is, or has as a word, a value of a personal column.

    A group's name is in those of metrics, which go into the manifest, to MLflow and into messages.
    """
    words = groups | {word for group in groups for word in group.split() if len(word) > SHORT}
    personal: set[str] = {*schema.PERSONAL}
    for name in personal.intersection(rows.columns):
        if not words.isdisjoint(rows[name].dropna().astype(str)):
            raise UserError(
                f"schema.groups: {kind} shows values of the personal column {name}; "
                "group by something that does not"
            )


def folds(
    groups: np.ndarray, generator: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield of each fold, drawn by chance, which rows are outside of it and which are in it.

    `groups` has each row's number, shape (rows,): rows of one are in one fold. Raises UserError
    where there are fewer groups than folds.
    """
    count = len(np.unique(groups))
    if count < FOLDS:
        raise UserError(f"{FOLDS} folds need {FOLDS} values of schema.SPLIT_BY, not {count}")
    drawn = (generator.permutation(count) % FOLDS)[groups]
    for fold in range(FOLDS):
        yield drawn != fold, drawn == fold


def importance(
    x: pd.DataFrame, y: pd.Series, groups: np.ndarray, params: Params, context: Context
) -> dict[str, float]:
    """Return how much of the gate's metric each feature carries, beside one of pure noise.

    Permutation importance (Breiman, Random Forests, 2001), cross-validated over five folds of the
    training rows so that the holdout stays unseen, for a model that was offered the noise too. The
    columns of a block are shuffled together.
    """
    generator = np.random.default_rng(context.seed)
    x = x.assign(**{NOISE: generator.standard_normal(len(x))})
    parts = by_feature(x)
    drops: dict[str, list[float]] = {name: [] for name in parts}
    for inside, outside in folds(groups, generator):
        fitted = fit(x[inside], y[inside], params.model, context)
        x_out, y_out = x[outside], y[outside]
        before = quality(fitted, x_out, y_out, params)
        for name, columns in parts.items():
            for _ in range(PERMUTATIONS // FOLDS):
                shuffled = x_out.copy()
                shuffled[columns] = x_out[columns].to_numpy()[generator.permutation(len(x_out))]
                drops[name].append(before - quality(fitted, shuffled, y_out, params))
    return {f"importance.{name}": float(np.mean(values)) for name, values in drops.items()}
