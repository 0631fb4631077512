"""The commands that a project installs, wherever it states them."""

import configparser
import tomllib
from pathlib import Path
from typing import Any

from . import text
from .setuptools import setup_file


def commands(root: Path) -> dict[str, str]:
    """Return where the code of each command is, as in `churn.cli:main`, by the command's name."""
    found: dict[str, str] = {}
    for name, read in (
        ("setup.py", _setup_py),
        ("setup.cfg", _setup_cfg),
        ("pyproject.toml", _toml),
    ):
        path = root / name
        try:
            found |= read(path) if path.is_file() else {}
        except (OSError, SyntaxError, ValueError, configparser.Error):
            continue  # that it cannot be read is reported with its dependencies
    return {name: target for name, target in found.items() if name and ":" in target}


def _toml(path: Path) -> dict[str, str]:
    content = tomllib.loads(text.read(path))
    poetry = content.get("tool", {}).get("poetry", {}).get("scripts", {})
    stated: dict[str, Any] = poetry | content.get("project", {}).get("scripts", {})
    return {name: target for name, target in stated.items() if isinstance(target, str)}


def _setup_cfg(path: Path) -> dict[str, str]:
    config = configparser.ConfigParser(interpolation=None)
    config.read_string(text.read(path))
    return _lines(config.get("options.entry_points", "console_scripts", fallback=""))


def _setup_py(path: Path) -> dict[str, str]:
    stated = setup_file(path).get("entry_points") or {}
    if isinstance(stated, str):
        config = configparser.ConfigParser(interpolation=None, delimiters=("=",))
        config.optionxform = str  # type: ignore[assignment, method-assign] # as it is written
        config.read_string(stated)
        stated = {name: config.items(name) for name in config.sections()}
    listed = stated.get("console_scripts") or []
    if isinstance(listed, str):
        return _lines(listed)
    return _lines("\n".join(one if isinstance(one, str) else "=".join(one) for one in listed))


def _lines(stated: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in stated.splitlines())
    return {name.strip(): target.partition("[")[0].strip() for name, _, target in pairs}
