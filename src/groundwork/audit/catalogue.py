"""Every check and family, as repo-review collects them too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .checks import (
    ci,
    configuration,
    containers,
    deployment,
    exactness,
    inputs,
    itself,
    locks,
    notebooks,
    rebuild,
    tests,
)
from .families import FAMILIES

if TYPE_CHECKING:
    from pathlib import Path

    from repo_review.families import Family

    from .model import Check
    from .repository import Audited

MODULES = (
    *(itself, rebuild, locks, tests, exactness, inputs, configuration, deployment),
    *(containers, ci, notebooks),
)


def checks() -> dict[str, Check]:
    """Return every check by its id: the entry point `repo_review.checks`."""
    return {one.id: one() for module in MODULES for one in module.CHECKS}


def families() -> dict[str, Family]:
    """Return the families in their order: the entry point `repo_review.families`."""
    return {
        name: {"name": title, "order": order, "description": question}
        for order, (name, (title, question)) in enumerate(FAMILIES.items())
    }


def audited_repository(root: Path) -> Audited:
    """Return the repository that checks ask: the entry point `repo_review.fixtures`.

    repo-review hands over a folder, or something like one that is on another machine: that is not
    read, and the checks are listed alone.
    """
    from .run import opened  # noqa: PLC0415

    return opened(root)
