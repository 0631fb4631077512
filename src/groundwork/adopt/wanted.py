"""What a repository depends on."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

# No packages of Python's, or what the standard brings in another way.
NOT_CARRIED = {"python", "pip", "setuptools", "wheel", "cudatoolkit", "pytorch-cuda", "poetry"}
PYTHONS = ("3.11", "3.12", "3.13")


@dataclass
class Wanted:
    """Dependencies by canonical name, as PEP 508 texts, and what could not be read."""

    main: dict[str, Requirement] = field(default_factory=dict)
    dev: dict[str, Requirement] = field(default_factory=dict)
    # The version of each that a lock of the project names.
    pins: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    # The files that said so.
    files: list[str] = field(default_factory=list)

    def add(self, requirements: Iterable[Requirement], *, dev: bool = False) -> None:
        """Add those that no file before named."""
        for one in requirements:
            name = canonicalize_name(one.name)
            if name not in NOT_CARRIED and name not in self.main:
                (self.dev if dev else self.main).setdefault(name, one)
                if not dev:
                    self.dev.pop(name, None)


def python_bound(said: dict[str, Any]) -> SpecifierSet | None:
    """Return which Pythons a project says that it runs on, None where it does not."""
    bound = said.get("requires-python") or said.get("python_requires")
    if not bound and isinstance(said.get("dependencies"), dict):  # Poetry's table
        bound = said["dependencies"].get("python")
    try:
        return SpecifierSet(re.sub(r"[\^~](?=\d)", ">=", bound)) if bound else None
    except InvalidSpecifier:
        return None
