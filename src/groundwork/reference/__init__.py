"""The pages of docs/reference that are written from the template's own files."""

from .pages import PAGES, render, write

__all__ = ["PAGES", "render", "write"]
