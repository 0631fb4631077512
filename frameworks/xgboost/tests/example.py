"""Yours: what the standard's tests have to know of your data and your model."""

import mlflow
import numpy as np
import pandas as pd

from .project import model

# Values of one parameter: the first spoils the model, the second does not.
SEARCH = {"learning_rate": [1e-6, 0.1]}
# The pictures that a run keeps.
PLOTS = {"importance", "predictions", "slices"}


def score_with_mlflow(uri: str, x: pd.DataFrame) -> np.ndarray:
    """Score features `x` with a logged model as somebody would who has MLflow and no more."""
    return model.predict(mlflow.xgboost.load_model(uri), x)
