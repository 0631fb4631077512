"""Yours: what the standard's tests have to know of your data and your model."""

import mlflow.pyfunc
import numpy as np
import pandas as pd

# Values of one parameter: the first spoils the model, the second does not.
SEARCH = {"learning_rate": [1e-9, 0.01]}
# The pictures that a run keeps.
PLOTS = {"calibration", "confusion", "importance", "slices"}


def score_with_mlflow(uri: str, x: pd.DataFrame) -> np.ndarray:
    """Score features `x` with a logged model as somebody would who has MLflow and no more."""
    return mlflow.pyfunc.load_model(uri).predict(x)
