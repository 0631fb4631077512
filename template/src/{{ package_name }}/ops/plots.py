"""The pictures that go with a run."""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

mpl.use("Agg")


def figures(
    labels: pd.Series, scores: np.ndarray, metrics: Mapping[str, float]
) -> dict[str, Figure]:
    """Return a run's plots by file name, for labels (rows,) of 0 and 1 and scores (rows,)."""
    return {
        "confusion": confusion(labels, scores),
        "calibration": calibration(labels, scores),
        "importance": bars(metrics, "importance.", "what each feature carries"),
        "slices": bars(metrics, "slice.", "quality by group"),
    }


def confusion(labels: pd.Series, scores: np.ndarray) -> Figure:
    """Count the rows by label and by the side of 0.5 that their score is on."""
    counts = pd.crosstab(labels.to_numpy(), scores >= 0.5).reindex(  # noqa: PLR2004
        index=[0, 1], columns=[False, True], fill_value=0
    )
    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(counts, cmap="Blues")
    for (row, column), count in np.ndenumerate(counts.to_numpy()):
        dark = count > counts.to_numpy().max() / 2
        axes.text(column, row, str(count), ha="center", color="white" if dark else "black")
    axes.set(xticks=[0, 1], yticks=[0, 1], xlabel="predicted", ylabel="observed", title="confusion")
    return figure


def calibration(labels: pd.Series, scores: np.ndarray, bins: int = 8) -> Figure:
    """Plot the observed share against the predicted one, in bins of equal size."""
    table = pd.DataFrame({"predicted": scores, "observed": labels.to_numpy()})
    table["bin"] = pd.qcut(table["predicted"], bins, labels=False, duplicates="drop")
    means = table.groupby("bin").mean()
    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.plot(means["predicted"], means["observed"], marker="o")
    axes.set(xlabel="predicted probability", ylabel="observed share", title="calibration")
    return figure


def bars(metrics: Mapping[str, float], prefix: str, title: str) -> Figure:
    """Plot the metrics whose names start with `prefix`, largest on top."""
    named = {name.removeprefix(prefix): value for name, value in metrics.items()
             if name.startswith(prefix)}  # fmt: skip
    order = sorted(named, key=lambda name: named[name])
    figure = Figure(figsize=(6, 1 + 0.3 * len(order)), layout="constrained")
    axes = figure.subplots()
    axes.barh(order, [named[name] for name in order])
    axes.set(title=title)
    return figure


def line(values: Mapping[float, float], xlabel: str, ylabel: str, title: str) -> Figure:
    """Plot `values` over their keys."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(list(values), list(values.values()), marker="o")
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    return figure
