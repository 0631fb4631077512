"""How the hyperparameters were found, and what old training data costs."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from ..core import optional
from ..core.context import Context
from ..core.files import write_json
from ..core.project import model
from ..core.seeding import deterministic
from ..core.settings import NAME, Params, Settings
from ..data import dataset
from ..data.record import TRAIN, DataManifest
from . import evaluation, plots


def tune(settings: Settings, say: Callable[[str], None] = lambda _: None) -> list[str]:
    """Judge every combination of model.SEARCH on the training rows and record it in tuning.json.

    Cross-validation over five folds; the holdout is never looked at. Returns the report's lines.
    """
    params = settings.params
    context = Context.of(params, settings).beside()
    spread = optional.load("training.cluster") if settings.workers > 1 else None
    split = dataset.read(settings)
    combinations = [
        dict(zip(model.SEARCH, values, strict=True))
        for values in itertools.product(*model.SEARCH.values())
    ]
    x, y = evaluation.matrix(split.train)
    judge = partial(_judge, x, y, dataset.together(split.train), params, context)

    def report(number: int, result: dict[str, Any]) -> None:
        say(f"  {number + 1}/{len(combinations)}  {result['mean']:.4f}  {result['params']}")

    if spread is None:
        tried = []
        for number, chosen in enumerate(combinations):
            tried.append(judge(chosen))
            report(number, tried[-1])
    else:
        tried = spread.search(
            judge, combinations, replace(context, workers=settings.workers), report
        )
    tried.sort(key=lambda result: -result["mean"])
    record = {
        "metric": params.gate.metric,
        "seed": params.seed,
        "folds": evaluation.FOLDS,
        "data": split.manifest.files[TRAIN],
        "tried": tried,
    }
    write_json(settings.root / "tuning.json", record)
    best = tried[0]["params"]
    same = best.items() <= params.model.items()
    now = "as in params.yaml" if same else "not what params.yaml has"
    return [f"best: {best}, {now}", "recorded in tuning.json; commit it with params.yaml"]


def stale(settings: Settings, data: DataManifest) -> str:
    """Say why tuning.json is no search on the rows of `data`; empty where it is, or there is none.

    What the search found is not compared: to choose another value is the owner's decision.
    """
    path = settings.root / "tuning.json"
    try:
        searched = json.loads(path.read_text(encoding="utf-8"))["data"]
    except FileNotFoundError:
        return ""
    except (ValueError, TypeError, KeyError):
        return f"{path} is damaged; `{NAME} tune` writes it"
    on_these = searched == data.files[TRAIN]
    return "" if on_these else f"tuning.json has a search on other rows; `{NAME} tune` repeats it"


def backtest(settings: Settings) -> list[str]:
    """Judge the newest rows by models from ever older windows of the same size.

    The rows' order stands for time. Writes var/reports/staleness.json and .png; returns the
    report's lines.
    """
    params = settings.params
    context = Context.of(params, settings).beside()
    rows = dataset.read(settings).train
    size, newest = int(0.4 * len(rows)), rows.iloc[int(0.8 * len(rows)) :]
    found: dict[float, float] = {}
    with deterministic(context):
        for age in (0.0, 0.1, 0.2, 0.3, 0.4):
            end = int((0.8 - age) * len(rows))
            x, y = evaluation.matrix(rows.iloc[end - size : end])
            fitted = evaluation.fit(x, y, params.model, context)
            found[age] = evaluation.quality(fitted, *evaluation.matrix(newest), params)
    reports = settings.var_dir / "reports"
    write_json(reports / "staleness.json", found)
    figure = plots.line(found, "age of the training data, share of all rows", params.gate.metric,
                        "what stale training data costs")  # fmt: skip
    figure.savefig(reports / "staleness.png", dpi=100)
    lines = [f"  {age:>4.0%} old  {params.gate.metric} {value:.4f}" for age, value in found.items()]
    lost = found[0.0] - min(found.values())
    return [*lines, f"staleness costs up to {lost:.4f}; {reports / 'staleness.png'} shows it",
            f"`{NAME} monitor` warns from {params.monitoring.max_age_days:g} days on"]  # fmt: skip


def _judge(
    x: pd.DataFrame,
    y: pd.Series,
    groups: np.ndarray,
    params: Params,
    context: Context,
    chosen: dict[str, Any],
) -> dict[str, Any]:
    """Judge one combination. It comes out the same in whatever process, after whatever others."""
    generator = np.random.default_rng(params.seed)
    found = []
    with deterministic(context):
        for inside, outside in evaluation.folds(groups, generator):
            fitted = evaluation.fit(x[inside], y[inside], {**params.model, **chosen}, context)
            found.append(evaluation.quality(fitted, x[outside], y[outside], params))
    return {"params": chosen, "mean": float(np.mean(found)), "std": float(np.std(found))}
