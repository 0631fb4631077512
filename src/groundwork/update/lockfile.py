"""The lock of a project that depends on more than the standard does."""

import re
import tomllib
from pathlib import Path

from .repository import Repository

LOCK, PYPROJECT = "poetry.lock", "pyproject.toml"


def resolved(repository: Repository, tree: str, new: Path) -> bool:
    """Whether a merged project depends on what the standard does, so that its lock is right.

    A pyproject.toml that cannot be read has a conflict, so it is not.
    """

    def wanted(text: str) -> object:
        content = tomllib.loads(text)
        project = content.get("project", {})
        keys = ("requires-python", "dependencies", "optional-dependencies")
        groups = content.get("dependency-groups")
        return [project.get(key) for key in keys], groups, content.get("tool", {}).get("poetry")

    entry = repository.files(tree).get(PYPROJECT)
    try:
        standard = (new / PYPROJECT).read_text(encoding="utf-8")
        return entry is not None and wanted(repository.text(entry)) == wanted(standard)
    except (OSError, ValueError):
        return False


def joined(mine: str, standard: str) -> str:
    """Return the standard's lock with the packages added that only the project has."""

    def blocks(text: str) -> tuple[str, dict[str, str], str]:
        packages, tail = re.split(r"(?m)^(?=\[(?:extras|metadata)\])", text, maxsplit=1)
        head, *found = re.split(r"(?m)^(?=\[\[package\]\])", packages)
        named: dict[str, str] = {}
        for block in found:  # a package may be there more than once, for each Python
            name = re.findall(r'name = "(.+)"', block)[0]
            named[name] = named.get(name, "") + block
        return head, named, tail

    try:
        head, theirs, tail = blocks(standard)
        _, ours, _ = blocks(mine)
    except (ValueError, IndexError):  # no lock that can be read: Poetry resolves from nothing
        return standard
    own = [block for name, block in ours.items() if name not in theirs]
    return "".join([head, *theirs.values(), *own, tail])
