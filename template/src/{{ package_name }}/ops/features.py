"""How feature functions become a matrix: the same code for training, evaluation and serving."""

import time
from collections.abc import Callable

import pandas as pd

from .errors import UserError

Feature = Callable[[pd.DataFrame], pd.Series]


class Features:
    """The project's features, in the order in which they were added."""

    def __init__(self) -> None:
        """Start with none; `add` decorates each feature's function."""
        self.functions: dict[str, Feature] = {}

    @property
    def names(self) -> list[str]:
        """The matrix's columns."""
        return list(self.functions)

    def add(self, function: Feature) -> Feature:
        """Register `function`; its name becomes the column's. A name taken twice is an error."""
        name = function.__name__
        if name in self.functions:
            raise UserError(f"two features are named {name}; rename one in features.py")
        self.functions[name] = function
        return function

    def build(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the matrix (rows, features), float64, with the rows' own index.

        Raises UserError for a feature that is not one number a row.
        """
        return pd.DataFrame(
            {name: self.column(name, rows) for name in self.functions}, index=rows.index
        )

    def column(self, name: str, rows: pd.DataFrame) -> pd.Series:
        """Return one feature, float64, checked to stand row for row beside `rows`."""
        values: object = self.functions[name](rows)
        if not isinstance(values, pd.Series) or not values.index.equals(rows.index):
            raise UserError(f"feature {name} must return a Series with one value for every row")
        try:
            return values.astype("float64")
        except (TypeError, ValueError) as error:
            raise UserError(f"feature {name} must be numbers: {error}") from None

    def cost(self, rows: pd.DataFrame, repeats: int = 5) -> dict[str, float]:
        """Return milliseconds a feature takes per 1,000 rows: the best of `repeats` timings."""
        sample = rows.sample(1000, replace=True, random_state=0).reset_index(drop=True)
        costs = {}
        for name in self.functions:
            timings = []
            for _ in range(repeats):
                start = time.perf_counter()
                self.column(name, sample)
                timings.append(time.perf_counter() - start)
            costs[name] = min(timings) * 1000
        return costs
