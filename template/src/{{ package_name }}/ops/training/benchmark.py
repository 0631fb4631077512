"""Has training or prediction become slower? Measured as ratios, so machines can be compared."""

import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from ..core.context import Context
from ..core.errors import UserError
from ..core.files import load_json, write_json
from ..core.project import features
from ..core.seeding import deterministic
from ..core.settings import NAME, Settings
from ..data import dataset
from . import evaluation

FILE = "benchmark.json"


def measure(settings: Settings, repeats: int = 5) -> dict[str, float]:
    """Time training and predicting 1,000 rows as multiples of a fixed piece of work.

    Each is the median of `repeats` turns.
    """
    params = settings.params
    context = Context.of(params, settings).beside()
    rows = dataset.read(settings).train
    batch = rows.sample(1000, replace=True, random_state=0).reset_index(drop=True)
    with deterministic(context):
        x, y = evaluation.matrix(rows)
        fitted = evaluation.fit(x, y, params.model, context)
        work: dict[str, Callable[[], object]] = {
            "train": lambda: evaluation.fit(x, y, params.model, context),
            "predict": lambda: evaluation.predict(fitted, features.features.build(batch)),
        }
        _yardstick()
        return {
            name: statistics.median(_multiple(job) for _ in range(repeats))
            for name, job in work.items()
        }


def _multiple(job: Callable[[], object]) -> float:
    """Time `job`, and the yardstick for as long right after it: a busy machine slows both."""
    took, spent, turns = _seconds(job), 0.0, 0
    while spent < took:
        spent += _seconds(_yardstick)
        turns += 1
    return took / (spent / turns)


def _seconds(job: Callable[[], object]) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def compare(settings: Settings, *, record: bool = False) -> list[str]:
    """Measure and compare with benchmark.json, or write it; return the report's lines.

    Raises UserError where something takes `budgets.slowdown` times the recorded share or more.
    """
    path = settings.root / FILE
    now = measure(settings)
    if record:
        write_json(path, now)
        return [f"recorded in {FILE}; commit it"]
    before = load_json(path, dict[str, float], f"run `{NAME} bench --record`")
    slower = {name: ratio / before.get(name, ratio) for name, ratio in now.items()}
    limit = settings.params.budgets.slowdown
    if late := [f"{name} {times:.1f} times" for name, times in slower.items() if times > limit]:
        raise UserError(
            f"slower than recorded: {', '.join(late)}, allowed {limit:g} times; "
            f"find out why, or run `{NAME} bench --record`"
        )
    return [f"  {name:<8} {times:.2f} times the recorded share" for name, times in slower.items()]


def _yardstick() -> float:
    """Work of the same kinds as a small model's: table handling, arrays, plain Python."""
    generator = np.random.default_rng(0)
    table = pd.DataFrame(generator.standard_normal((2000, 12))).assign(key=np.arange(2000) % 7)
    means = table.groupby("key").mean()
    return float(np.sort(table.to_numpy() @ np.ones(13)).sum() + sum(means[0]) + sum(range(20000)))
