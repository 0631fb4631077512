"""What the standard's tests have to know of the framework whose render they run in."""

import mlflow
import numpy as np
import pandas as pd
import yaml

from .conftest import ROOT
from .project import model

FRAMEWORK = yaml.safe_load((ROOT / ".copier-answers.yml").read_text("utf-8"))["framework"]
# Values of one parameter: the first spoils the model, the second does not.
SEARCH = {
    "scikit-learn": {"C": [1e-9, 0.1]},
    "xgboost": {"learning_rate": [1e-6, 0.1]},
}.get(FRAMEWORK, {"learning_rate": [1e-9, 0.01]})
# The pictures that a run keeps: of a regression, and of classes.
PLOTS = {"importance", "slices"} | (
    {"predictions"} if FRAMEWORK == "xgboost" else {"calibration", "confusion"}
)


def score_with_mlflow(uri: str, x: pd.DataFrame) -> np.ndarray:
    """Score features `x` with a logged model as somebody would who has MLflow and no more."""
    match FRAMEWORK:
        case "scikit-learn":
            return model.predict(mlflow.sklearn.load_model(uri), x)
        case "xgboost":
            return model.predict(mlflow.xgboost.load_model(uri), x)
        case _:
            return mlflow.pyfunc.load_model(uri).predict(x)
