"""Has the data moved away from what the model was trained on?

`describe` keeps a column's distribution without keeping a row; `Counts` tests other rows
against it. A column has drifted when it moved by much and not by chance:

- by much: the population stability index, sum((q - p) * ln(q / p)) over the bins, is above
  `drift.psi`. Above 0.2 is the customary reading of "moved".
- not by chance: a chi-square test of homogeneity on the same bins, with thin bins pooled (Cochran,
  "Some methods for strengthening the common chi-squared tests", Biometrics 10, 1954), stays
  below `drift.p_value` after Holm's correction for testing many columns (Holm, "A simple
  sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979).

Neither is enough alone: on few rows the index is large by chance (Yurdakul and Naranjo,
"Statistical properties of the population stability index", Journal of Risk Model Validation,
2020), and on many rows the test finds differences that do not matter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..core.errors import UserError
from ..core.settings import Drift

BINS = 10
# A column with no more distinct values than this is compared value by value.
FEW = 10
# The fewest rows that a bin is expected to hold in either sample; smaller ones are pooled.
THIN = 5.0
MISSING, OTHER = "missing", "other"


@dataclass(frozen=True)
class Column:
    """How one column moved. `p_value` is corrected; `shares` are (reference, now) for each bin."""

    name: str
    psi: float
    p_value: float
    outside: float
    drifted: bool
    bins: list[str]
    shares: list[tuple[float, float]]


@dataclass(frozen=True)
class Report:
    """Every compared column, the one that moved most first."""

    rows: int
    reference_rows: int
    columns: list[Column]

    @property
    def worst(self) -> Column:
        """The column that moved most."""
        return self.columns[0]

    @property
    def drifted(self) -> list[str]:
        """The columns that moved by much and not by chance."""
        return [column.name for column in self.columns if column.drifted]

    def __str__(self) -> str:
        """Lay it out as a table."""
        lines = [f"{'column':<28}{'psi':>8}{'p':>11}{'outside':>9}  verdict"]
        for c in self.columns:
            verdict = "DRIFTED" if c.drifted else "ok"
            lines.append(f"{c.name:<28}{c.psi:>8.3f}{c.p_value:>11.2g}{c.outside:>9.1%}  {verdict}")
        return "\n".join(lines)


def describe(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the distribution of each column of `frame`: what `Counts` needs, and no row of it.

    Numbers are counted between their deciles; columns of few values (and text) by value.
    """
    return {str(name): _describe(frame[name]) for name in frame.columns}


class Counts:
    """Counts rows, part after part, to test them: no part has to stay in memory."""

    def __init__(self, reference: Mapping[str, Any]) -> None:
        """Compare with a `reference` that `describe` made."""
        self.reference, self.rows = reference, 0
        self.now = {name: np.zeros_like(_counts(about)) for name, about in reference.items()}
        self.outside = dict.fromkeys(reference, 0)

    def add(self, frame: pd.DataFrame) -> None:
        """Count some rows. Raises UserError if a column is missing."""
        if frame.empty:
            return
        if absent := [name for name in self.reference if name not in frame]:
            raise UserError(f"drift: column {', '.join(absent)} is missing")
        self.rows += len(frame)
        for name, about in self.reference.items():
            self.now[name] += count(about, frame[name])
            self.outside[name] += _outside(about, frame[name])

    def report(self, limits: Drift) -> Report:
        """Test every column. Raises UserError where there is nothing to compare."""
        if not self.rows or not self.reference:
            raise UserError("drift: there is nothing to compare")
        counts = {name: (_counts(about), self.now[name]) for name, about in self.reference.items()}
        tests = [_test(before, now) for before, now in counts.values()]
        columns = []
        for (name, (before, now)), p_value in zip(counts.items(), _holm(tests), strict=True):
            moved = psi(before, now)
            shares = zip(before / before.sum(), now / now.sum(), strict=True)
            columns.append(
                Column(
                    name=name,
                    psi=moved,
                    p_value=p_value,
                    outside=self.outside[name] / self.rows,
                    drifted=moved > limits.psi and p_value < limits.p_value,
                    bins=_labels(self.reference[name]),
                    shares=[(float(p), float(q)) for p, q in shares],
                )
            )
        columns.sort(key=lambda column: (not column.drifted, -column.psi))
        return Report(self.rows, int(next(iter(counts.values()))[0].sum()), columns)


def psi(before: np.ndarray, now: np.ndarray) -> float:
    """Return the population stability index of two counts over the same bins.

    Half a row is added to each bin, so that an empty one does not make it infinite.
    """
    p = (before + 0.5) / (before + 0.5).sum()
    q = (now + 0.5) / (now + 0.5).sum()
    return float(((q - p) * np.log(q / p)).sum())


def gauge(about: Mapping[str, Any], values: pd.Series) -> float:
    """Return the index of `values` against one column of a reference, for a live gauge."""
    return psi(_counts(about), count(about, values))


def count(about: Mapping[str, Any], values: pd.Series) -> np.ndarray:
    """Count `values` into the bins of one column of a reference, the missing ones last."""
    if about["kind"] == "values":
        found = values.dropna().map(_text).value_counts()
        known = [int(found.get(value, 0)) for value in about["values"]]
        inside = [*known, int(found.sum()) - sum(known)]
    else:
        numbers = pd.to_numeric(values, errors="coerce").dropna().to_numpy(dtype="float64")
        places = np.searchsorted(about["edges"], numbers, side="left")
        inside = np.bincount(places, minlength=len(about["edges"]) + 1).tolist()
    return np.array([*inside, len(values) - sum(inside)], dtype="float64")


def _describe(values: pd.Series) -> dict[str, Any]:
    present = values.dropna()
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    about: dict[str, Any] = {"missing": int(values.isna().sum())}
    if numeric and len(present):
        about |= {"min": float(present.min()), "max": float(present.max())}
    if numeric and present.nunique() > FEW:
        deciles = np.quantile(present.to_numpy(dtype="float64"), np.arange(1, BINS) / BINS)
        about |= {"kind": "deciles", "edges": sorted({float(edge) for edge in deciles})}
    else:
        # Of text with many values, only the frequent ones are kept by name.
        frequent = present.map(_text).value_counts().head(2 * FEW).index
        about |= {"kind": "values", "values": sorted(frequent)}
    about["counts"] = count(about, values)[:-1].astype(int).tolist()
    return about


def _counts(about: Mapping[str, Any]) -> np.ndarray:
    return np.array([*about["counts"], about["missing"]], dtype="float64")


def _text(value: object) -> str:
    """Name a value alike whether it came as 1, 1.0 or True."""
    if not isinstance(value, int | float | np.number):
        return str(value)
    number = float(value)
    return str(int(number)) if number.is_integer() else str(number)


def _labels(about: Mapping[str, Any]) -> list[str]:
    if about["kind"] == "values":
        return [*about["values"], OTHER, MISSING]
    edges = [f"{edge:.4g}" for edge in about["edges"]]
    return [f"≤ {edges[0]}", *(f"≤ {edge}" for edge in edges[1:]), f"> {edges[-1]}", MISSING]


def _outside(about: Mapping[str, Any], values: pd.Series) -> int:
    """Count those of `values` that training never saw the like of."""
    if about["kind"] == "values":
        return int(count(about, values)[-2])
    numbers = pd.to_numeric(values, errors="coerce")
    return int(((numbers < about["min"]) | (numbers > about["max"])).sum())


def _test(before: np.ndarray, now: np.ndarray) -> float:
    """Return the p-value of both counts coming from one distribution, 1 where none can tell."""
    from scipy.special import chdtrc

    table = np.vstack([before, now])[:, (before + now) > 0]
    smaller = min(before.sum(), now.sum()) / table.sum()
    thin = table.sum(axis=0) * smaller < THIN
    if thin.any():
        pooled = table[:, thin].sum(axis=1, keepdims=True)
        table = np.hstack([table[:, ~thin], pooled])
    if table.shape[1] < 2:  # noqa: PLR2004
        return 1.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    return float(chdtrc(table.shape[1] - 1, ((table - expected) ** 2 / expected).sum()))


def _holm(p_values: list[float]) -> list[float]:
    """Correct for testing many columns at once."""
    corrected, highest = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = highest
    return corrected
