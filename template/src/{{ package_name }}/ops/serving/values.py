"""What a single value of a row must be, beyond its type: functions that read it or raise."""

import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pydantic_core import PydanticCustomError

NOT_FINITE = "must be a finite number"
# Allowed values that a refusal lists.
SHOWN = 12
TIME = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII
)


def scalar(value: Any) -> Any:
    """Return a value of no particular type, unless it holds others, or is no finite number."""
    if value is None or isinstance(value, dict | list):
        raise PydanticCustomError("scalar", "must be a single value")
    if isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("finite_number", NOT_FINITE)
    return value


def one_of(allowed: Sequence[Any]) -> Callable[[Any], Any]:
    """Return a function that refuses other values than `allowed`."""
    known = frozenset(allowed)
    more = ", …" if len(allowed) > SHOWN else ""
    said = ", ".join(json.dumps(one, ensure_ascii=False) for one in allowed[:SHOWN]) + more

    def test(value: Any) -> Any:
        if value not in known:
            raise PydanticCustomError("enum", "must be one of {allowed}", {"allowed": said})
        return value

    return test


def matching(pattern: str) -> Callable[[str], str]:
    """Return a function that refuses text that does not begin with a match of `pattern`.

    By Python's own engine, as pandas does it; pydantic's knows fewer patterns.
    """
    compiled = re.compile(pattern)

    def test(value: str) -> str:
        if not compiled.match(value):
            raise PydanticCustomError("pattern", "must match {pattern}", {"pattern": pattern})
        return value

    return test


def whole(dtype: Any) -> Callable[[Any], Any]:
    """Return a function that reads 3.0 as 3, and refuses what the dtype has no number for."""
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)

    def read(value: Any) -> Any:
        if isinstance(value, float) and math.isfinite(value):
            if value % 1:
                raise PydanticCustomError("whole", "must be a whole number")
            value = int(value)
        if isinstance(value, int | float) and not low <= value <= high:
            raise PydanticCustomError("finite_number", NOT_FINITE)
        return value

    return read


def narrow(dtype: Any) -> Callable[[float], float]:
    """Return a function that refuses what a dtype narrower than float64 has no number for."""

    def test(value: float) -> float:
        with np.errstate(over="ignore"):
            if not np.isfinite(dtype.type(value)):
                raise PydanticCustomError("finite_number", NOT_FINITE)
        return value

    return test


def time(dtype: Any) -> Callable[[str], pd.Timestamp]:
    """Return a function that reads a point in time, with a time zone where the dtype has one."""
    unit: Any = getattr(dtype, "unit", None) or np.datetime_data(dtype)[0]
    zone = getattr(dtype, "tz", None)

    def read(value: str) -> pd.Timestamp:
        try:
            at = pd.Timestamp(value).as_unit(unit) if TIME.fullmatch(value) else None
        except ValueError:
            at = None
        if at is None:
            raise PydanticCustomError("time", "must be a time as in 2024-02-29T12:30:00")
        if (at.tzinfo is None) != (zone is None):
            must = "must not have a time zone" if zone is None else "must have a time zone"
            raise PydanticCustomError("time", must)
        return at

    return read
