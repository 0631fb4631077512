"""The model. Yours: how it is fitted, what it is compared with, and how it is judged.

Whatever is random here takes its seed from the context, so that a run can be done again.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from .ops import Context, UserError
from .ops.core import flavor
from .ops.core.files import write_file
from .ops.core.flavor import keras, tf
from .ops.provenance.digest import value_digest
from .schema import SIDE

# What `tune` tries: every combination, by cross-validation on the training rows.
SEARCH: dict[str, list[Any]] = {"learning_rate": [0.001, 0.003, 0.01], "dropout": [0.25, 0.5]}
DIGITS = 10
# The block that the convolutions look at; any other column goes to the dense layers.
PICTURE = "image."
# Policies of Keras. With the mixed ones weights are float32, and what is computed from them is not.
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
CHECKPOINT = "checkpoint.npz"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The `model:` part of params.yaml."""

    channels: int
    hidden: int
    dropout: float
    learning_rate: float
    weight_decay: float
    batch: int
    epochs: int
    patience: int
    validation: float
    precision: str


class Network(keras.Model):  # type: ignore[misc]  # Keras ships no types
    """Two convolutions over the picture, and dense layers that see all other columns too.

    ops/flavor.py stores `get_config` with the weights, and makes a class of this file again from
    both.
    """

    def __init__(
        self,
        columns: list[str],
        others: list[list[float]],
        channels: int,
        hidden: int,
        dropout: float,
        precision: str = "float64",
    ) -> None:
        """Take `columns`, the picture's first and in its order.

        `others` are mean and variance of each of the rest, two lists. `precision` is the dtype
        policy of every layer: the global one stays as it is.
        """
        layers, like = keras.layers, {"dtype": precision}
        whole = keras.DTypePolicy(precision).variable_dtype
        inputs = keras.Input((len(columns),), dtype=whole)
        seen = layers.Reshape((SIDE, SIDE, 1), **like)(inputs[:, : SIDE**2])
        for filters in (channels, 2 * channels):
            seen = layers.Conv2D(filters, 3, padding="same", activation="relu", **like)(seen)
        seen = layers.Flatten(**like)(layers.MaxPooling2D(**like)(seen))
        if len(columns) > SIDE**2:
            scale = layers.Normalization(mean=others[0], variance=others[1], dtype=whole)
            seen = layers.Concatenate(**like)([seen, scale(inputs[:, SIDE**2 :])])
        drop = layers.Dropout(dropout, seed=0, **like)
        seen = layers.Dense(hidden, activation="relu", **like)(drop(seen))
        super().__init__(inputs, layers.Dense(DIGITS, dtype=whole)(seen))
        self.drop = drop
        self.arguments = {
            "columns": columns,
            "others": others,
            "channels": channels,
            "hidden": hidden,
            "dropout": dropout,
            "precision": precision,
        }

    def get_config(self) -> dict[str, Any]:
        """Return what it was made with."""
        return self.arguments

    def draw_from(self, seed: int) -> None:
        """Let dropout draw what follows from `seed`."""
        if self.drop.rate > 0:  # else it draws nothing, and has nothing to draw with
            self.drop.seed_generator.state.assign([seed, 0])


def fit(x: pd.DataFrame, y: pd.Series, params: Mapping[str, Any], context: Context) -> Network:
    """Fit the network to features `x` (rows, columns) and labels `y` (rows,), 0 to 9.

    `params` is the `model:` part of params.yaml. Training ends after `epochs`, or `patience` of
    them after the one with the lowest loss on the validation rows, whose weights are kept. A fit
    that was interrupted goes on from its checkpoint in context.folder, to the very same weights.
    Raises ValueError for parameters that it cannot use.
    """
    recipe = Recipe(**params)
    if recipe.precision not in PRECISIONS:
        raise ValueError(f"precision is one of {', '.join(PRECISIONS)}, not {recipe.precision}")
    with tf.device("GPU:0" if context.device == "cuda" else "CPU:0"):
        training = Training(x, y, recipe, context)
        training.resume()
        while not training.done:
            training.epoch()
            training.save()
    return training.result()


class Training:
    """A fit, epoch by epoch. What is random in one follows from seed and epoch alone.

    The loop is written out, not Keras's `fit`: an epoch is one call of TensorFlow, four times as
    fast for a network as small as this, and its state is all here to be kept.
    """

    def __init__(self, x: pd.DataFrame, y: pd.Series, recipe: Recipe, context: Context) -> None:
        """Set aside the validation rows, and make a network and its optimiser."""
        self.recipe, self.context = recipe, context
        self.history: list[dict[str, float]] = []
        self.best: list[np.ndarray] = []
        # What a checkpoint has to be of. Empty where none is kept.
        self.identity = ""
        if context.folder:
            whole = [x, y, asdict(recipe), context.seed, context.device]
            self.identity = value_digest(whole)

        columns = sorted(map(str, x), key=lambda name: not name.startswith(PICTURE))
        order = np.random.default_rng(context.seed).permutation(len(x))
        aside = int(recipe.validation * len(x))
        values, labels = x[columns].to_numpy("float32")[order], y.to_numpy("int64")[order]
        self.rows = tf.constant(values[aside:]), tf.constant(labels[aside:])
        # Without rows of its own, validation is on those that were learnt.
        held = (tf.constant(values[:aside]), tf.constant(labels[:aside]))
        self.held = held if aside else self.rows

        others = values[aside:, SIDE**2 :].astype("float64")
        variance = others.var(axis=0)
        scale = [others.mean(axis=0).tolist(), np.where(variance > 0, variance, 1.0).tolist()]
        keras.utils.set_random_seed(context.seed)
        self.network = Network(
            columns, scale, recipe.channels, recipe.hidden, recipe.dropout, recipe.precision
        )
        self.optimiser = keras.optimizers.AdamW(
            recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        # Only float16 has so few small numbers that gradients have to be scaled up.
        if recipe.precision == "mixed_float16":
            self.optimiser = keras.optimizers.LossScaleOptimizer(self.optimiser)
        self.optimiser.build(self.network.trainable_variables)
        self.loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")

    @property
    def done(self) -> bool:
        """Whether all epochs are over, or no recent one was better."""
        losses = [epoch["valid_loss"] for epoch in self.history]
        waited = len(losses) - 1 - int(np.argmin(losses)) if losses else 0
        return len(losses) >= self.recipe.epochs or waited >= self.recipe.patience

    def epoch(self) -> None:
        """Learn from every row once, judge, and report. Raises ValueError where it diverged."""
        number = len(self.history)
        random = np.random.default_rng((self.context.seed, number))
        order = random.permutation(len(self.rows[1]))
        self.network.draw_from(int(random.integers(2**32)))
        total = float(self.learn(tf.constant(order)))
        valid_loss, valid_accuracy = map(float, self.judge())
        found = {
            "loss": total / len(order),
            "valid_loss": valid_loss,
            "valid_accuracy": valid_accuracy,
        }
        if not all(map(math.isfinite, found.values())):
            raise ValueError(f"the loss of epoch {number} is not a number; lower learning_rate")
        if valid_loss < min((one["valid_loss"] for one in self.history), default=math.inf):
            self.best = self.network.get_weights()
        self.history.append(found)
        self.context.report(number, found)

    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow ships no types
    def learn(self, order: Any) -> Any:
        """Go once over all rows in `order` (rows,); return the sum of their losses."""
        values, labels = self.rows
        total = tf.zeros(())
        for start in tf.range(0, len(order), self.recipe.batch):
            batch = order[start : start + self.recipe.batch]
            with tf.GradientTape() as tape:
                logits = self.network(tf.gather(values, batch), training=True)
                loss = self.loss(tf.gather(labels, batch), logits)
                mean = self.optimiser.scale_loss(loss / tf.cast(len(batch), loss.dtype))
            variables = self.network.trainable_variables
            self.optimiser.apply(tape.gradient(mean, variables), variables)
            total += loss
        return total

    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow ships no types
    def judge(self) -> Any:
        """Return mean loss and accuracy on the validation rows."""
        values, labels = self.held
        logits = self.network(values, training=False)
        right = tf.argmax(logits, axis=1) == labels
        return self.loss(labels, logits) / len(labels), tf.reduce_mean(tf.cast(right, tf.float32))

    def result(self) -> Network:
        """Return the network with its best weights, on the CPU and in double precision."""
        with tf.device("CPU:0"):
            made = Network(**{**self.network.get_config(), "precision": "float64"})
            made.set_weights(self.best)
        return made

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        if self.context.folder is None:
            return
        about = {"identity": self.identity, "history": self.history}
        state = [variable.numpy() for variable in self.optimiser.variables]
        content = flavor.pack(about, [*self.network.get_weights(), *self.best, *state])
        write_file(self.context.folder / CHECKPOINT, content)

    def resume(self) -> None:
        """Go on from the checkpoint, if there is a usable one, and report what lies behind."""
        if self.context.folder is None:
            return
        path = self.context.folder / CHECKPOINT
        if not path.exists():
            return
        try:
            about, arrays = flavor.unpack(path)
        except UserError as error:
            log.warning("%s: training starts over", error)
            return
        if about["identity"] != self.identity:
            log.warning("%s is of another training: this one starts from the beginning", path)
            return
        size = len(self.network.weights)
        self.network.set_weights(arrays[:size])
        self.best = arrays[size : 2 * size]
        for variable, value in zip(self.optimiser.variables, arrays[2 * size :], strict=True):
            variable.assign(value)
        self.history = about["history"]
        for number, found in enumerate(self.history):
            self.context.report(number, found)


def baseline(x: pd.DataFrame, y: pd.Series, context: Context) -> Pipeline:
    """Fit the simpler model that `fit` must beat: a linear one that sees 16 coarse pixels."""
    linear = LogisticRegression(max_iter=1000, random_state=context.seed)
    return make_pipeline(FunctionTransformer(coarse), linear).fit(x, y)


def coarse(x: pd.DataFrame) -> np.ndarray:
    """Return the mean of every four neighbouring pixels, shape (rows, 16)."""
    pixels = x.filter(regex=rf"\A{PICTURE}").to_numpy()
    blocks: np.ndarray = pixels.reshape(-1, SIDE // 2, 2, SIDE // 2, 2).mean(axis=(2, 4))
    return blocks.reshape(len(x), -1)


def predict(model: Network | Pipeline, x: pd.DataFrame) -> np.ndarray:
    """Return the probability of each digit, shape (rows, 10).

    The network works in double precision here and its answer is rounded to single, so that the
    last bit depends neither on the rows beside it, nor on threads, nor on the processor.
    """
    if isinstance(model, Pipeline):
        simple: np.ndarray = model.predict_proba(x)
        return simple
    values = x[list(model.get_config()["columns"])].to_numpy("float64")
    with tf.device("CPU:0"):
        scores: np.ndarray = tf.nn.softmax(model(values, training=False)).numpy()
    return scores.astype("float32")


def decide(scores: np.ndarray) -> np.ndarray:
    """Return the likeliest digit for each of `scores` (rows, 10), shape (rows,)."""
    digits: np.ndarray = scores.argmax(axis=1)
    return digits


def metrics(y: pd.Series, scores: np.ndarray) -> dict[str, float]:
    """Judge `scores` (rows, 10) against labels `y` (rows,); some digits may be missing."""
    decided = decide(scores)
    shares = scores / scores.sum(axis=1, keepdims=True)  # rounded, they miss one by a little
    return {
        "accuracy": float((decided == y.to_numpy()).mean()),
        "macro_f1": float(f1_score(y, decided, average="macro", zero_division=0)),
        "log_loss": float(log_loss(y, shares, labels=range(DIGITS))),
    }
