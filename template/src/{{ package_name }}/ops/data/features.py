"""How feature functions become a matrix: the same code for training, evaluation and serving."""

import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from ..core.errors import UserError
from ..core.project import schema

# Between a block's name and those of its columns.
DOT = "."
# The feature of chance that is put beside the others to judge them.
NOISE = "noise"
Feature = Callable[[pd.DataFrame], pd.Series | pd.DataFrame]


class Features:
    """The project's features, in the order in which they were added."""

    def __init__(self) -> None:
        """Start with none; `add` decorates each feature's function."""
        self.functions: dict[str, Feature] = {}

    @property
    def names(self) -> list[str]:
        """The features; one that is a block has many columns."""
        return list(self.functions)

    def add(self, function: Feature) -> Feature:
        """Register `function`; its name becomes the column's. A name taken twice is an error.

        A function that returns a table gives a block: its columns are called `name.column`.
        """
        name = function.__name__
        if name in self.functions:
            raise UserError(f"two features are named {name}; rename one in features.py")
        if name == NOISE:
            raise UserError(f"no feature may be named {NOISE}: that is what they are compared with")
        self.functions[name] = function
        return function

    def build(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the matrix (rows, columns), float64, with the rows' own index.

        Raises UserError for a feature that is not numbers, one or one block a row, and for one that
        asks for what no feature may see; see `visible`.
        """
        rows = visible(rows)
        names: list[str] = []
        values: list[np.ndarray] = []
        for name in self.functions:
            found = self.columns(name, rows)
            if isinstance(found, pd.Series):
                names.append(name)
                values.append(found.to_numpy()[np.newaxis])
            else:
                names += map(str, found)
                values.append(found.to_numpy().T)
        # One array: a table for each feature takes most of the time of a small request.
        matrix = np.concatenate(values) if values else np.empty((0, len(rows)))
        return pd.DataFrame(matrix.T, index=rows.index, columns=names, copy=False)

    def columns(self, name: str, rows: pd.DataFrame) -> pd.Series | pd.DataFrame:
        """Return one feature's columns, float64, checked to stand row for row beside `rows`."""
        try:
            values: object = self.functions[name](rows)
        except KeyError as error:
            if error.args[:1] in [(column,) for column in unseen()]:
                raise UserError(
                    f"feature {name} asks for column {error.args[0]}; no feature may see the "
                    "identifier, the label or a column of schema.PERSONAL"
                ) from None
            raise
        if isinstance(values, pd.DataFrame):
            values = values.rename(columns=lambda column: f"{name}{DOT}{column}")
        if not isinstance(values, pd.Series | pd.DataFrame) or not values.index.equals(rows.index):
            raise UserError(
                f"feature {name} must return a Series or a DataFrame with one row for every row"
            )
        if isinstance(values, pd.Series) and values.dtype == np.float64:
            return values
        try:
            return values.astype("float64")
        except (TypeError, ValueError):  # which repeat a value
            raise UserError(f"feature {name} must be numbers, not text or other objects") from None

    def cost(self, rows: pd.DataFrame, repeats: int = 5) -> dict[str, float]:
        """Return milliseconds a feature takes per 1,000 rows: the best of `repeats` timings."""
        sample = visible(rows).sample(1000, replace=True, random_state=0).reset_index(drop=True)
        costs = {}
        for name in self.functions:
            timings = []
            for _ in range(repeats):
                start = time.perf_counter()
                self.columns(name, sample)
                timings.append(time.perf_counter() - start)
            costs[name] = min(timings) * 1000
        return costs


def unseen() -> set[str]:
    """Return the columns that stand beside the inputs: identifier, label and personal ones."""
    return {schema.IDENTIFIER, schema.TARGET, *schema.PERSONAL}


def visible(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what features may see of `rows`: what a service has, and nothing that is personal."""
    own = unseen().intersection(rows.columns)
    return rows.drop(columns=list(own)) if own else rows


def by_feature(x: pd.DataFrame) -> dict[str, list[str]]:
    """Return the columns of a matrix under the feature that each belongs to."""
    found: dict[str, list[str]] = {}
    for column in map(str, x.columns):
        found.setdefault(column.split(DOT, maxsplit=1)[0], []).append(column)
    return found
