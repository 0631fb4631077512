"""Modules that are here only because an answer asked for them."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any


def load(name: str) -> Any:
    """Return the module `name` of this package, or None where its option was not chosen."""
    return import_module(f"{__package__}.{name}") if has(name) else None


def has(name: str) -> bool:
    """Tell whether the option of the module `name` was chosen."""
    return find_spec(f"{__package__}.{name}") is not None
