"""Presets: answers to questions, kept as files that say what they are for."""

import re
from pathlib import Path
from typing import Any

import yaml

from groundwork.errors import UserError


def presets(root: Path) -> list[Path]:
    """Return the presets: files of answers, sorted by name."""
    return sorted((root / "catalog/presets").glob("*.yml"))


def preset(path: Path) -> tuple[str, str, dict[str, Any]]:
    """Return a preset's title, what it says about itself, and its answers.

    Raises:
        UserError: the file does not begin with a comment that says so.
    """
    text = path.read_text("utf-8")
    said = re.match(r"# ([^:\n]+): ([^\n]+)\n", text)
    if not said:
        raise UserError(f"{path} must begin with a line such as: # Title: what it is for")
    return said[1], said[2], yaml.safe_load(text) or {}
