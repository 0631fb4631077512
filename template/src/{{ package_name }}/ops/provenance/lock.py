"""Whether pyproject.toml, poetry.lock, the exported requirements and this machine agree.

Poetry resolves and writes the lock; `scripts/lock.sh` exports it. What is installed anywhere comes
from the exports, so an export that differs from the lock would go unseen without these checks.
Poetry alone judges whether they agree. What it made or accepted is recorded as one hash; while that
hash holds, nobody has to ask it again.
"""

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ..core.errors import UserError
from ..core.files import sha256_files
from . import exports

MEND = "run scripts/lock.sh"
# What a model needs to answer, and what training it needs beside that.
RUNTIME = ("main", "train")


@dataclass(frozen=True)
class Pin:
    """One requirement of an export: the version, where it applies, and what may be installed."""

    name: str
    version: str
    marker: Marker | None
    hashes: frozenset[str]

    def applies(self) -> bool:
        """Whether it is wanted on this machine."""
        return self.marker is None or self.marker.evaluate()


def requirements(path: Path) -> list[Pin]:
    """Read an export. Raises UserError where it is missing or a line is not `name==version`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; {MEND}") from None
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        wanted, *hashes = (part.strip() for part in line.split("--hash="))
        try:
            requirement = Requirement(wanted)
        except InvalidRequirement:
            raise UserError(f"{path} holds {wanted!r}, not a requirement; {MEND}") from None
        version = str(requirement.specifier).removeprefix("==")
        if not version or str(requirement.specifier) != f"=={version}":
            raise UserError(f"{path} does not pin {requirement.name} to a version; {MEND}")
        name = canonicalize_name(requirement.name)
        found.append(Pin(name, version, requirement.marker, frozenset(hashes)))
    return found


def groups(root: Path) -> tuple[str, ...]:
    """Return what an environment for training holds: `main`, `train`, and the optional groups.

    Raises:
        UserError: pyproject.toml cannot be read, or names them otherwise than as a list of texts.
    """
    chosen = _toml(root / "pyproject.toml").get("tool", {}).get("groundwork", {}).get("groups", [])
    if not isinstance(chosen, list) or not all(isinstance(group, str) for group in chosen):
        raise UserError('pyproject.toml: groups in [tool.groundwork] must be a list, as in ["ray"]')
    return (*RUNTIME, *chosen)


def problems(root: Path) -> list[str]:
    """Return what changed since Poetry locked it, one line a problem; empty where nothing did.

    Raises:
        UserError: a file is missing or pyproject.toml is not TOML.
    """
    declared = _toml(root / "pyproject.toml").get("dependency-groups", {})
    absent = [
        f"requirements/{group}.txt is missing; {MEND}"
        for group in sorted({"main", *declared})
        if not (root / "requirements" / f"{group}.txt").is_file()
    ]
    try:
        recorded = exports.is_recorded(root)
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}; {MEND}") from None
    if absent or recorded:
        return absent
    changed = "pyproject.toml, poetry.lock or requirements/ is not what scripts/lock.sh wrote"
    return [f"{changed}; {MEND}, or scripts/lock.sh --check, which asks Poetry whether they agree"]


def drifted(root: Path, *further: str) -> list[str]:
    """Return how this Python's packages differ from the exports of `groups(root)` and `further`.

    Raises:
        UserError: pyproject.toml or an export is missing or cannot be read.
    """
    # By the names of their folders: to read what is in them takes a second.
    folders = [path for place in sys.path for path in Path(place).glob("*.dist-info")]
    named = [folder.stem.rpartition("-") for folder in reversed(folders)]
    installed = {canonicalize_name(name): version for name, _, version in named}
    found = []
    for group in (*groups(root), *further):
        for pin in requirements(root / "requirements" / f"{group}.txt"):
            version = installed.get(canonicalize_name(pin.name))
            if pin.applies() and version != pin.version:
                found.append(f"{pin.name} {version or 'missing'} (locked: {pin.version})")
    return sorted(set(found))


def pins(root: Path) -> list[str]:
    """Return `name==version` of every runtime package that this interpreter and system take.

    Raises:
        UserError: an export is missing or cannot be read.
    """
    runtime = (requirements(root / "requirements" / f"{group}.txt") for group in RUNTIME)
    found = {f"{pin.name}=={pin.version}" for each in runtime for pin in each if pin.applies()}
    return sorted(found)


def moves(before: str, after: str) -> list[str]:
    """Return one line for each package whose versions differ between the texts of two locks."""
    old, new = _versions(before), _versions(after)
    return [
        f"{name} {old.get(name, 'none')} → {new.get(name, 'none')}"
        for name in sorted(old | new)
        if old.get(name) != new.get(name)
    ]


def _versions(text: str) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for package in tomllib.loads(text).get("package", []):
        found.setdefault(package["name"], []).append(package["version"])
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {error}") from None


def lock_sha256(root: Path) -> str:
    """Hash poetry.lock together with the runtime exports that environments are made from."""
    runtime = [root / "requirements" / f"{group}.txt" for group in RUNTIME]
    return sha256_files([root / "poetry.lock", *runtime], root)
