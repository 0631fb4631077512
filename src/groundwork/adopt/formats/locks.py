"""Locks: the version of each package that a project runs with."""

import json
import re
import tomllib
from pathlib import Path

import yaml

from groundwork.adopt.wanted import Wanted

from . import text
from .conda import NAMES

LOCKS = ("poetry.lock", "uv.lock", "pdm.lock", "pylock.toml")


def toml_lock(wanted: Wanted, path: Path) -> None:
    """Read the pins of a lock of Poetry, uv, PDM or PEP 751."""
    content = tomllib.loads(text.read(path))
    for package in [*content.get("package", []), *content.get("packages", [])]:
        source = package.get("source", {})
        if "version" not in package or {"virtual", "editable"} & source.keys():
            continue
        wanted.pin(package["name"], package["version"])


def pipfile_lock(wanted: Wanted, path: Path) -> None:
    """Read the pins of Pipenv's lock."""
    content = json.loads(text.read(path))
    for table in ("default", "develop"):
        for name, about in content.get(table, {}).items():
            if "version" in about:
                wanted.pin(name, about["version"])


def conda_lock(wanted: Wanted, path: Path) -> None:
    """Read the pins of conda-lock.yml, and of pixi.lock, whose packages are named by addresses."""
    content = yaml.safe_load(text.read(path)) or {}
    for package in [*content.get("package", []), *content.get("packages", [])]:
        name, version = package.get("name"), package.get("version")
        if not name and (file := re.search(r"/([^/]+)-([^-/]+)-[^-/]+$", package.get("conda", ""))):
            name, version = file[1], file[2]
        if name and version:
            wanted.pin(NAMES.get(name, name), str(version))
