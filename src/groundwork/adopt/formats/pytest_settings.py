"""pytest's settings, in the files that may hold them."""

import configparser
import tomllib
from pathlib import Path
from typing import Any

from . import text

# pytest's settings are in the first of these that has any.
SETTINGS = {
    "pytest.ini": "pytest",
    ".pytest.ini": "pytest",
    "pyproject.toml": "",
    "tox.ini": "pytest",
    "setup.cfg": "tool:pytest",
}


def configured(root: Path) -> dict[str, Any]:
    """Return a project's settings of pytest, wherever it has them."""
    for name, section in SETTINGS.items():
        path = root / name
        try:
            if not path.is_file():
                continue
            if not section:
                tool = tomllib.loads(text.read(path)).get("tool", {}).get("pytest", {})
                said = tool.get("ini_options", {})
            else:
                config = configparser.ConfigParser(interpolation=None, delimiters=("=", ":"))
                config.read_string(text.read(path))
                said = dict(config[section]) if config.has_section(section) else {}
        except (OSError, ValueError, configparser.Error):
            continue
        if said:
            return {
                key: value
                for key, value in said.items()
                if isinstance(value, str | list | bool | int)
            }
    return {}
