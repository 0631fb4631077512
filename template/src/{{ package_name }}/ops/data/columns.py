"""The types of a table's columns: pandera's schema decides them, for cells and for requests."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from . import values


def dtype_of(column: pa.Column) -> Any:
    """Return the dtype of NumPy or pandas that a column gets; None where the schema names none."""
    return getattr(column.dtype, "type", None)


def kind_of(column: pa.Column) -> str:
    """Return NumPy's letter for a column's kind: i, u, f, b or M; O for text and all else."""
    return str(getattr(dtype_of(column), "kind", "O"))


def number_of(column: pa.Column) -> Any:
    """Return NumPy's dtype of a column, also where pandas' own dtype wraps it."""
    dtype = dtype_of(column)
    return getattr(dtype, "numpy_dtype", dtype)


def is_nullable(column: pa.Column) -> bool:
    """Tell whether a row may hold null; NumPy's whole numbers and booleans cannot."""
    dtype = dtype_of(column)
    return bool(column.nullable) and not (isinstance(dtype, np.dtype) and dtype.kind in "iub")


def categories(column: pa.Column) -> dict[str, Any]:
    """Return the categories that a column may have, by their text; empty for other columns."""
    found = getattr(dtype_of(column), "categories", None)
    return {} if found is None else {str(value): value for value in found.tolist()}


def series(column: pa.Column, found: Sequence[Any]) -> Any:
    """Return values, None where missing, as the column's dtype; raise ValueError where it cannot.

    Points in time may be text, as JSON has them.
    """
    dtype = dtype_of(column)
    if isinstance(dtype, np.dtype) and dtype.kind in "iuf":
        return np.array(found, dtype=dtype)
    if kind_of(column) == "M":
        read = values.time(dtype)
        found = [read(value) if isinstance(value, str) else value for value in found]
    # As objects: no value is first made something else for the sake of its neighbours.
    plain = pd.Series(found, dtype=object)
    return plain if dtype is None else column.dtype.coerce(plain)


def frame(
    columns: Mapping[str, pa.Column], names: Iterable[str], rows: Sequence[Mapping[str, Any]]
) -> pd.DataFrame:
    """Return the columns `names` of rows of JSON's values, as the schema types them."""
    return pd.DataFrame(
        {name: series(columns[name], [row.get(name) for row in rows]) for name in names}
    )


def allowed(column: pa.Column) -> list[Any]:
    """Return the values that `isin` allows a column; empty where it allows any."""
    lists = [check.statistics["allowed_values"] for check in column.checks if check.name == "isin"]
    return list(values.plain(list(lists[0]))) if lists else []


def words(check: pa.Check) -> str:
    """Say a check as its owner does, or as pandera does but for lists of values."""
    said = str(check.error or check.name)
    if check.name in {"isin", "notin"} and said.startswith(f"{check.name}("):
        must = "must be" if check.name == "isin" else "must not be"
        (given,) = (check.statistics or {}).values()
        return f"{must} one of {values.listed(list(given))}"
    return said


def read(cells: pd.Series, column: pa.Column) -> tuple[pd.Series, dict[int, str]]:
    """Return cells of a file as the column's dtype, and by their rows what is wrong with some.

    Cells are text, or NaN where empty. Text stays text, and so does what pandera has a type of its
    own for. Missing values that the dtype cannot hold are left to the schema to refuse.
    """
    reader = _reader(column)
    if reader is None:
        return cells, {}
    found: list[Any] = []
    wrong = {}
    for row, cell in enumerate(cells):
        value = None
        if isinstance(cell, str):
            try:
                value = reader(cell)
            except ValueError as error:
                wrong[row] = str(error)
        found.append(value)
    fits = is_nullable(column) or kind_of(column) not in "iub" or None not in found
    made = series(column, found) if fits else pd.Series(found, dtype=object)
    return pd.Series(made, index=cells.index), wrong


def _reader(column: pa.Column) -> Callable[[str], Any] | None:
    """Return what reads one cell of a column; None where the text is the value."""
    match kind_of(column):
        case "i" | "u":
            whole = values.whole(number_of(column))
            return lambda cell: whole(values.number(cell, exact=True))
        case "f":
            narrow = values.narrow(number_of(column))
            return values.number if narrow is None else lambda cell: narrow(values.number(cell))
        case "b":
            return values.boolean
        case "M":
            return values.time(dtype_of(column))
    return values.one_of(known) if (known := categories(column)) else None
