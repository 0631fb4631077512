"""The model. Yours: how it is fitted, what it is compared with, and how it is judged.

Whatever is random here takes its seed from the context, so that a run can be done again.
"""

import copy
import hashlib
import io
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch import distributed, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from .ops import Context
from .ops.core.files import write_file
from .ops.provenance.digest import value_digest
from .schema import SIDE

# What `tune` tries: every combination, by cross-validation on the training rows.
SEARCH: dict[str, list[Any]] = {"learning_rate": [0.003, 0.01, 0.03], "dropout": [0.25, 0.5]}
DIGITS = 10
# The block that the convolutions look at; any other column goes to the dense layers.
PICTURE = "image."
PRECISIONS = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
# A checkpoint starts with a hash of the rest: PyTorch itself reads damaged weights as they are.
CHECKPOINT, HASH = "checkpoint.pt", 32

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


class Network(nn.Module):
    """Two convolutions over the picture, and dense layers that see all other columns too.

    `arguments` are what it was made with. ops/flavor.py stores them with the weights, and makes a
    class of this file again from both.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, columns: list[str], channels: int, hidden: int, dropout: float) -> None:
        """Take `columns`, the picture's first and in its order."""
        super().__init__()
        self.arguments = {
            "columns": columns,
            "channels": channels,
            "hidden": hidden,
            "dropout": dropout,
        }
        self.columns = columns
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

    `params` is the `model:` part of params.yaml. Training ends after `epochs`, or `patience` of
    them after the one with the lowest loss on the validation rows, whose weights are kept. A fit
    that was interrupted goes on from its checkpoint in context.folder, to the very same weights.
    Raises ValueError for parameters that it cannot use.
    """
    recipe = Recipe(**params)
    if recipe.precision not in PRECISIONS:
        raise ValueError(f"precision is one of {', '.join(PRECISIONS)}, not {recipe.precision}")
    if recipe.precision == "float16" and context.device != "cuda":
        raise ValueError("precision float16 needs a GPU; the CPU has float32 and bfloat16")
    training = Training(x, y, recipe, context)
    training.resume()
    while not training.done:
        training.epoch()
        training.save()
    return training.result()


class Training:
    """A fit, epoch by epoch. What is random in one follows from seed and epoch alone.

    Where context.workers are several, each is one process of torch.distributed: they share every
    batch, DistributedDataParallel averages their gradients, and the first one keeps the state.
    """

    def __init__(self, x: pd.DataFrame, y: pd.Series, recipe: Recipe, context: Context) -> None:
        """Set aside the validation rows, and make a network and its optimiser."""
        self.recipe, self.context = recipe, context
        self.history: list[dict[str, float]] = []
        self.best: dict[str, torch.Tensor] = {}
        # What a checkpoint has to be of. Empty where none is kept.
        self.identity = ""
        if context.folder:
            whole = [x, y, asdict(recipe), context.seed, context.device, context.workers]
            self.identity = value_digest(whole)

        columns = sorted(map(str, x), key=lambda name: not name.startswith(PICTURE))
        order = np.random.default_rng(context.seed).permutation(len(x))
        aside = int(recipe.validation * len(x))
        values, labels = x[columns].to_numpy()[order], y.to_numpy()[order]
        self.rows = tensors(values[aside:], labels[aside:], context.device)
        # Without rows of its own, validation is on those that were learnt.
        self.held = tensors(values[:aside], labels[:aside], context.device) if aside else self.rows

        torch.manual_seed(context.seed)
        self.network = Network(columns, recipe.channels, recipe.hidden, recipe.dropout)
        others = values[aside:, SIDE**2 :]
        spread = others.std(axis=0)
        self.network.mean.copy_(torch.from_numpy(others.mean(axis=0)))
        self.network.scale.copy_(torch.from_numpy(np.where(spread > 0, spread, 1.0)))
        self.network.to(context.device)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        # Only float16 has so few small numbers that gradients have to be scaled up.
        self.scaler = GradScaler(context.device, enabled=recipe.precision == "float16")
        self.shared: nn.Module = self.network
        if context.workers > 1:
            self.shared = DistributedDataParallel(self.network)

    @property
    def done(self) -> bool:
        """Whether all epochs are over, or no recent one was better."""
        losses = [epoch["valid_loss"] for epoch in self.history]
        waited = len(losses) - 1 - int(np.argmin(losses)) if losses else 0
        return len(losses) >= self.recipe.epochs or waited >= self.recipe.patience

    def epoch(self) -> None:
        """Learn from every row once, judge, and report. Raises ValueError where it diverged."""
        context, recipe = self.context, self.recipe
        values, labels = self.rows
        random = np.random.default_rng((context.seed, len(self.history)))
        order = torch.from_numpy(random.permutation(len(labels))).to(context.device)
        torch.manual_seed(int(random.integers(2**32)) + context.rank)  # what dropout draws from
        total = torch.zeros((), device=context.device)
        self.shared.train()
        for start in range(0, len(order), recipe.batch):
            batch = order[start : start + recipe.batch]
            mine = batch[context.rank :: context.workers]
            # The average of the workers' gradients is that of the whole batch, however it splits.
            share = context.workers / len(batch)
            with torch.autocast(
                context.device, PRECISIONS[recipe.precision], enabled=recipe.precision != "float32"
            ):
                logits = self.shared(values[mine])
            loss = functional.cross_entropy(logits.float(), labels[mine], reduction="sum")
            self.scaler.scale(loss * share).backward()  # type: ignore[no-untyped-call]
            self.scaler.step(self.optimiser)
            self.scaler.update()
            self.optimiser.zero_grad()
            total += loss.detach()
        found = self.judge(total)
        if not all(map(math.isfinite, found.values())):
            raise ValueError(
                f"the loss of epoch {len(self.history)} is not a number; lower learning_rate"
            )
        if found["valid_loss"] < min((one["valid_loss"] for one in self.history), default=math.inf):
            state = self.network.state_dict()
            self.best = {name: value.clone() for name, value in state.items()}
        self.history.append(found)
        self.report(len(self.history) - 1)

    @torch.no_grad()
    def judge(self, total: torch.Tensor) -> dict[str, float]:
        """Return the metrics of an epoch whose losses, on this worker, added up to `total`."""
        values, labels = self.held
        self.network.eval()
        logits = self.network(values)
        accuracy = (logits.argmax(dim=1) == labels).float().mean()
        found = torch.stack([total, functional.cross_entropy(logits, labels), accuracy])
        if self.context.workers > 1:  # all have to see the same, or one would end before the others
            distributed.all_reduce(found[:1])
            distributed.broadcast(found[1:], src=0)
        loss, valid_loss, valid_accuracy = found.tolist()
        loss /= len(self.rows[1])
        return {"loss": loss, "valid_loss": valid_loss, "valid_accuracy": valid_accuracy}

    def report(self, number: int) -> None:
        """Tell of epoch `number`, once however many workers there are."""
        if self.context.rank == 0:
            self.context.report(number, self.history[number])

    def result(self) -> Network:
        """Return the network with its best weights, on the CPU and ready to answer."""
        self.network.load_state_dict(self.best)
        return self.network.cpu().eval()

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        if self.context.folder is None or self.context.rank > 0:
            return
        content = io.BytesIO()
        state = {
            "identity": self.identity,
            "history": self.history,
            "network": self.network.state_dict(),
            "best": self.best,
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        torch.save(state, content)
        whole = content.getvalue()
        write_file(self.context.folder / CHECKPOINT, hashlib.sha256(whole).digest() + whole)

    def resume(self) -> None:
        """Go on from the checkpoint, if there is a usable one, and report what lies behind."""
        states = [self.stored() if self.context.rank == 0 else None]
        if self.context.workers > 1:
            distributed.broadcast_object_list(states, src=0)
        if (state := states[0]) is None:
            return
        self.history = state["history"]
        self.best = state["best"]
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        for number in range(len(self.history)):
            self.report(number)

    def stored(self) -> dict[str, Any] | None:
        """Read the checkpoint; None where there is none, it is damaged or another fit's."""
        if self.context.folder is None:
            return None
        path = self.context.folder / CHECKPOINT
        if not path.exists():
            return None
        content = path.read_bytes()
        if hashlib.sha256(content[HASH:]).digest() != content[:HASH]:
            log.warning("%s is damaged: training starts over", path)
            return None
        stored = io.BytesIO(content[HASH:])
        state: dict[str, Any] = torch.load(stored, self.context.device, weights_only=True)
        if state["identity"] != self.identity:
            log.warning("%s is of another training: this one starts from the beginning", path)
            return None
        return state


def tensors(
    values: np.ndarray, labels: np.ndarray, device: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features (rows, columns) and labels (rows,) as the network takes them."""
    return (
        torch.tensor(values, dtype=torch.float32, device=device),
        torch.tensor(labels, dtype=torch.int64, device=device),
    )


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
    values = torch.tensor(np.ascontiguousarray(x[model.columns], dtype="float64"))
    exact = copy.deepcopy(model).double()  # the service asks from several threads at once
    with torch.no_grad():
        scores: np.ndarray = torch.softmax(exact(values), dim=1).float().numpy()
    return scores


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
