"""Yours: what the standard's tests have to know of your data and your model."""

from typing import Any

import mlflow
import numpy as np
import pandas as pd

from .project import model

# Values of one parameter: the first spoils the model, the second does not.
SEARCH = {"C": [1e-9, 0.1]}
# The pictures that a run keeps.
PLOTS = {"calibration", "confusion", "importance", "slices"}


def score_with_mlflow(uri: str, x: pd.DataFrame) -> np.ndarray:
    """Score features `x` with a logged model as somebody would who has MLflow and no more."""
    loaded: Any = mlflow.sklearn.load_model(uri)
    return model.predict(loaded, x)
