"""The package under test by one name, as the project's own tests have it."""

from types import ModuleType
from typing import Any

from .. import project
from ..project import data, features, model, package, schema

__all__ = ["data", "features", "model", "package", "schema"]


def __getattr__(name: str) -> ModuleType | Any:
    """Import a module of ops when a test asks for it."""
    return getattr(project, name)
