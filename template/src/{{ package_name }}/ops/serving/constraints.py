"""pandera's own checks in pydantic's words, where these say the same of a single value."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pydantic import AfterValidator, Field

from ..data import values
from ..data.columns import dtype_of, kind_of, number_of

# Numbers that a comparison in float64, as pandas makes it, cannot take for another.
EXACT = 2**53
TYPES: Mapping[str, tuple[type, ...]] = {"i": (int,), "u": (int,), "f": (int, float), "b": (bool,)}
# Of two limits of a kind, the one that counts.
STRICTER = {"ge": max, "gt": max, "min_length": max, "le": min, "lt": min, "max_length": min}
# What pydantic calls the checks of pandera that have one limit.
LIMITS = {
    "greater_than": "gt",
    "greater_than_or_equal_to": "ge",
    "less_than": "lt",
    "less_than_or_equal_to": "le",
}
# The limit in whole numbers that says the same.
NEAREST = {"ge": math.ceil, "gt": math.floor, "le": math.floor, "lt": math.ceil}


def constraints(column: pa.Column) -> tuple[list[Any], list[pa.Check]]:
    """Return what of a column's checks its annotation can hold, and the checks that it cannot."""
    limits: dict[str, Any] = {}
    parts: list[Any] = []
    left = []
    for check in column.checks:
        made = _constraint(column, check)
        if made is None:
            left.append(check)
        elif isinstance(made, list):
            parts += made
        else:
            for key, limit in made.items():
                limits[key] = STRICTER[key](limits.get(key, limit), limit)
    return [Field(**limits), *parts], left


def one_of(allowed: list[Any]) -> list[Any]:
    """Return annotations that allow some values only, and list them."""
    known = values.one_of({one: one for one in allowed})
    return [AfterValidator(known), Field(json_schema_extra={"enum": allowed})]


def _constraint(column: pa.Column, check: pa.Check) -> dict[str, Any] | list[Any] | None:
    """Return a check as limits or as annotations; None where neither says quite the same."""
    # A check of the project's own may have such a name, and one with words of its own keeps them.
    built_in = str(check.error).startswith(f"{check.name}(")
    if not built_in or check.raise_warning or not check.ignore_na or check.groupby:
        return None
    given, kind = check.statistics or {}, kind_of(column)
    given = {name: values.plain(value) for name, value in given.items()}
    if isinstance(dtype_of(column), pd.StringDtype):
        return _of_text(str(check.name), given)
    # Narrower floats are compared after they are rounded.
    if kind not in TYPES or (kind == "f" and number_of(column) != np.float64):
        return None
    if check.name == "isin":
        allowed = list(given["allowed_values"])
        return one_of(allowed) if all(type(one) in TYPES[kind] for one in allowed) else None
    limits = _limits(str(check.name), given)
    if kind == "b" or not all(_is_exact(limit) for limit in limits.values()):
        return None
    if kind != "f":
        limits = {name: NEAREST[name](limit) for name, limit in limits.items()}
    return limits or None


def _of_text(name: str, given: Mapping[str, Any]) -> dict[str, Any] | list[Any] | None:
    if name == "isin" and all(type(one) is str for one in given["allowed_values"]):
        return one_of(list(given["allowed_values"]))
    if name == "str_length" and given["exact_value"] is None:
        limits = {"min_length": given["min_value"], "max_length": given["max_value"]}
        return {key: limit for key, limit in limits.items() if limit is not None}
    if name == "str_matches" and isinstance(given["pattern"], str):
        pattern = given["pattern"]
        shown = Field(json_schema_extra={"pattern": pattern})
        return [AfterValidator(values.matching(pattern)), shown]
    return None


def _limits(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a check of a range as pydantic's limits; empty for any other."""
    if name == "in_range":
        low = "ge" if given["include_min"] else "gt"
        high = "le" if given["include_max"] else "lt"
        return {low: given["min_value"], high: given["max_value"]}
    if name not in LIMITS:
        return {}
    (limit,) = given.values()
    return {LIMITS[name]: limit}


def _is_exact(limit: object) -> bool:
    return type(limit) in {int, float} and abs(limit) < EXACT  # type: ignore[arg-type]
