"""A quick yes for rows that keep every rule, so that a single request need not wait for pandera.

pandera takes most of the time of a small request. The rules that are simple, of columns that are
plain numbers, are kept here by comparing; pandera's own checks judge the rest one by one. What is
not accepted here is not refused: pandera judges it in full, and says what is wrong.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

Test = Callable[[Any], bool]


def _in_range(min_value: Any, max_value: Any, include_min: bool, include_max: bool) -> Test:  # noqa: FBT001 - pandera's names
    low = operator.le if include_min else operator.lt
    high = operator.le if include_max else operator.lt
    return lambda value: bool(low(min_value, value) and high(value, max_value))


# pandera's built-in checks by name, made from what each calls its statistics.
SIMPLE: Mapping[str, Callable[..., Test]] = {
    "in_range": _in_range,
    "isin": lambda allowed_values: frozenset(allowed_values).__contains__,
    "greater_than": lambda min_value: lambda value: bool(value > min_value),
    "greater_than_or_equal_to": lambda min_value: lambda value: bool(value >= min_value),
    "less_than": lambda max_value: lambda value: bool(value < max_value),
    "less_than_or_equal_to": lambda max_value: lambda value: bool(value <= max_value),
}


def _is_number(value: Any) -> bool:
    return value is not None and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return _is_number(value) and value % 1 == 0


PLAIN: Mapping[str, Test] = {"int64": _is_whole, "float64": _is_number}


class Acceptance:
    """The rules of one schema; made once."""

    def __init__(self, schema: pa.DataFrameSchema) -> None:
        """Sort the rules into those that are quickly kept and those that are pandera's."""
        self.schema = schema
        self.tests: dict[str, list[Test]] = {}
        for name, column in schema.columns.items():
            typed = PLAIN.get(str(column.dtype))
            tests = [test for check in column.checks if (test := _simple(check))]
            if typed and len(tests) == len(column.checks):
                self.tests[name] = [typed, *tests]
        # What looks at several rows at once, or changes them otherwise, is left to pandera.
        columns = schema.columns.values()
        self.usable = all(schema.coerce or column.coerce for column in columns) and not (
            any(column.unique or column.parsers or column.regex for column in columns)
            or any(column.default is not None or kind_of(column) in "mM" for column in columns)
            or schema.unique
            or schema.parsers
            or schema.index
            or schema.ordered
            or schema.dtype
            or schema.add_missing_columns
        )

    def accept(
        self, rows: Sequence[Mapping[str, Any]], names: Sequence[str]
    ) -> pd.DataFrame | None:
        """Return rows, parsed and with the columns `names`, typed; None where that is not sure."""
        if not self.usable:
            return None
        try:
            columns = {name: self._column(name, [row[name] for row in rows]) for name in names}
            frame = pd.DataFrame(columns)
            if all(_passes(check, frame) for check in self.schema.checks):
                return frame
        except Exception:  # noqa: BLE001 - whatever it is, pandera tells it better
            return None
        return None

    def _column(self, name: str, values: list[Any]) -> "np.ndarray | pd.Series":
        """Return a column's values, typed. Raises ValueError where one breaks a rule."""
        column = self.schema.columns[name]
        if name in self.tests:
            if not all(test(value) for test in self.tests[name] for value in values):
                raise ValueError(name)
            return np.array(values, dtype=str(column.dtype))
        # As objects: no value is first made something else for the sake of its neighbours.
        series: pd.Series = column.dtype.coerce(pd.Series(values, name=name, dtype=object))
        if series.isna().any() or not all(_passes(check, series) for check in column.checks):
            raise ValueError(name)
        return series


def _passes(check: pa.Check, values: "pd.Series | pd.DataFrame") -> bool:
    """Ask a check of pandera's; one that says nothing of each row may depend on the others."""
    result = check(values)
    return isinstance(result.check_output, pd.Series) and bool(result.check_passed)


def kind_of(column: pa.Column) -> str:
    """Return NumPy's letter for a column's kind: i, u, f or b; O for text and all else."""
    return str(getattr(getattr(column.dtype, "type", None), "kind", "O"))


def _simple(check: pa.Check) -> Test | None:
    """Return a built-in check as a test of one value; None for any other."""
    make = SIMPLE.get(check.name or "")
    if check.raise_warning or make is None:
        return None
    try:
        return make(**(check.statistics or {}))
    except TypeError:  # a check of the project's own with such a name
        return None
