"""What a single value of a row must be: functions that return it as its type, or raise ValueError.

The same functions read the cells of a file and the values of a request.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

NOT_FINITE, NOT_WHOLE = "must be a finite number", "must be a whole number"
NOT_EMPTY = "must not be empty text; a missing value is null"
# Allowed values that a refusal lists.
SHOWN = 12
BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
TIME = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII
)


def scalar(value: Any) -> Any:
    """Return a value of no particular type, unless it holds others, or is no finite number."""
    if value is None or isinstance(value, dict | list):
        raise ValueError("must be a single value")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(NOT_FINITE)
    return filled(value)


def filled(value: Any) -> Any:
    """Return a value that is no empty text: in a file that would be a missing value."""
    if value == "":
        raise ValueError(NOT_EMPTY)
    return value


def plain(value: Any) -> Any:
    """Return a value, or each of a collection, as Python's own and not NumPy's."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return [plain(one) for one in value] if isinstance(value, list | tuple | set) else value


def listed(allowed: Sequence[Any]) -> str:
    """List values as JSON has them; of many, the first."""
    shown = plain(list(allowed[:SHOWN]))
    said = ", ".join(json.dumps(one, ensure_ascii=False, default=str) for one in shown)
    return said + (", …" if len(allowed) > SHOWN else "")


def one_of(allowed: Mapping[Any, Any]) -> Callable[[Any], Any]:
    """Return a function that looks a value up in `allowed`, and refuses others."""
    words = f"must be one of {listed(list(allowed.values()))}"

    def read(value: Any) -> Any:
        if value not in allowed:
            raise ValueError(words)
        return allowed[value]

    return read


def matching(pattern: str) -> Callable[[str], str]:
    """Return a function that refuses text that does not begin with a match of `pattern`.

    By Python's own engine, as pandas does it; pydantic's knows fewer patterns.
    """
    compiled = re.compile(pattern)

    def test(value: str) -> str:
        if not compiled.match(value):
            raise ValueError(f"must match {pattern}")
        return value

    return test


def number(cell: str, *, exact: bool = False) -> float:
    """Read a finite number from text; an `exact` one is whole and keeps all its digits."""
    try:
        # Python allows underscores between digits; nobody else does.
        value = float(cell.replace("_", "no"))
    except ValueError:
        raise ValueError("must be a number") from None
    if not math.isfinite(value):
        raise ValueError(NOT_FINITE)
    if not exact:
        return value
    digits = Decimal(cell.strip())
    if digits != digits.to_integral_value():
        raise ValueError(NOT_WHOLE)
    return int(digits)


def boolean(cell: str) -> bool:
    """Read true or false from text."""
    found = BOOLEANS.get(cell.lower())
    if found is None:
        raise ValueError("must be true or false")
    return found


def whole(dtype: Any) -> Callable[[Any], Any]:
    """Return a function that reads 3.0 as 3, and refuses what the dtype has no number for."""
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)

    def read(value: Any) -> Any:
        if isinstance(value, float) and math.isfinite(value):
            if value % 1:
                raise ValueError(NOT_WHOLE)
            value = int(value)
        if isinstance(value, float):
            raise ValueError(NOT_FINITE)  # noqa: TRY004 - the type is right
        if isinstance(value, int) and not low <= value <= high:
            raise ValueError(f"must be a number from {low} to {high}")
        return value

    return read


def narrow(dtype: Any) -> Callable[[float], float] | None:
    """Return a function that refuses what a dtype narrower than float64 has no number for."""
    if dtype == np.float64:
        return None

    def test(value: float) -> float:
        with np.errstate(over="ignore"):
            if not np.isfinite(dtype.type(value)):
                raise ValueError(NOT_FINITE)
        return value

    return test


def time(dtype: Any) -> Callable[[str], pd.Timestamp]:
    """Return a function that reads a point in time, with a time zone where the dtype has one."""
    unit: Any = getattr(dtype, "unit", None) or np.datetime_data(dtype)[0]
    zone = getattr(dtype, "tz", None)

    def read(value: str) -> pd.Timestamp:
        try:
            at = pd.Timestamp(value).as_unit(unit) if TIME.fullmatch(value) else None
        except pd.errors.OutOfBoundsDatetime:
            raise ValueError("must be a time that the column's type can hold") from None
        except ValueError:
            at = None
        if at is None:
            raise ValueError(f"must be a time as in 2024-02-29T12:30:00{'Z' if zone else ''}")
        if (at.tzinfo is None) != (zone is None):
            must = "must not have a time zone" if zone is None else "must have a time zone"
            raise ValueError(must)
        return at

    return read
