"""The training loop: epochs that can be killed and resumed, and still give the same weights."""

import hashlib
import io
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar, cast

import numpy as np
import pandas as pd
import torch
from torch import distributed, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.parallel import DistributedDataParallel

from ..core.context import Context
from ..core.files import write_file
from ..provenance.digest import value_digest

Network = TypeVar("Network", bound=nn.Module)
Measure = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

PRECISIONS = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
# A checkpoint starts with a hash of the rest: PyTorch itself reads damaged weights without notice.
CHECKPOINT, HASH = "checkpoint.pt", 32

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What the loop takes of params.yaml. A model's own recipe inherits it and adds its part.

    Training ends after `epochs`, or `patience` epochs after the one with the lowest loss on the
    share `validation` of the rows, whose weights are kept. `precision` is what the network computes
    in while it learns.
    """

    batch: int
    epochs: int
    patience: int
    validation: float
    precision: str


@dataclass(frozen=True, kw_only=True)
class Task(Generic[Network]):
    """What is learned.

    `network` returns an untrained network for the rows it will learn from, (rows, columns); its
    attribute `columns` names the features that it takes, in order. `optimiser` returns one for the
    network's parameters. `loss` is a function of outputs and labels that takes `reduction`, as
    those of torch.nn.functional do. `measures` are reported for the validation rows.
    """

    network: Callable[[pd.DataFrame], Network]
    optimiser: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    loss: Callable[..., torch.Tensor]
    measures: Mapping[str, Measure]


def fit(
    x: pd.DataFrame, y: pd.Series, task: Task[Network], recipe: Recipe, context: Context
) -> Network:
    """Fit the network of `task` to features `x` (rows, columns) and labels `y` (rows,).

    A fit that was killed resumes from its checkpoint in context.folder, to the very same weights.
    Raises ValueError for a recipe that cannot be used.
    """
    if recipe.precision not in PRECISIONS:
        raise ValueError(f"precision is one of {', '.join(PRECISIONS)}, not {recipe.precision}")
    if recipe.precision == "float16" and context.device != "cuda":
        raise ValueError("precision float16 needs a GPU; the CPU has float32 and bfloat16")
    training = Training(x, y, task, recipe, context)
    training.resume()
    while not training.done:
        training.epoch()
        training.save()
    return training.result()


class Training(Generic[Network]):
    """A fit, epoch by epoch. Everything random in an epoch follows from the seed and its number.

    Where context.workers are several, each is one process of torch.distributed: they share every
    batch, DistributedDataParallel averages their gradients, and the first one keeps the state.
    """

    def __init__(
        self, x: pd.DataFrame, y: pd.Series, task: Task[Network], recipe: Recipe, context: Context
    ) -> None:
        """Set the validation rows apart, and make the network and its optimiser."""
        self.task, self.recipe, self.context = task, recipe, context
        self.history: list[dict[str, float]] = []
        self.best: dict[str, torch.Tensor] = {}
        # Which fit a checkpoint belongs to. Empty where none is kept.
        self.identity = ""
        if context.folder:
            whole = [x, y, asdict(recipe), context.seed, context.device, context.workers]
            self.identity = value_digest(whole)

        order = np.random.default_rng(context.seed).permutation(len(x))
        held, learned = np.split(order, [int(recipe.validation * len(x))])
        torch.manual_seed(context.seed)
        self.network = task.network(x.iloc[learned])
        columns = cast("list[str]", self.network.columns)
        self.rows = tensors(x[columns].iloc[learned], y.iloc[learned], context.device)
        # Without rows of its own, validation is on those that were learned.
        self.held = self.rows
        if len(held):
            self.held = tensors(x[columns].iloc[held], y.iloc[held], context.device)
        self.network.to(context.device)
        self.optimiser = task.optimiser(self.network.parameters())
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
                outputs = self.shared(values[mine])
            loss = self.task.loss(outputs.float(), labels[mine], reduction="sum")
            self.scaler.scale(loss * share).backward()  # type: ignore[no-untyped-call]
            self.scaler.step(self.optimiser)
            self.scaler.update()
            self.optimiser.zero_grad()
            total += loss.detach()
        metrics = self.judge(total)
        if not all(map(math.isfinite, metrics.values())):
            raise ValueError(
                f"the loss of epoch {len(self.history)} is not a number; lower learning_rate"
            )
        lowest = min((one["valid_loss"] for one in self.history), default=math.inf)
        if metrics["valid_loss"] < lowest:
            state = self.network.state_dict()
            self.best = {name: value.clone() for name, value in state.items()}
        self.history.append(metrics)
        self.report(len(self.history) - 1)

    @torch.no_grad()
    def judge(self, total: torch.Tensor) -> dict[str, float]:
        """Return the metrics of an epoch whose losses, on this worker, added up to `total`."""
        values, labels = self.held
        self.network.eval()
        outputs = self.network(values)
        measured = [measure(outputs, labels) for measure in self.task.measures.values()]
        found = torch.stack([total, self.task.loss(outputs, labels), *measured])
        if self.context.workers > 1:  # all have to see the same, or one would end before the others
            distributed.all_reduce(found[:1])
            distributed.broadcast(found[1:], src=0)
        loss, *valid = found.tolist()
        names = [f"valid_{name}" for name in ("loss", *self.task.measures)]
        return {"loss": loss / len(self.rows[1]), **dict(zip(names, valid, strict=True))}

    def report(self, number: int) -> None:
        """Report epoch `number`, once however many workers there are."""
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
        """Continue from the checkpoint, if there is a usable one, and report its epochs."""
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


def tensors(x: pd.DataFrame, y: pd.Series, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features (rows, columns) and labels (rows,) as the network takes them."""
    kind = torch.float32 if y.dtype.kind == "f" else torch.int64
    return (
        torch.tensor(np.ascontiguousarray(x), dtype=torch.float32, device=device),
        torch.tensor(y.to_numpy(), dtype=kind, device=device),
    )
