"""The standard: what data.py, schema.py, features.py, model.py and the notebook may use of it.

Only the names below are public. Everything else may move in an update. `loop` is the training loop
of a framework that trains in steps. TensorFlow's `keras` and `tf` come from here, because settings
of the environment have to precede their import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core.context import Context
    from .core.errors import UserError
    from .core.flavor import keras, tf  # type: ignore[attr-defined, unused-ignore]
    from .data.dataset import training_rows
    from .data.features import Features
    from .training import loop  # type: ignore[attr-defined, unused-ignore]

__all__ = ["Context", "Features", "UserError", "keras", "loop", "tf", "training_rows"]

_HOME = {
    "Context": "core.context",
    "Features": "data.features",
    "UserError": "core.errors",
    "keras": "core.flavor",
    "loop": "training.loop",
    "tf": "core.flavor",
    "training_rows": "data.dataset",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that a short command does not wait for pandas."""
    if name not in _HOME:
        raise AttributeError(name)
    home = import_module(f"{__name__}.{_HOME[name]}")
    return home if name == "loop" else getattr(home, name)
