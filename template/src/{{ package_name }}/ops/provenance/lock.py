"""Whether pyproject.toml, poetry.lock, the exported requirements and this machine agree.

Poetry resolves and writes the lock; `scripts/lock.sh` exports it. What is installed anywhere comes
from the exports, so an export that is not the lock's would go unseen without these checks.
"""

import hashlib
import importlib.metadata
import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ..core.errors import UserError
from ..core.files import sha256_files

MEND = "run scripts/lock.sh"
# What a model needs to answer, and what training it needs beside that.
RUNTIME = ("main", "train")
# Where an export's markers have to say the same as the lock's.
_MACHINES: list[dict[str, str]] = [
    {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "os_name": "nt" if system["sys_platform"] == "win32" else "posix",
        **system,
    }
    for python, system in product(
        ("3.11", "3.12", "3.13"),
        (
            {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
            {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "aarch64"},
            {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
            {"sys_platform": "win32", "platform_system": "Windows", "platform_machine": "AMD64"},
        ),
    )
]


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
    """Return what does not agree, one line a problem; an empty list when all does.

    Checked are pyproject.toml against the lock's content hash, and every requirements/GROUP.txt
    against the lock: the same packages, versions, hashes and markers, and a hash on each.

    Raises:
        UserError: a file is missing or cannot be read.
    """
    lock, pyproject = _toml(root / "poetry.lock"), _toml(root / "pyproject.toml")
    found = []
    if lock.get("metadata", {}).get("content-hash") != content_hash(pyproject):
        found.append(f"poetry.lock was not made from this pyproject.toml; {MEND}")
    exports = sorted((root / "requirements").glob("*.txt"))
    wanted = {"main", *pyproject.get("dependency-groups", {})}
    absent = sorted(wanted - {path.stem for path in exports})
    found += [f"requirements/{group}.txt is missing; {MEND}" for group in absent]
    for path in exports:
        found += [f"requirements/{path.name}: {line}" for line in _differences(path, lock)]
    return found


def drifted(root: Path, *further: str) -> list[str]:
    """Return how this Python's packages differ from the exports of `groups(root)` and `further`.

    Raises:
        UserError: pyproject.toml or an export is missing or cannot be read.
    """
    installed = {
        canonicalize_name(distribution.name): distribution.version
        for distribution in importlib.metadata.distributions()
    }
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
    exports = (requirements(root / "requirements" / f"{group}.txt") for group in RUNTIME)
    found = {f"{pin.name}=={pin.version}" for export in exports for pin in export if pin.applies()}
    return sorted(found)


def moves(before: str, after: str) -> list[str]:
    """Return one line for each package whose versions differ between the texts of two locks."""
    old, new = _versions(before), _versions(after)
    return [
        f"{name} {old.get(name, 'none')} → {new.get(name, 'none')}"
        for name in sorted(old | new)
        if old.get(name) != new.get(name)
    ]


def content_hash(pyproject: dict[str, Any]) -> str:
    """Return the hash by which a poetry.lock names the pyproject.toml that it was made from."""
    project, poetry = pyproject.get("project", {}), pyproject.get("tool", {}).get("poetry", {})
    relevant: dict[str, Any] = {
        "project": _present(project, "requires-python", "dependencies", "optional-dependencies")
    }
    if groups := pyproject.get("dependency-groups"):
        relevant["dependency-groups"] = groups
    keys = ("dependencies", "source", "extras", "dev-dependencies", "group")
    relevant["tool"] = {"poetry": _present(poetry, *keys)}
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def _versions(text: str) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for package in tomllib.loads(text).get("package", []):
        found.setdefault(package["name"], []).append(package["version"])
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}


def _present(table: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: table[key] for key in keys if key in table}


def _differences(path: Path, lock: dict[str, Any]) -> Iterator[str]:
    exported = {(pin.name, pin.version): pin for pin in requirements(path)}
    locked = {
        (str(canonicalize_name(package["name"])), str(package["version"])): package
        for package in lock.get("package", [])
        if path.stem in package["groups"]
    }
    for name, version in sorted(exported.keys() ^ locked.keys()):
        where = "is not in poetry.lock" if (name, version) in exported else "is missing"
        yield f"{name} {version} {where}; {MEND}"
    for key in sorted(exported.keys() & locked.keys()):
        pin, package = exported[key], locked[key]
        if not pin.hashes:
            yield f"{pin.name} has no hash; {MEND}"
        elif pin.hashes != {file["hash"] for file in package["files"]}:
            yield f"{pin.name} has other hashes than poetry.lock; {MEND}"
        if not _same_machines(pin, package, path.stem):
            yield f"{pin.name} is wanted on other machines than poetry.lock says; {MEND}"


def _same_machines(pin: Pin, package: dict[str, Any], group: str) -> bool:
    markers = package.get("markers", "")
    text = markers.get(group, "") if isinstance(markers, dict) else markers
    return _machines(str(pin.marker or "")) == _machines(text)


@cache
def _machines(marker: str) -> list[bool]:
    """Tell on which machines a package with this marker is wanted."""
    return [not marker or Marker(marker).evaluate(machine) for machine in _MACHINES]


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {error}") from None


def lock_sha256(root: Path) -> str:
    """Hash poetry.lock together with the runtime exports that environments are made from."""
    exports = [root / "requirements" / f"{group}.txt" for group in RUNTIME]
    return sha256_files([root / "poetry.lock", *exports], root)
