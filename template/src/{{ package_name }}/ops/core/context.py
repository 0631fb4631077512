"""What a fit may need beyond its data and its parameters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from . import optional
from .settings import Params, Settings


def silent(_step: int, _metrics: Mapping[str, float]) -> None:
    """Report to nobody."""


@dataclass(frozen=True)
class Context:
    """Where and how a fit runs.

    `device` is cpu or cuda. `rank` is this process's place among the `workers` that share the fit.
    `folder` is where a fit that can be resumed keeps its state, None where it keeps none. `report`
    receives the number of each step, from 0, and the step's metrics.
    """

    seed: int
    threads: int = 1
    device: str = "cpu"
    rank: int = 0
    workers: int = 1
    folder: Path | None = None
    report: Callable[[int, Mapping[str, float]], None] = silent

    @classmethod
    def of(cls, params: Params, settings: Settings) -> "Context":
        """Return the context that a project's parameters and settings ask for.

        Where only the search can be spread over workers, a fit has one.
        """
        alone = optional.has("training.cluster") and not optional.has("training.distributed")
        workers = 1 if alone else settings.workers
        return cls(params.seed, params.threads, settings.device, workers=workers)

    def beside(self) -> "Context":
        """Return the context of a fit beside the main one: in this process, and unseen."""
        return replace(self, workers=1, folder=None, report=silent)
