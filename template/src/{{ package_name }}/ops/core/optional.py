"""Modules that are here only because an answer asked for them."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

OPS = __package__.rpartition(".")[0]


def load(name: str) -> Any:
    """Return the module `name`, such as training.cluster; None where its option was not chosen."""
    return import_module(f"{OPS}.{name}") if has(name) else None


def has(name: str) -> bool:
    """Tell whether the option of the module `name` was chosen."""
    return find_spec(f"{OPS}.{name}") is not None
