"""A hash of any value: equal if and only if the values are equal."""

import hashlib
import math
import struct
import types
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..core.files import feed_part


def model_digest(model: Any) -> str:
    """Hash a fitted model's canonical form, in hex: equal if and only if the models are equal."""
    from ..core import flavor

    return value_digest(flavor.canonical(model))


def value_digest(value: Any) -> str:
    """Hash any value, in hex: equal if and only if the values are equal.

    Files that libraries write are not byte-stable (time stamps, padding, the order of sets), so
    the objects are walked instead: every attribute, every array by type, shape and values.
    """
    state = hashlib.sha256()
    _feed(state, value, ())
    return state.hexdigest()


def _feed(state: Any, value: Any, parents: tuple[int, ...]) -> None:
    """Add `value` to `state`: its kind, then its content, each with its length."""
    below = (*parents, id(value))
    match value:
        case _ if id(value) in parents:
            feed_part(state, "cycle", str(len(parents) - parents.index(id(value))).encode())
        case None | bool() | int() | str() | bytes():
            content = value if isinstance(value, bytes) else str(value).encode()
            feed_part(state, type(value).__name__, content)
        case float() if type(value) is float:
            feed_part(state, "float", struct.pack("<d", math.nan if math.isnan(value) else value))
        case np.ndarray() | np.generic():
            _feed_array(state, np.asarray(value), below)
        case pd.DataFrame() | pd.Series() | pd.Index():
            _feed_all(state, type(value).__name__, _columns(value), below)
        case Mapping():
            keys = [key for _, key in sorted((value_digest(key), key) for key in value)]
            _feed_all(state, "mapping", [part for key in keys for part in (key, value[key])], below)
        case list() | tuple():
            _feed_all(state, type(value).__name__, value, below)
        case set() | frozenset():
            _feed_all(state, "set", sorted(value_digest(item) for item in value), below)
        case type() | types.FunctionType() | types.BuiltinFunctionType():
            _feed_code(state, value, below)
        case _:
            # What pickle would store: a class or factory, its arguments and the object's state.
            feed_part(
                state, "object", f"{type(value).__module__}.{type(value).__qualname__}".encode()
            )
            _feed_all(state, "state", _parts(value.__reduce_ex__(4)), below)


def _feed_all(state: Any, kind: str, values: Sequence[Any], parents: tuple[int, ...]) -> None:
    feed_part(state, kind, str(len(values)).encode())
    for value in values:
        _feed(state, value, parents)


def _columns(table: pd.DataFrame | pd.Series | pd.Index) -> list[Any]:
    """Return a table's labels and values, an array each."""
    frame = table if isinstance(table, pd.DataFrame) else table.to_frame()
    values = [frame.iloc[:, number].to_numpy() for number in range(frame.shape[1])]
    return [frame.index.to_numpy(), frame.columns.to_numpy(), *values]


def _feed_code(state: Any, value: Any, parents: tuple[int, ...]) -> None:
    """Add a class or function by its name, and a function without one by what it does."""
    feed_part(state, "name", f"{value.__module__}.{value.__qualname__}".encode())
    if "<" in value.__qualname__:
        code = value.__code__
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        constants = [item for item in code.co_consts if not isinstance(item, types.CodeType)]
        _feed_all(state, "code", [code.co_code, constants, code.co_names, cells], parents)


def _parts(reduced: str | tuple[Any, ...]) -> list[Any]:
    """Return what `reduced` holds of an object: arguments, state, list items and pairs."""
    if isinstance(reduced, str):
        return [reduced]
    _, arguments, contents, items, pairs = (*reduced, None, None, None)[:5]
    return [arguments, contents, list(items or ()), list(pairs or ())]


def _feed_array(state: Any, array: np.ndarray, parents: tuple[int, ...]) -> None:
    feed_part(state, "array", f"{array.dtype.newbyteorder('<').str} {array.shape}".encode())
    if array.dtype.names:  # field by field: the padding between them holds whatever was there
        for name in array.dtype.names:
            feed_part(state, "field", name.encode())
            _feed_array(state, array[name], parents)
    elif array.dtype.hasobject:
        for item in array.ravel().tolist():
            _feed(state, item, parents)
    else:
        if array.dtype.kind in "fc":
            array = np.where(np.isnan(array), np.array(np.nan, array.dtype), array)
        feed_part(
            state, "values", np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        )
