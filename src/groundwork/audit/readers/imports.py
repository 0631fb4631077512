"""Which packages the code imports, and which of them no file declares."""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import yaml
from packaging.utils import canonicalize_name

from .facts import fact, facts
from .python import Module  # noqa: TC001 - read by the decorators

if TYPE_CHECKING:
    from collections.abc import Iterator

    from groundwork.audit.repository import Audited


# What is there beside what is declared: by Python's own tools, by the notebook, by a platform.
PROVIDED = {
    *("pip", "setuptools", "pkg_resources", "distutils", "wheel", "_typeshed", "__main__"),
    *("IPython", "google.colab", "kaggle_secrets", "dbutils", "pyspark_dbutils", "mypy_extensions"),
    *("_pytest", "ipykernel", "notebookutils", "mssparkutils", "js", "pyodide", "bpy"),
}


@cache
def distributions() -> dict[str, list[str]]:
    """Return which packages of the index bring a module whose name is not theirs."""
    text = resources.files(__package__).joinpath("distributions.yml").read_text("utf-8")
    found: dict[str, list[str]] = yaml.safe_load(text)
    return found


def undeclared(repo: Audited) -> dict[str, tuple[str, int]]:
    """Return each module that is imported and neither declared nor local, and where first."""
    declared = {one.name for one in repo.needs}
    declared |= {name for lock in repo.locks for name in lock.versions}
    declared |= {one.project for one in repo.manifests if one.project}
    local = _local(repo)
    found: dict[str, tuple[str, int]] = {}
    for module in repo.code:
        if re.search(r"(^|/)(docs?|setup\.py|noxfile\.py|tasks\.py|conf\.py)(/|$)", module.path):
            continue
        for name, line in _needed(module):
            first = name.partition(".")[0]
            known = first in sys.stdlib_module_names or first in local or first in found
            if known or {first, name} & PROVIDED or _is_declared(name, declared):
                continue
            found[first] = (module.path, line)
    return found


def _local(repo: Audited) -> set[str]:
    """Return the names of folders and files: scripts are run from anywhere in a repository."""
    found: set[str] = set()
    for path in repo.files.paths:
        parts = PurePosixPath(path)
        if parts.suffix in {".py", ".pyx", ".pyi", ".so", ".ipynb", ".cpp", ".cu"}:
            found.update(parts.parts[:-1])
            found.add(parts.name.partition(".")[0])
    return found


@fact
def imported(module: Module) -> set[str]:
    """Return the first names of all that a module imports."""
    return {name.partition(".")[0] for name in module.names.values() if not name.startswith(".")}


@facts
def _needed(module: Module) -> Iterator[tuple[str, int]]:
    """Yield what is imported and on which line, unless a `try` or a condition makes it optional."""
    guards = (ast.Try, ast.If)
    plain = [(one.name, node) for node in module.of(ast.Import) for one in node.names]
    origins = [(node.module, node) for node in module.of(ast.ImportFrom) if not node.level]
    for name, node in [*plain, *origins]:
        if name and not any(isinstance(one, guards) for one in module.above(node)):
            yield name, module.line(node)


def _is_declared(name: str, declared: set[str]) -> bool:
    """Return whether a package is declared that brings a module, as far as names tell."""
    first = name.partition(".")[0]
    parts = name.split(".")
    table = distributions()
    known = [one for count in (3, 2, 1) for one in table.get(".".join(parts[:count]), [])]
    if declared & set(known):
        return True
    plain = canonicalize_name(first)
    squeezed = plain.replace("-", "")
    for one in declared:
        short = one.replace("-", "")
        if short in {squeezed, f"python{squeezed}", f"py{squeezed}", f"{squeezed}py"}:
            return True
        # Namespaces and builds: google-cloud-storage, opencv-python-headless, faiss-cpu.
        if one.startswith(f"{plain}-") or short == f"{squeezed}python":
            return True
    return False
