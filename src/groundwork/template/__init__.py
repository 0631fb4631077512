"""The template's checkout: what it asks, and how it renders."""

from .checkout import environment, find_root, frameworks, load
from .rendering import render

__all__ = ["environment", "find_root", "frameworks", "load", "render"]
