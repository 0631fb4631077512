"""What a repository says about itself: answers to the template's questions."""

import re
import tomllib
from pathlib import Path
from typing import Any

from .formats import setup_call
from .wanted import PYTHONS, Wanted, python_bound

# Which framework a project learns with: the first whose package it depends on or imports.
FRAMEWORKS = {
    "torch": "pytorch",
    "pytorch-lightning": "pytorch",
    "tensorflow": "tensorflow",
    "keras": "tensorflow",
    "xgboost": "xgboost",
    "scikit-learn": "scikit-learn",
    "sklearn": "scikit-learn",
}
LICENSES = {
    "Apache-2.0": "Apache License",
    "BSD-3-Clause": "Neither the name of",
    "MIT": "Permission is hereby granted, free of charge",
}
# Folders with an __init__.py that nobody installs.
NO_PACKAGES = {"src", "tests", "test", "docs", "scripts", "notebooks"}


def stated(
    root: Path, wanted: Wanted, name: str, origin: str, author: tuple[str, str]
) -> dict[str, str]:
    """Return the answers that a repository gives by itself, by question.

    Args:
        root: the repository's files.
        wanted: what it depends on.
        name: what its folder is called.
        origin: where git pushes it, or "".
        author: the name and the address that most of its commits carry.
    """
    content = _toml(root / "pyproject.toml")
    poetry = content.get("tool", {}).get("poetry", {})
    setup = {}
    if (root / "setup.py").is_file():
        try:
            setup = setup_call(root / "setup.py")
        except (OSError, SyntaxError, ValueError):
            setup = {}
    said = setup | poetry | content.get("project", {})
    people = [one for one in said.get("authors") or [] if isinstance(one, dict)]
    person = people[0] if people else {}
    found = {
        "project_name": said.get("name") or name,
        "description": said.get("description"),
        "author_name": person.get("name") or author[0],
        "author_email": person.get("email") or author[1],
        "repository_url": _https(origin),
        "license": _license(root),
        "python_version": _python(root, said),
        "framework": _framework(root, wanted),
    }
    names = {*wanted.main, *wanted.dev}
    found |= {
        "tracking": "wandb" if "wandb" in names else "mlflow",
        "data": "dvc" if (root / ".dvc").is_dir() or "dvc" in names else "manifest",
        "scale": "ray" if "ray" in names else "none",
        "accelerator": "cuda" if _cuda(root) else "cpu",
        "ci": "gitlab"
        if (root / ".gitlab-ci.yml").is_file()
        else "github"
        if (root / ".github").is_dir() or "github" in origin
        else None,
    }
    return {key: " ".join(str(value).split()) for key, value in found.items() if value}


def import_packages(root: Path) -> dict[str, str]:
    """Return the import packages of a repository: by name, the folder they lie in ("" or src)."""
    found: dict[str, str] = {}
    for place in ("src", ""):
        folder = root / place
        for path in sorted(folder.glob("*/__init__.py")):
            name = path.parent.name
            if name.isidentifier() and name not in NO_PACKAGES:
                found.setdefault(name, place)
    return found


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _https(origin: str) -> str | None:
    ssh = re.fullmatch(r"(?:ssh://)?git@([^:/]+)[:/](.+?)(?:\.git)?/?", origin)
    if ssh:
        return f"https://{ssh[1]}/{ssh[2]}"
    plain = re.fullmatch(r"https://(?:[^@/]+@)?(.+?)(?:\.git)?/?", origin)
    return f"https://{plain[1]}" if plain else None


def _license(root: Path) -> str | None:
    for path in sorted(root.glob("LICEN[CS]E*")):
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            return next((name for name, words in LICENSES.items() if words in text), "Proprietary")
    return None


def _python(root: Path, said: dict[str, Any]) -> str | None:
    texts = [root / name for name in (".python-version", "runtime.txt", "environment.yml")]
    for path in texts:
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            exact = re.search(r"(?:\A|python[-= ]+)(3\.\d+)", text)
            if exact and exact[1] in PYTHONS:
                return exact[1]
    bound = python_bound(said)
    fitting = [one for one in PYTHONS if bound is not None and f"{one}.9" in bound]
    return "3.12" if "3.12" in fitting else next(iter(fitting), None)


def _framework(root: Path, wanted: Wanted) -> str | None:
    for package, framework in FRAMEWORKS.items():
        if package in wanted.main or package in wanted.dev:
            return framework
    imported = set()
    for path in filter(Path.is_file, [*root.rglob("*.py"), *root.rglob("*.ipynb")]):
        text = path.read_text(encoding="utf-8", errors="replace")
        imported |= set(re.findall(r"(?:^|\")\s*(?:import|from)\s+(\w+)", text, re.MULTILINE))
    return next((name for package, name in FRAMEWORKS.items() if package in imported), None)


def _cuda(root: Path) -> bool:
    patterns = ("Dockerfile*", "environment.y*ml", "*requirements*.txt")
    paths = (path for pattern in patterns for path in root.glob(pattern) if path.is_file())
    return any(
        re.search(r"nvidia|cuda|\+cu\d", path.read_text(encoding="utf-8", errors="replace"))
        for path in paths
    )
