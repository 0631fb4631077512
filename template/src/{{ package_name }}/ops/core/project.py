"""The project's own modules. The one place of the standard that imports them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .settings import PACKAGE

if TYPE_CHECKING:
    from ... import data, features, model, schema

__all__ = ["data", "features", "model", "schema"]


def __getattr__(name: str) -> Any:
    """Import one of them on first use: a learning library takes seconds."""
    if name not in __all__:
        raise AttributeError(name)
    return import_module(f"{PACKAGE}.{name}")
