"""The template's checkout: what it asks, and how it renders."""

from .checkout import at_version, environment, find_root, frameworks, load
from .rendering import render

__all__ = ["at_version", "environment", "find_root", "frameworks", "load", "render"]
