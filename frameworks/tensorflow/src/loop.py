"""The training loop: epochs that can be killed and resumed, and still give the same weights.

Written out, not Keras's `fit`: an epoch is one call of TensorFlow, four times as fast for a small
network, and all of its state is kept, which Keras's callbacks do not do.
"""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..core import flavor
from ..core.context import Context
from ..core.errors import UserError
from ..core.files import write_file
from ..core.flavor import keras, tf
from ..provenance.digest import value_digest

# Policies of Keras. With the mixed ones weights are float32, and what is computed from them is not.
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
CHECKPOINT = "checkpoint.npz"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What the loop takes of params.yaml. A model's own recipe inherits it and adds its part.

    Training ends after `epochs`, or `patience` epochs after the one with the lowest loss on the
    share `validation` of the rows, whose weights are kept. `precision` is the policy that the
    network computes by while it learns.
    """

    batch: int
    epochs: int
    patience: int
    validation: float
    precision: str


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is learned.

    `network` returns an untrained network for the rows it will learn from, (rows, columns); its
    `get_config` gives the arguments of its class, among them `columns`, the features that it takes
    in order, and `precision`. `optimiser` returns a new one. `loss` takes labels and outputs and
    returns the sum over rows. `measures` give a value for each row; their means on the validation
    rows are reported.
    """

    network: Callable[[pd.DataFrame], Any]
    optimiser: Callable[[], Any]
    loss: Callable[[Any, Any], Any]
    measures: Mapping[str, Callable[[Any, Any], Any]]


def fit(x: pd.DataFrame, y: pd.Series, task: Task, recipe: Recipe, context: Context) -> Any:
    """Fit the network of `task` to features `x` (rows, columns) and labels `y` (rows,).

    A fit that was killed resumes from its checkpoint in context.folder, to the very same weights.
    Raises ValueError for a recipe that cannot be used.
    """
    if recipe.precision not in PRECISIONS:
        raise ValueError(f"precision is one of {', '.join(PRECISIONS)}, not {recipe.precision}")
    with tf.device("GPU:0" if context.device == "cuda" else "CPU:0"):
        training = Training(x, y, task, recipe, context)
        training.resume()
        while not training.done:
            training.epoch()
            training.save()
    return training.result()


class Training:
    """A fit, epoch by epoch. Everything random in an epoch follows from the seed and its number."""

    def __init__(
        self, x: pd.DataFrame, y: pd.Series, task: Task, recipe: Recipe, context: Context
    ) -> None:
        """Set the validation rows apart, and make the network and its optimiser."""
        self.task, self.recipe, self.context = task, recipe, context
        self.history: list[dict[str, float]] = []
        self.best: list[np.ndarray] = []
        # Which fit a checkpoint belongs to. Empty where none is kept.
        self.identity = ""
        if context.folder:
            whole = [x, y, asdict(recipe), context.seed, context.device]
            self.identity = value_digest(whole)

        order = np.random.default_rng(context.seed).permutation(len(x))
        held, learned = np.split(order, [int(recipe.validation * len(x))])
        keras.utils.set_random_seed(context.seed)
        self.network = task.network(x.iloc[learned])
        columns = list(self.network.get_config()["columns"])
        self.rows = tensors(x[columns].iloc[learned], y.iloc[learned])
        # Without rows of its own, validation is on those that were learned.
        self.held = tensors(x[columns].iloc[held], y.iloc[held]) if len(held) else self.rows
        self.optimiser = task.optimiser()
        # Only float16 has so few small numbers that gradients have to be scaled up.
        if recipe.precision == "mixed_float16":
            self.optimiser = keras.optimizers.LossScaleOptimizer(self.optimiser)
        self.optimiser.build(self.network.trainable_variables)

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
        self.seed_layers(int(random.integers(2**32)))
        total = float(self.learn(tf.constant(order)))
        judged = {f"valid_{name}": float(value) for name, value in self.judge().items()}
        metrics = {"loss": total / len(order), **judged}
        if not all(map(math.isfinite, metrics.values())):
            raise ValueError(f"the loss of epoch {number} is not a number; lower learning_rate")
        lowest = min((one["valid_loss"] for one in self.history), default=math.inf)
        if metrics["valid_loss"] < lowest:
            self.best = self.network.get_weights()
        self.history.append(metrics)
        self.context.report(number, metrics)

    def seed_layers(self, seed: int) -> None:
        """Let dropout and whatever else of the network is random draw from `seed`."""
        states = [one for one in self.network.variables if one.name == "seed_generator_state"]
        for number, state in enumerate(states):
            state.assign([seed, number])

    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow ships no types
    def learn(self, order: Any) -> Any:
        """Go once over all rows in `order` (rows,); return the sum of their losses."""
        values, labels = self.rows
        total = tf.zeros(())
        for start in tf.range(0, len(order), self.recipe.batch):
            batch = order[start : start + self.recipe.batch]
            with tf.GradientTape() as tape:
                outputs = self.network(tf.gather(values, batch), training=True)
                loss = self.task.loss(tf.gather(labels, batch), outputs)
                mean = self.optimiser.scale_loss(loss / tf.cast(len(batch), loss.dtype))
            variables = self.network.trainable_variables
            self.optimiser.apply(tape.gradient(mean, variables), variables)
            total += loss
        return total

    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow ships no types
    def judge(self) -> Any:
        """Return mean loss and mean measures on the validation rows, by name."""
        values, labels = self.held
        outputs = self.network(values, training=False)
        measured = {
            name: tf.reduce_mean(tf.cast(measure(labels, outputs), tf.float32))
            for name, measure in self.task.measures.items()
        }
        return {"loss": self.task.loss(labels, outputs) / len(labels), **measured}

    def result(self) -> Any:
        """Return the network with its best weights, on the CPU and in double precision."""
        with tf.device("CPU:0"):
            made = type(self.network)(**{**self.network.get_config(), "precision": "float64"})
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
        """Continue from the checkpoint, if there is a usable one, and report its epochs."""
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
        for number, metrics in enumerate(self.history):
            self.context.report(number, metrics)


def tensors(x: pd.DataFrame, y: pd.Series) -> tuple[Any, Any]:
    """Return features (rows, columns) and labels (rows,) as the network takes them."""
    kind = "float32" if y.dtype.kind == "f" else "int64"
    return tf.constant(x.to_numpy("float32")), tf.constant(y.to_numpy(kind))
