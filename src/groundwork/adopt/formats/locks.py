"""Locks: the version of each package that a project runs with."""

import tomllib
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from groundwork.adopt.wanted import Wanted
from groundwork.audit.readers import locks

from . import text


def _pins(read: Callable[[str, str], locks.Lock], wanted: Wanted, path: Path) -> None:
    """Read the pins of a lock that audits read, too."""
    for name, versions in read(path.name, text.read(path)).versions.items():
        for version in versions:
            wanted.pin(name, version)


def _toml(wanted: Wanted, path: Path) -> None:
    """Read the pins of a TOML lock, and which packages are not from the index of most.

    Only the lock may say so, where indices are settings of the machine.
    """
    _pins(locks.toml_lock, wanted, path)
    content = tomllib.loads(text.read(path))
    # Poetry and PDM do not name the default index; PEP 751 names each.
    found = [
        (one["name"], index)
        for table, default in (("package", ""), ("packages", None))
        for one in content.get(table, [])
        if (index := _index(one, default)) is not None
    ]
    # A mirror has every package; another index beside it may have those that are nobody else's.
    counted = Counter(index for _, index in found)
    first, *others = counted.most_common() or [("", 0)]
    alone = not others or others[0][1] < first[1]
    usual = "" if "" in counted else first[0] if alone else None
    for name, index in found:
        if index != usual:
            said = f"{path.name}: it is not from the index that most are from"
            wanted.elsewhere[canonicalize_name(name)] = said


def _index(package: dict[str, Any], default: str | None) -> str | None:
    """Return the index that a package of a lock is from, or None where it is from none."""
    source = package.get("source", {})
    if source.get("type") == "legacy":  # as Poetry calls an index
        return str(source["url"])
    if source:
        return str(source["registry"]) if "registry" in source else None
    index: str | None = package.get("index", default)
    return index


LOCKS: dict[str, Callable[[Wanted, Path], None]] = {
    **dict.fromkeys(("poetry.lock", "uv.lock", "pdm.lock", "pylock.toml"), _toml),
    "Pipfile.lock": partial(_pins, locks.pipfile_lock),
    "conda-lock.yml": partial(_pins, locks.conda_lock),
    "pixi.lock": partial(_pins, locks.pixi_lock),
}
