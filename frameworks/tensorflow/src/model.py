"""The model. Yours: how it is fitted, what it is compared with, and how it is judged.

Everything random takes its seed from the context, so that a run can be reproduced.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from .ops import Context, keras, loop, tf
from .schema import SIDE

# What `tune` tries: every combination, by cross-validation on the training rows.
SEARCH: dict[str, list[Any]] = {"learning_rate": [0.001, 0.003, 0.01], "dropout": [0.25, 0.5]}
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


class Network(keras.Model):  # type: ignore[misc]  # Keras ships no types
    """Two convolutions over the picture, and dense layers that see all other columns too.

    `arguments` are what it was made with: they and the weights are what is stored of it.
    """

    def __init__(self, precision: str = "float64", **arguments: Any) -> None:
        """Take `columns`, the picture's first and in its order, and the sizes of a recipe.

        `others` are mean and variance of each of the other columns, two lists. `precision` is the
        dtype policy of every layer; the global one stays as it is.
        """
        layers, like = keras.layers, {"dtype": precision}
        whole = keras.DTypePolicy(precision).variable_dtype
        inputs = keras.Input((len(arguments["columns"]),), dtype=whole)
        seen = layers.Reshape((SIDE, SIDE, 1), **like)(inputs[:, : SIDE**2])
        for filters in (arguments["channels"], 2 * arguments["channels"]):
            seen = layers.Conv2D(filters, 3, padding="same", activation="relu", **like)(seen)
        seen = layers.Flatten(**like)(layers.MaxPooling2D(**like)(seen))
        if len(arguments["columns"]) > SIDE**2:
            mean, variance = arguments["others"]
            scale = layers.Normalization(mean=mean, variance=variance, dtype=whole)
            seen = layers.Concatenate(**like)([seen, scale(inputs[:, SIDE**2 :])])
        seen = layers.Dropout(arguments["dropout"], seed=0, **like)(seen)
        seen = layers.Dense(arguments["hidden"], activation="relu", **like)(seen)
        super().__init__(inputs, layers.Dense(DIGITS, dtype=whole)(seen))
        self.arguments = {**arguments, "precision": precision}

    def get_config(self) -> dict[str, Any]:
        """Return what it was made with."""
        return self.arguments


def fit(x: pd.DataFrame, y: pd.Series, params: Mapping[str, Any], context: Context) -> Network:
    """Fit the network to features `x` (rows, columns) and labels `y` (rows,), 0 to 9.

    `params` is the `model:` part of params.yaml. Raises ValueError for one that cannot be used.
    """
    recipe = Recipe(**params)
    task = loop.Task(
        network=partial(untrained, recipe),
        optimiser=partial(
            keras.optimizers.AdamW, recipe.learning_rate, weight_decay=recipe.weight_decay
        ),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum"),
        measures={"accuracy": lambda y, logits: tf.argmax(logits, axis=1) == y},
    )
    network: Network = loop.fit(x, y, task, recipe, context)
    return network


def untrained(recipe: Recipe, x: pd.DataFrame) -> Network:
    """Return a network to learn from features `x` (rows, columns), to whose scale it is brought."""
    columns = sorted(map(str, x), key=lambda name: not name.startswith(PICTURE))
    others = x[columns[SIDE**2 :]].to_numpy("float32").astype("float64")
    variance = others.var(axis=0)
    return Network(
        recipe.precision,
        columns=columns,
        others=[others.mean(axis=0).tolist(), np.where(variance > 0, variance, 1.0).tolist()],
        channels=recipe.channels,
        hidden=recipe.hidden,
        dropout=recipe.dropout,
    )


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
    values = x[list(model.get_config()["columns"])].to_numpy("float64")
    with tf.device("CPU:0"):
        scores = tf.nn.softmax(model(values, training=False)).numpy()
    return np.asarray(scores.astype("float32"))


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
