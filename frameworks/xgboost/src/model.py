"""The model. Yours: how it is fitted, what it is compared with, and how it is judged.

Whatever is random here takes its seed from the context, so that a run can be done again.
"""

import hashlib
import json
import logging
import re
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xgboost as xgb
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from .ops import Context
from .ops.core import flavor
from .ops.core.files import write_file

# What `tune` tries: every combination, by cross-validation on the training rows.
SEARCH: dict[str, list[Any]] = {
    "max_depth": [2, 3, 4],
    "learning_rate": [0.05, 0.1],
    "colsample_bytree": [0.5, 1.0],
}
# Which way each feature moves the answer, as medicine knows it; no tree may say otherwise.
DIRECTIONS = {"bmi": 1, "blood_pressure": 1, "triglycerides": 1, "hdl": -1}
# A fit goes by stretches of so many rounds. Each starts from what the last one left, as it would
# from a file, and with a seed of its own: so it does not matter whether one process made them all.
EVERY = 25
# A checkpoint starts with a hash of the rest: XGBoost itself would go down over a damaged one.
CHECKPOINT, HASH = "booster.ubj", 32

log = logging.getLogger(__name__)


def fit(x: pd.DataFrame, y: pd.Series, params: Mapping[str, Any], context: Context) -> xgb.Booster:
    """Fit boosted trees to features `x` (rows, features) and labels `y` (rows,).

    `params` is the `model:` part of params.yaml: at most `rounds`, fewer once `patience` of them
    brought nothing on the share `validation` of the rows, of which the best are kept; all else is
    XGBoost's own. A fit that was killed goes on from its last checkpoint in context.folder, to the
    very model that it would have given. Raises ValueError for parameters that XGBoost refuses.
    """
    given = {"rounds": 500, "patience": 30, "validation": 0.2, **params}
    rounds, patience, share = (given.pop(name) for name in ("rounds", "patience", "validation"))
    train, validation = divide(x, y, share, context)
    evals = [(train, "train"), *([(validation, "validation")] if validation else [])]
    progress = Progress(context, patience)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            while progress.done < rounds and not progress.enough:
                booster = xgb.train(
                    recipe(x, given, context, progress.done),
                    train,
                    min(EVERY, rounds - progress.done),
                    evals=evals,
                    callbacks=[progress],
                    verbose_eval=False,
                    xgb_model=progress.state,
                )
                progress.keep(booster)
        except xgb.core.XGBoostError as error:
            raise ValueError(said(error)) from None
    if heard:  # XGBoost warns of a parameter that it does not know, and goes on
        raise ValueError(said(heard[0].message))
    return progress.best()


def divide(
    x: pd.DataFrame, y: pd.Series, share: float, context: Context
) -> tuple[xgb.DMatrix, xgb.DMatrix | None]:
    """Return the rows to learn from and those that say when to stop, None where there are none."""
    place = np.random.default_rng(context.seed).permutation(len(x))
    aside = place < int(share * len(x))
    train = xgb.DMatrix(x[~aside], y[~aside], nthread=context.threads)
    return train, xgb.DMatrix(x[aside], y[aside], nthread=context.threads) if aside.any() else None


def recipe(
    x: pd.DataFrame, params: Mapping[str, Any], context: Context, done: int
) -> dict[str, Any]:
    """Return what XGBoost is told for the stretch after `done` rounds, `params` among it."""
    return {
        "objective": "reg:squarederror",
        "tree_method": "hist",
        "monotone_constraints": {name: way for name, way in DIRECTIONS.items() if name in x},
        **params,
        "device": context.device,
        "nthread": context.threads,
        "seed": context.seed + done,
    }


class Progress(xgb.callback.TrainingCallback):
    """Follows a fit round by round: tells of it, keeps its state, and says when it is enough."""

    def __init__(self, context: Context, patience: int) -> None:
        """Go on from the checkpoint in context.folder, if there is one, and tell what it knows."""
        self.report, self.patience = context.report, patience
        self.path = context.folder / CHECKPOINT if context.folder else None
        self.state: bytearray | None = self._stored()
        self.done = 0
        # What was measured after each round, and the error on validation rows, if there are any.
        self.history: list[dict[str, float]] = []
        self.errors: list[float] = []
        if self.state:
            booster = flavor.stored(self.state)
            self.done = booster.num_boosted_rounds()
            for found in json.loads(str(booster.attr("history"))):
                self._note(found)

    def _stored(self) -> bytearray | None:
        if self.path is None or not self.path.exists():
            return None
        content = self.path.read_bytes()
        if hashlib.sha256(content[HASH:]).digest() != content[:HASH]:
            log.warning("%s is damaged: training starts over", self.path)
            return None
        return bytearray(content[HASH:])

    @property
    def rounds(self) -> int:
        """How many rounds it takes to the least error on the validation rows, or all without."""
        return int(np.argmin(self.errors)) + 1 if self.errors else len(self.history)

    @property
    def enough(self) -> bool:
        """Whether `patience` rounds have brought nothing."""
        return len(self.history) - self.rounds >= self.patience

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
        """Note how a round went; True ends the fit."""
        found = {
            f"{rows}.{name}": float(values[-1])
            for rows, judged in evals_log.items()
            for name, values in judged.items()
        }
        self._note(found)
        return self.enough

    def _note(self, found: dict[str, float]) -> None:
        self.report(len(self.history), found)
        self.history.append(found)
        self.errors += [found[name] for name in found if name.startswith("validation.")][-1:]

    def keep(self, model: xgb.Booster) -> None:
        """Remember a stretch's outcome, in the folder as well."""
        model.set_attr(history=json.dumps(self.history))
        self.state, self.done = model.save_raw("ubj"), model.num_boosted_rounds()
        if self.path:
            write_file(self.path, hashlib.sha256(self.state).digest() + self.state)

    def best(self) -> xgb.Booster:
        """Return the rounds up to the best. Raises ValueError where there was none."""
        if self.state is None:
            raise ValueError("rounds and patience must be at least 1")
        kept = flavor.stored(self.state)[: self.rounds]
        kept.set_attr(history=None)
        return flavor.stored(kept.save_raw("ubj"))


def said(message: object) -> str:
    """Return what XGBoost said in one line, without the place in its own source and its stack."""
    text = " ".join(str(message).split("Stack trace")[0].split())
    return re.sub(r"^\[[\d:]+\] (WARNING: )?\S+:\d+: ", "", text)


def baseline(x: pd.DataFrame, y: pd.Series, context: Context) -> LinearRegression:  # noqa: ARG001
    """Fit the simpler model that `fit` must beat: a straight line over body mass index alone."""
    return LinearRegression().fit(x[["bmi"]], y)


def predict(model: xgb.Booster | LinearRegression, x: pd.DataFrame) -> np.ndarray:
    """Return the progression that is expected, shape (rows,).

    A feature may be missing (NaN). Raises ValueError for one that is infinite.
    """
    scores: np.ndarray
    if isinstance(model, xgb.Booster):
        # A matrix of its own, because XGBoost looks for infinite values in nothing else.
        scores = model.predict(xgb.DMatrix(x[model.feature_names], nthread=1))
    else:
        scores = model.predict(x[model.feature_names_in_])
    return scores


def decide(scores: np.ndarray) -> np.ndarray:
    """Return the label that each score stands for: the score itself."""
    return scores


def metrics(y: pd.Series, scores: np.ndarray) -> dict[str, float]:
    """Judge `scores` (rows,) against labels `y` (rows,); needs labels that differ."""
    return {
        "r2": float(r2_score(y, scores)),  # the share of the spread that is explained
        "mae": float(mean_absolute_error(y, scores)),
        "rmse": float(root_mean_squared_error(y, scores)),
    }
