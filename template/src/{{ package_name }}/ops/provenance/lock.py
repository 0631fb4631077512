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

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ..core.errors import UserError
from ..core.files import load_toml, read_file, sha256_files
from . import exports

MEND = "run scripts/lock.sh"
# What a model needs to answer, and what training it needs beside that.
RUNTIME = ("main", "train")


@dataclass(frozen=True)
class Pin:
    """One requirement of an export: the version, and where it applies."""

    name: str
    version: str
    marker: Marker | None

    def applies(self) -> bool:
        """Whether it is wanted on this machine."""
        return self.marker is None or self.marker.evaluate()


def export(root: Path, group: str) -> list[Pin]:
    """Read a group's export. Raises UserError where a line of it is not `name==version`."""
    path = root / "requirements" / f"{group}.txt"
    try:
        text = read_file(path).decode()
    except UserError as error:
        raise UserError(f"{error}; {MEND}") from None
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        wanted = line.partition("--hash=")[0].strip()
        try:
            requirement = Requirement(wanted)
        except InvalidRequirement:
            raise UserError(f"{path} holds {wanted!r}, not a requirement; {MEND}") from None
        version = str(requirement.specifier).removeprefix("==")
        if not version or str(requirement.specifier) != f"=={version}":
            raise UserError(f"{path} does not pin {requirement.name} to a version; {MEND}")
        name = canonicalize_name(requirement.name)
        found.append(Pin(name, version, requirement.marker))
    return found


def groups(root: Path) -> tuple[str, ...]:
    """Return what an environment for training holds: `main`, `train`, and the optional groups.

    Raises UserError where pyproject.toml cannot be read, or does not name them as a list of texts.
    """
    tools = load_toml(root / "pyproject.toml").get("tool", {})
    chosen = tools.get("groundwork", {}).get("groups", [])
    if not isinstance(chosen, list) or not all(isinstance(group, str) for group in chosen):
        raise UserError('pyproject.toml: groups in [tool.groundwork] must be a list, as in ["ray"]')
    return (*RUNTIME, *chosen)


def problems(root: Path) -> list[str]:
    """Return what changed since Poetry locked it, one line a problem; empty where nothing did.

    Raises UserError where a file is missing or pyproject.toml is not TOML.
    """
    declared = load_toml(root / "pyproject.toml").get("dependency-groups", {})
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

    Raises UserError where pyproject.toml or an export is missing or cannot be read.
    """
    # By the names of their folders: to read what is in them takes a second.
    folders = [path for place in sys.path for path in Path(place).glob("*.dist-info")]
    named = [folder.stem.rpartition("-") for folder in reversed(folders)]
    installed = {canonicalize_name(name): version for name, _, version in named}
    found = []
    for group in (*groups(root), *further):
        for pin in export(root, group):
            version = installed.get(canonicalize_name(pin.name))
            if pin.applies() and version != pin.version:
                found.append(f"{pin.name} {version or 'missing'} (locked: {pin.version})")
    return sorted(set(found))


def pins(root: Path) -> list[str]:
    """Return `name==version` of every runtime package that this interpreter and system take.

    Raises UserError where an export is missing or cannot be read.
    """
    found = [pin for group in RUNTIME for pin in export(root, group) if pin.applies()]
    return sorted({f"{pin.name}=={pin.version}" for pin in found})


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


def lock_sha256(root: Path) -> str:
    """Hash poetry.lock together with the runtime exports that environments are made from."""
    runtime = [root / "requirements" / f"{group}.txt" for group in RUNTIME]
    return sha256_files([root / "poetry.lock", *runtime], root)
