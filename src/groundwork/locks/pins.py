"""The versions that a lock holds, and what moved between two locks."""

import tomllib
from collections.abc import Iterator
from pathlib import Path


def pins(lock: Path) -> dict[str, tuple[str, ...]]:
    """Return the versions that a poetry.lock holds of each package; none for a missing file."""
    return pinned(lock.read_text("utf-8")) if lock.exists() else {}


def pinned(lock: str) -> dict[str, tuple[str, ...]]:
    """Return the versions that the text of a poetry.lock holds of each package."""
    found: dict[str, tuple[str, ...]] = {}
    for package in tomllib.loads(lock).get("package", []):
        found[package["name"]] = (*found.get(package["name"], ()), package["version"])
    return found


def moves(before: dict[str, tuple[str, ...]], after: dict[str, tuple[str, ...]]) -> Iterator[str]:
    """Yield one line for each package whose versions differ between two locks."""
    for name in sorted(before | after):
        old, new = before.get(name), after.get(name)
        if old is None:
            yield f"{name} added at {', '.join(new or ())}"
        elif new is None:
            yield f"{name} {', '.join(old)} removed"
        elif sorted(old) != sorted(new):
            yield f"{name} {', '.join(old)} → {', '.join(new)}"
