"""One fit shared by several workers: XGBoost's own collective, set up by Ray Train."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..core.context import Context
from ..core.project import model
from . import cluster


def fit(x: pd.DataFrame, y: pd.Series, params: Mapping[str, Any], context: Context) -> Any:
    """Fit the project's model on context.workers workers, each with its share of the rows.

    Raises what cluster.fit raises.
    """
    # A parameter that XGBoost does not know goes unsaid among several workers: it is tried alone.
    model.fit(x, y, {**params, "rounds": 1}, context.beside())
    return cluster.fit(trainer, share, (x, y), params, context)


def share(x: pd.DataFrame, y: pd.Series, params: Mapping[str, Any], context: Context) -> Any:
    """Be one of the workers: XGBoost adds up what all of them find, so each gets the same trees."""
    mine = slice(context.rank, None, context.workers)
    return model.fit(x[mine], y[mine], params, context)


def trainer() -> Any:
    """Return the class of Ray Train that sets the collective up."""
    from ray.train.xgboost import XGBoostTrainer

    return XGBoostTrainer
