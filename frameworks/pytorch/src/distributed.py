"""One fit shared by several workers: PyTorch's own process group, set up by Ray Train."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..core.context import Context
from ..core.project import model
from . import cluster


def fit(x: pd.DataFrame, y: pd.Series, params: Mapping[str, Any], context: Context) -> Any:
    """Fit the project's model on context.workers workers, which share every batch.

    Raises what cluster.fit raises.
    """
    return cluster.fit(trainer, share, (x, y), params, context)


def share(x: pd.DataFrame, y: pd.Series, params: Mapping[str, Any], context: Context) -> Any:
    """Be one of the workers: the model divides each batch among them itself."""
    return model.fit(x, y, params, context)


def trainer() -> Any:
    """Return the class of Ray Train that sets the process group up."""
    from ray.train.torch import TorchTrainer

    return TorchTrainer
