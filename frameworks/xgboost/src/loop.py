"""The training loop: boosting that can be killed and resumed, and still gives the same trees."""

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

from ..core import flavor
from ..core.context import Context
from ..core.files import write_file

# A fit is made of stretches of so many rounds. Each starts from the last one's result as if read
# from a file, with a seed of its own, so it makes no difference in which process that was.
EVERY = 25
# A checkpoint starts with a hash of the rest: a damaged one would crash XGBoost itself.
CHECKPOINT, HASH = "booster.ubj", 32

log = logging.getLogger(__name__)


def fit(x: pd.DataFrame, y: pd.Series, params: Mapping[str, Any], context: Context) -> xgb.Booster:
    """Fit boosted trees to features `x` (rows, features) and labels `y` (rows,).

    Three of `params` are the loop's: training ends after `rounds`, or `patience` rounds after the
    one with the lowest error on the share `validation` of the rows, up to which trees are kept. The
    others are XGBoost's own; device, threads and seed come from the context. A fit that was killed
    resumes from its checkpoint in context.folder. Raises ValueError for parameters that XGBoost
    rejects.
    """
    settings = {"rounds": 500, "patience": 30, "validation": 0.2, **params}
    rounds, patience, share = (settings.pop(name) for name in ("rounds", "patience", "validation"))
    train, validation = divide(x, y, share, context)
    evals = [(train, "train"), *([(validation, "validation")] if validation else [])]
    progress = Progress(context, patience)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            while progress.done < rounds and not progress.enough:
                booster = xgb.train(
                    stretch_settings(settings, context, progress.done),
                    train,
                    min(EVERY, rounds - progress.done),
                    evals=evals,
                    callbacks=[progress],
                    verbose_eval=False,
                    xgb_model=progress.state,
                )
                progress.keep(booster)
        except xgb.core.XGBoostError as error:
            raise ValueError(one_line(error)) from None
    if caught:  # XGBoost only warns of a parameter that it does not know
        raise ValueError(one_line(caught[0].message))
    return progress.best()


def divide(
    x: pd.DataFrame, y: pd.Series, share: float, context: Context
) -> tuple[xgb.DMatrix, xgb.DMatrix | None]:
    """Return the rows to learn from and those that decide when to stop, None without any."""
    place = np.random.default_rng(context.seed).permutation(len(x))
    held = place < int(share * len(x))
    train = xgb.DMatrix(x[~held], y[~held], nthread=context.threads)
    return train, xgb.DMatrix(x[held], y[held], nthread=context.threads) if held.any() else None


def stretch_settings(settings: Mapping[str, Any], context: Context, done: int) -> dict[str, Any]:
    """Return XGBoost's settings for the stretch that starts after `done` rounds."""
    return {
        **settings,
        "device": context.device,
        "nthread": context.threads,
        "seed": context.seed + done,
    }


class Progress(xgb.callback.TrainingCallback):
    """Follows a fit round by round: reports each, keeps the state, and says when to stop."""

    def __init__(self, context: Context, patience: int) -> None:
        """Start from the checkpoint in context.folder, if there is one, and report its rounds."""
        self.report, self.patience = context.report, patience
        self.path = context.folder / CHECKPOINT if context.folder else None
        self.state: bytearray | None = self._stored()
        self.done = 0
        # The metrics of each round, and the error on the validation rows, if there are any.
        self.history: list[dict[str, float]] = []
        self.errors: list[float] = []
        if self.state:
            booster = flavor.stored(self.state)
            self.done = booster.num_boosted_rounds()
            for metrics in json.loads(str(booster.attr("history"))):
                self._note(metrics)

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
        """The rounds up to the lowest error on the validation rows, or all without such rows."""
        return int(np.argmin(self.errors)) + 1 if self.errors else len(self.history)

    @property
    def enough(self) -> bool:
        """Whether the last `patience` rounds brought no improvement."""
        return len(self.history) - self.rounds >= self.patience

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
        """Note the metrics of a round; True ends the fit."""
        metrics = {
            f"{rows}.{name}": float(values[-1])
            for rows, judged in evals_log.items()
            for name, values in judged.items()
        }
        self._note(metrics)
        return self.enough

    def _note(self, metrics: dict[str, float]) -> None:
        self.report(len(self.history), metrics)
        self.history.append(metrics)
        self.errors += [metrics[name] for name in metrics if name.startswith("validation.")][-1:]

    def keep(self, model: xgb.Booster) -> None:
        """Keep the result of a stretch, in context.folder as well."""
        model.set_attr(history=json.dumps(self.history))
        self.state, self.done = model.save_raw("ubj"), model.num_boosted_rounds()
        if self.path:
            write_file(self.path, hashlib.sha256(self.state).digest() + self.state)

    def best(self) -> xgb.Booster:
        """Return the model up to the best round. Raises ValueError where there was none."""
        if self.state is None:
            raise ValueError("rounds and patience must be at least 1")
        kept = flavor.stored(self.state)[: self.rounds]
        kept.set_attr(history=None)
        return flavor.stored(kept.save_raw("ubj"))


def one_line(message: object) -> str:
    """Return XGBoost's message in one line, without its source's position and stack trace."""
    text = " ".join(str(message).split("Stack trace")[0].split())
    return re.sub(r"^\[[\d:]+\] (WARNING: )?\S+:\d+: ", "", text)
