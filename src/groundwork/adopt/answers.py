"""What a repository says about itself: answers to the template's questions."""

import configparser
import re
import tomllib
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from .formats import text
from .formats.setuptools import setup_file
from .wanted import Wanted

# Which framework a package belongs to. scikit-learn comes last: its metrics are used with all.
FRAMEWORKS = {
    "torch": "pytorch",
    "pytorch_lightning": "pytorch",
    "lightning": "pytorch",
    "tensorflow": "tensorflow",
    "keras": "tensorflow",
    "xgboost": "xgboost",
    "scikit_learn": "scikit-learn",
    "sklearn": "scikit-learn",
}
# What of scikit-learn is imported beside any framework.
AROUND = "datasets|metrics|model_selection|preprocessing|utils|exceptions|decomposition|manifold"
IMPORT = re.compile(rf"(?:^|\")\s*(?:import|from)\s+(?!sklearn\.(?:{AROUND}))(\w+)", re.MULTILINE)
LICENSES = {
    "Apache-2.0": "Apache License",
    "BSD-3-Clause": "Neither the name of",
    "MIT": "Permission is hereby granted, free of charge",
}
NO_LICENSE = "none"
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
    said = _said(root)
    people = [one for one in said.get("authors") or [] if isinstance(one, dict)]
    person = people[0] if people else {}
    found = {
        "project_name": said.get("name") or name,
        "description": said.get("description"),
        "author_name": person.get("name") or author[0],
        "author_email": person.get("email") or author[1],
        "repository_url": _https(origin),
        "license": _license(root),
        "python_version": _python(root, wanted),
        "framework": _framework(root, wanted),
    }
    names = wanted.names
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


def distribution(root: Path) -> tuple[str, str]:
    """Return the name and the version that a project installs itself by; "" where it has none."""
    said = _said(root)
    name, version = (str(said.get(key) or "") for key in ("name", "version"))
    if not re.fullmatch(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", name):
        return "", ""
    return name, version if _is_version(version) else ""


def _is_version(text: str) -> bool:
    """Say whether a version is written out: others are computed."""
    try:
        return bool(Version(text))
    except InvalidVersion:
        return False


def _said(root: Path) -> dict[str, Any]:
    """Return what a project's files say of it: setup.cfg, setup.py and pyproject.toml, in order."""
    config = configparser.ConfigParser(interpolation=None)
    setup: dict[str, Any] = {}
    with suppress(OSError, ValueError, configparser.Error):
        config.read_string(text.read(root / "setup.cfg"))
        setup = dict(config["metadata"]) if config.has_section("metadata") else {}
    with suppress(OSError, SyntaxError, ValueError):
        setup |= {key: value for key, value in setup_file(root / "setup.py").items() if value}
    content = _toml(root / "pyproject.toml")
    poetry = content.get("tool", {}).get("poetry", {})
    return {**setup, **poetry, **content.get("project", {})}


def import_packages(root: Path) -> dict[str, str]:
    """Return the import packages of a repository: by name, the folder they lie in ("" or src)."""
    found: dict[str, str] = {}
    for place in ("src", ""):
        folder = root / place
        for path in sorted(folder.glob("*/__init__.py")):
            name = path.parent.name
            if name.isidentifier() and name not in NO_PACKAGES:
                found.setdefault(name, place)
    if (root / "src/__init__.py").is_file():  # as cookiecutter-data-science has named its package
        found.setdefault("src", "")
    return found


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError):
        return {}


def _https(origin: str) -> str | None:
    ssh = re.fullmatch(r"(?:ssh://)?git@([^:/]+)[:/](.+?)(?:\.git)?/?", origin)
    if ssh:
        return f"https://{ssh[1]}/{ssh[2]}"
    plain = re.fullmatch(r"https://(?:[^@/]+@)?(.+?)(?:\.git)?/?", origin)
    return f"https://{plain[1]}" if plain else None


def license_files(root: Path) -> list[str]:
    """Return the names of a repository's licence files, in any spelling that people use."""
    names = (path.name for path in root.iterdir() if path.is_file())
    return sorted(name for name in names if re.match(r"(?i)(un)?licen[cs]e|copying", name))


def _license(root: Path) -> str:
    """Return the licence in the file LICENSE, if the standard has it; otherwise none.

    Only the owners of a repository grant a licence: where there is none, none is written, and one
    that the standard does not know stays the only one.
    """
    if license_files(root) != ["LICENSE"]:
        return NO_LICENSE
    said = text.read(root / "LICENSE")
    return next((name for name, words in LICENSES.items() if words in said), NO_LICENSE)


def _python(root: Path, wanted: Wanted) -> str | None:
    texts = [root / name for name in (".python-version", "runtime.txt", "environment.yml")]
    for path in texts:
        if path.is_file():
            exact = re.search(r"(?:\A|python[-= ]+)(3\.\d+)", text.read(path))
            if exact and exact[1] in wanted.pythons:
                return exact[1]
    if not str(wanted.python):
        return None
    return "3.12" if "3.12" in wanted.pythons else next(iter(wanted.pythons), None)


def _framework(root: Path, wanted: Wanted) -> str | None:
    """Return the framework that most files import, or else one that is asked for."""
    imported: Counter[str] = Counter()
    for path in filter(Path.is_file, [*root.rglob("*.py"), *root.rglob("*.ipynb")]):
        found = {FRAMEWORKS.get(name) for name in IMPORT.findall(text.read(path))}
        imported.update(one for one in found if one)
    order = list(dict.fromkeys(FRAMEWORKS.values()))
    if imported:
        return max(order, key=lambda name: (imported[name], -order.index(name)))
    asked = {name.replace("-", "_") for name in wanted.names}
    return next((name for package, name in FRAMEWORKS.items() if package in asked), None)


def _cuda(root: Path) -> bool:
    patterns = ("Dockerfile*", "environment.y*ml", "*requirements*.txt")
    paths = (path for pattern in patterns for path in root.glob(pattern) if path.is_file())
    return any(re.search(r"nvidia|cuda|\+cu\d", text.read(path)) for path in paths)
