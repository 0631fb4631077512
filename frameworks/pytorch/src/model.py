"""The model. Yours: how it is fitted, what it is compared with, and how it is judged.

Everything random takes its seed from the context, so that a run can be reproduced.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch import nn
from torch.nn import functional
from torch.optim import AdamW

from .ops import Context, loop
from .schema import SIDE

# What `tune` tries: every combination, by cross-validation on the training rows.
SEARCH: dict[str, list[Any]] = {"learning_rate": [0.003, 0.01, 0.03], "dropout": [0.25, 0.5]}
DIGITS = 10
# The block that the convolutions look at; any other column goes to the dense layers.
PICTURE = "image."


@dataclass(frozen=True, kw_only=True)
class Recipe(loop.Recipe):
    """The `model:` part of params.yaml: these, and what the loop takes of it."""

    channels: int
    hidden: int
    dropout: float
    learning_rate: float
    weight_decay: float


class Network(nn.Module):
    """Two convolutions over the picture, and dense layers that see all other columns too.

    `arguments` are what it was made with: they and the weights are what is stored of it.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, columns: list[str], channels: int, hidden: int, dropout: float) -> None:
        """Take `columns`, the picture's first and in its order."""
        super().__init__()
        sizes = {"channels": channels, "hidden": hidden, "dropout": dropout}
        self.columns, self.arguments = columns, {"columns": columns, **sizes}
        others = len(columns) - SIDE**2
        self.register_buffer("mean", torch.zeros(others))
        self.register_buffer("scale", torch.ones(others))
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.dense = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(2 * channels * (SIDE // 2) ** 2 + others, hidden),
            nn.ReLU(),
            nn.Linear(hidden, DIGITS),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits (rows, digits) of `x` (rows, columns)."""
        picture = self.convolutions(x[:, : SIDE**2].reshape(-1, 1, SIDE, SIDE))
        others = (x[:, SIDE**2 :] - self.mean) / self.scale
        logits: torch.Tensor = self.dense(torch.cat([picture, others], dim=1))
        return logits


def fit(x: pd.DataFrame, y: pd.Series, params: Mapping[str, Any], context: Context) -> Network:
    """Fit the network to features `x` (rows, columns) and labels `y` (rows,), 0 to 9.

    `params` is the `model:` part of params.yaml. Raises ValueError for one that cannot be used.
    """
    recipe = Recipe(**params)
    task = loop.Task(
        network=partial(untrained, recipe),
        optimiser=partial(AdamW, lr=recipe.learning_rate, weight_decay=recipe.weight_decay),
        loss=functional.cross_entropy,
        measures={"accuracy": lambda logits, y: (logits.argmax(dim=1) == y).float().mean()},
    )
    return loop.fit(x, y, task, recipe, context)


def untrained(recipe: Recipe, x: pd.DataFrame) -> Network:
    """Return a network to learn from features `x` (rows, columns), to whose scale it is brought."""
    columns = sorted(map(str, x), key=lambda name: not name.startswith(PICTURE))
    network = Network(columns, recipe.channels, recipe.hidden, recipe.dropout)
    others = x[columns[SIDE**2 :]].to_numpy()
    spread = others.std(axis=0)
    network.mean.copy_(torch.from_numpy(others.mean(axis=0)))
    network.scale.copy_(torch.from_numpy(np.where(spread > 0, spread, 1.0)))
    return network


def baseline(x: pd.DataFrame, y: pd.Series, context: Context) -> Pipeline:
    """Fit the simpler model that `fit` must beat: a linear one that sees 16 coarse pixels."""
    linear = LogisticRegression(max_iter=1000, random_state=context.seed)
    return make_pipeline(FunctionTransformer(coarse), linear).fit(x, y)


def coarse(x: pd.DataFrame) -> np.ndarray:
    """Return the mean of every four neighbouring pixels, shape (rows, 16)."""
    pixels = x.filter(regex=rf"\A{PICTURE}").to_numpy()
    blocks = pixels.reshape(-1, SIDE // 2, 2, SIDE // 2, 2).mean(axis=(2, 4))
    return np.asarray(blocks.reshape(len(x), -1))


def predict(model: Network | Pipeline, x: pd.DataFrame) -> np.ndarray:
    """Return the probability of each digit, shape (rows, 10).

    The network computes in double precision here and rounds to single, so that the last bit depends
    neither on the other rows, nor on threads, nor on the processor.
    """
    if isinstance(model, Pipeline):
        return np.asarray(model.predict_proba(x))
    values = torch.tensor(np.ascontiguousarray(x[model.columns], dtype="float64"))
    exact = copy.deepcopy(model).double()  # the service scores in several threads
    with torch.no_grad():
        return np.asarray(torch.softmax(exact(values), dim=1).float())


def decide(scores: np.ndarray) -> np.ndarray:
    """Return the likeliest digit for each of `scores` (rows, 10), shape (rows,)."""
    return np.asarray(scores.argmax(axis=1))


def metrics(y: pd.Series, scores: np.ndarray) -> dict[str, float]:
    """Judge `scores` (rows, 10) against labels `y` (rows,); some digits may be missing."""
    decided = decide(scores)
    shares = scores / scores.sum(axis=1, keepdims=True)  # rounded, they miss one by a little
    return {
        "accuracy": float((decided == y.to_numpy()).mean()),
        "macro_f1": float(f1_score(y, decided, average="macro", zero_division=0)),
        "log_loss": float(log_loss(y, shares, labels=range(DIGITS))),
    }
