"""The model: linear, over features that may be missing. Two classes, many, or a number."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from .ops import Context
from .schema import CLASSES

NUMBER, BINARY = not CLASSES, len(CLASSES) == 2  # noqa: PLR2004
SEARCH: dict[str, list[Any]] = {"alpha": [1.0]} if NUMBER else {"C": [1.0]}


def fit(x: pd.DataFrame, y: pd.Series, params: Mapping[str, Any], context: Context) -> Pipeline:
    """Fit a straight line or logistic regression; classes are numbered in the schema's order."""
    last = (
        Ridge(**params)
        if NUMBER
        else LogisticRegression(max_iter=1000, random_state=context.seed, **params)
    )
    steps = [("fill", SimpleImputer(keep_empty_features=True)), ("scale", StandardScaler())]
    return Pipeline([*steps, ("last", last)]).fit(x, numbers(y))


def baseline(x: pd.DataFrame, y: pd.Series, context: Context) -> Any:
    """Fit the simpler model: the mean, or the shares of the classes."""
    simple = DummyRegressor() if NUMBER else DummyClassifier(strategy="prior")
    return simple.fit(x, numbers(y))


def predict(model: Any, x: pd.DataFrame) -> np.ndarray:
    """Return the number, the probability of the second class, or that of each class."""
    x = x[model.feature_names_in_]
    scores: np.ndarray = model.predict(x) if NUMBER else model.predict_proba(x)
    return scores[:, 1] if BINARY else scores


def decide(scores: np.ndarray) -> np.ndarray:
    """Return the number, or the class that is likeliest."""
    if NUMBER:
        return scores
    places = (scores >= 0.5).astype(int) if BINARY else scores.argmax(axis=1)  # noqa: PLR2004
    labels: np.ndarray = np.array(CLASSES)[places]
    return labels


def metrics(y: pd.Series, scores: np.ndarray) -> dict[str, float]:
    """Judge scores: `quality` is r2, the area under the curve, or the share that is right."""
    if NUMBER:
        return {"quality": float(r2_score(y, scores))}
    right = float(accuracy_score(y, decide(scores)))
    return {"quality": float(roc_auc_score(numbers(y), scores)) if BINARY else right}


def numbers(y: pd.Series) -> pd.Series:
    """Return labels as numbers: classes as their places in the schema's list."""
    return y if NUMBER else y.map({name: place for place, name in enumerate(CLASSES)})
