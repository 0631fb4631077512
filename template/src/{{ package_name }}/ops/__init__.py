"""The standard: what data.py, schema.py, features.py, model.py and the notebook may use of it.

Only the names below are public. Everything else may move in an update.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core.context import Context
    from .core.errors import UserError
    from .data.dataset import training_rows
    from .data.features import Features

__all__ = ["Context", "Features", "UserError", "training_rows"]

_HOME = {
    "Context": "core.context",
    "Features": "data.features",
    "UserError": "core.errors",
    "training_rows": "data.dataset",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that a short command does not wait for pandas."""
    if name not in _HOME:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
