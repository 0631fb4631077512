"""The model. Yours: how it is fitted, what it is compared with, and how it is judged.

Whatever is random here takes its seed from the context, so that a run can be done again.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, recall_score, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from .ops import Context

# What `tune` tries: every combination, by cross-validation on the training rows.
SEARCH: dict[str, list[Any]] = {
    "C": [0.01, 0.03, 0.1, 0.3, 1.0, 3.0],
    "class_weight": [None, "balanced"],
}


def fit(x: pd.DataFrame, y: pd.Series, params: Mapping[str, Any], context: Context) -> Pipeline:
    """Fit the model to features `x` (rows, features) and labels `y` (rows,), 0 or 1.

    `params` is the `model:` part of params.yaml.
    """
    model = make(LogisticRegression(max_iter=1000, random_state=context.seed, **params))
    return model.fit(x, y)


def baseline(x: pd.DataFrame, y: pd.Series, context: Context) -> Pipeline:
    """Fit the simpler model that `fit` must beat: what body mass index alone can tell."""
    model = make(LogisticRegression(random_state=context.seed))
    return model.fit(x[["bmi"]], y)


def predict(model: Pipeline, x: pd.DataFrame) -> np.ndarray:
    """Return the probability of the label being 1, shape (rows,)."""
    scores: np.ndarray = model.predict_proba(x[model.feature_names_in_])[:, 1]
    return scores


def decide(scores: np.ndarray) -> np.ndarray:
    """Return the label that each of `scores` (rows,) stands for, shape (rows,)."""
    return (scores >= 0.5).astype("int64")  # noqa: PLR2004


def metrics(y: pd.Series, scores: np.ndarray) -> dict[str, float]:
    """Judge `scores` (rows,) against labels `y` (rows,); needs both labels among the rows."""
    return {
        "roc_auc": float(roc_auc_score(y, scores)),
        "recall": float(recall_score(y, decide(scores))),
        "brier": float(brier_score_loss(y, scores)),
        "log_loss": float(log_loss(y, scores)),
    }


def make(classifier: LogisticRegression) -> Pipeline:
    """Put the scaling that a linear model needs in front of it."""
    return Pipeline([("scale", StandardScaler()), ("classify", classifier)])
