"""Locks: the version of each package that a project runs with."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import yaml

from groundwork.adopt.wanted import Wanted
from groundwork.audit.readers import locks
from groundwork.audit.readers.conda import name_of

from . import text


def _pins(read: Callable[[str, str], locks.Lock], wanted: Wanted, path: Path) -> None:
    """Read the pins of a lock that audits read, too."""
    for name, versions in read(path.name, text.read(path)).versions.items():
        for version in versions:
            wanted.pin(name, version)


def conda_lock(wanted: Wanted, path: Path) -> None:
    """Read the pins of conda-lock.yml, and of pixi.lock, whose packages are named by addresses."""
    content = yaml.safe_load(text.read(path)) or {}
    for package in [*content.get("package", []), *content.get("packages", [])]:
        name, version = package.get("name"), package.get("version")
        if not name and (file := re.search(r"/([^/]+)-([^-/]+)-[^-/]+$", package.get("conda", ""))):
            name, version = file[1], file[2]
        if name and version:
            wanted.pin(name_of(name), str(version))


LOCKS: dict[str, Callable[[Wanted, Path], None]] = {
    **dict.fromkeys(
        ("poetry.lock", "uv.lock", "pdm.lock", "pylock.toml"), partial(_pins, locks.toml_lock)
    ),
    "Pipfile.lock": partial(_pins, locks.pipfile_lock),
    "conda-lock.yml": conda_lock,
    "pixi.lock": conda_lock,
}
