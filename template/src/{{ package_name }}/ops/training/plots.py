"""The pictures that go with a run."""

import warnings
from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay, PredictionErrorDisplay, confusion_matrix

from ..data import dataset
from .evaluation import highest

mpl.use("Agg")
# Classes and groups have names, not formulas: "$5 to $10". A letter that the font lacks is a box.
mpl.rcParams["text.parse_math"] = False
warnings.filterwarnings("ignore", "Glyph [0-9]+")


def figures(
    labels: pd.Series, scores: np.ndarray, decided: np.ndarray, metrics: Mapping[str, float]
) -> dict[str, Figure]:
    """Return a run's plots by file name.

    `labels` (rows,) are numbers of type float where the task is a regression, else classes;
    `scores` are (rows,) or (rows, classes), and `decided` (rows,) the labels that they stand for.
    """
    made = {
        "importance": bars(metrics, "importance.", "what each feature carries"),
        "slices": bars(metrics, "slice.", "quality by group"),
    }
    if pd.api.types.is_float_dtype(labels):
        return {"predictions": against(labels, decided), **made}
    if scores.ndim > 1:  # of several classes, how often the likeliest one is right
        observed = decided == labels.to_numpy()
    elif pd.api.types.is_numeric_dtype(labels):
        observed = (labels == 1).to_numpy()
    else:  # of two with names, the score is that of the second
        observed = (labels == (dataset.labels() or sorted(set(labels)))[-1]).to_numpy()
    return {
        "confusion": confusion(labels, decided),
        "calibration": calibration(observed, highest(scores)),
        **made,
    }


def confusion(labels: pd.Series, decided: np.ndarray) -> Figure:
    """Count the rows by label and by what was decided for them."""
    names = sorted({*labels, *decided.tolist()})
    counts = confusion_matrix(labels.to_list(), decided.tolist(), labels=names)
    size = 3 + 0.5 * len(names)
    figure, axes = _axes(size, size, title="confusion")
    ConfusionMatrixDisplay(counts, display_labels=names).plot(
        ax=axes, cmap="Blues", colorbar=False, values_format="d"
    )
    axes.set(xlabel="predicted", ylabel="observed")
    return figure


def against(labels: pd.Series, decided: np.ndarray) -> Figure:
    """Plot what was predicted against what was observed."""
    figure, axes = _axes(4, 4, title="predictions")
    PredictionErrorDisplay(y_true=labels, y_pred=decided).plot(ax=axes, kind="actual_vs_predicted")
    return figure


def calibration(observed: np.ndarray, predicted: np.ndarray, bins: int = 8) -> Figure:
    """Plot the observed share against the predicted one, in bins of equal size."""
    table = pd.DataFrame({"predicted": predicted, "observed": observed.astype("float64")})
    table["bin"] = pd.qcut(table["predicted"], bins, labels=False, duplicates="drop")
    means = table.groupby("bin").mean()
    names = {"xlabel": "predicted probability", "ylabel": "observed share"}
    figure, axes = _axes(4, 4, title="calibration", **names)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.plot(means["predicted"], means["observed"], marker="o")
    return figure


def bars(metrics: Mapping[str, float], prefix: str, title: str) -> Figure:
    """Plot the metrics whose names start with `prefix`, largest on top."""
    named = {name.removeprefix(prefix): value for name, value in metrics.items()
             if name.startswith(prefix)}  # fmt: skip
    order = sorted(named, key=lambda name: named[name])
    figure, axes = _axes(6, 1 + 0.3 * len(order), title=title)
    axes.barh(order, [named[name] for name in order])
    return figure


def line(values: Mapping[float, float], xlabel: str, ylabel: str, title: str) -> Figure:
    """Plot `values` over their keys."""
    figure, axes = _axes(6, 4, xlabel=xlabel, ylabel=ylabel, title=title)
    axes.plot(list(values), list(values.values()), marker="o")
    return figure


def _axes(width: float, height: float, **names: str) -> tuple[Figure, Axes]:
    """Return an empty plot of this size, in inches, with its title and labels."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.set(**names)
    return figure, axes
