"""The model. Yours: how it is fitted, what it is compared with, and how it is judged.

Everything random takes its seed from the context, so that a run can be reproduced.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xgboost as xgb
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from .ops import Context, loop

# What `tune` tries: every combination, by cross-validation on the training rows.
SEARCH: dict[str, list[Any]] = {
    "max_depth": [2, 3, 4],
    "learning_rate": [0.05, 0.1],
    "colsample_bytree": [0.5, 1.0],
}
# Which way each feature moves the answer, as medicine knows it; no tree may say otherwise.
DIRECTIONS = {"bmi": 1, "blood_pressure": 1, "triglycerides": 1, "hdl": -1}


def fit(x: pd.DataFrame, y: pd.Series, params: Mapping[str, Any], context: Context) -> xgb.Booster:
    """Fit boosted trees to features `x` (rows, features) and labels `y` (rows,).

    `params` is the `model:` part of params.yaml: `rounds`, `patience` and `validation` say when to
    stop, all else is XGBoost's own. Raises ValueError for parameters that XGBoost rejects.
    """
    settings = {
        "objective": "reg:squarederror",
        "tree_method": "hist",
        "monotone_constraints": {name: way for name, way in DIRECTIONS.items() if name in x},
        **params,
    }
    return loop.fit(x, y, settings, context)


def baseline(x: pd.DataFrame, y: pd.Series, context: Context) -> LinearRegression:
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
