"""What a repository says about itself: answers to the template's questions, dependencies."""

import ast
import configparser
import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from poetry.core.packages.dependency import Dependency

# What conda calls otherwise than the package index.
CONDA = {"pytorch": "torch", "py-xgboost": "xgboost", "tensorflow-gpu": "tensorflow"}
# No packages of Python's, or what the standard brings in another way.
NOT_CARRIED = {"python", "pip", "setuptools", "wheel", "cudatoolkit", "pytorch-cuda", "poetry"}
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


def dependencies(root: Path) -> Wanted:
    """Return what the files of a repository say that it depends on."""
    wanted = Wanted()
    for name, read in (
        ("pyproject.toml", _pyproject),
        ("Pipfile", _pipfile),
        ("setup.cfg", _setup_cfg),
        ("setup.py", _setup_py),
        ("environment.yml", _conda),
        ("environment.yaml", _conda),
    ):
        if (path := root / name).is_file():
            _try(wanted, name, path, read)
    texts = [*sorted(root.glob("*requirements*.txt")), *sorted(root.glob("requirements/*.txt"))]
    for path in texts:
        _try(wanted, str(path.relative_to(root)), path, _requirements)
    for name, pins in (
        ("poetry.lock", _toml_lock),
        ("uv.lock", _toml_lock),
        ("Pipfile.lock", _pipfile_lock),
    ):
        if (path := root / name).is_file():
            _try(wanted, name, path, pins)
    return wanted


def _try(wanted: Wanted, name: str, path: Path, read: Any) -> None:  # noqa: ANN401
    before = (len(wanted.main), len(wanted.dev), len(wanted.pins), len(wanted.unread))
    try:
        read(wanted, path)
    except Exception as error:  # noqa: BLE001 - other people's files, in any state
        what = " ".join(str(error).split()) or type(error).__name__
        wanted.unread.append(f"{name} cannot be read: {what}")
    if before != (len(wanted.main), len(wanted.dev), len(wanted.pins), len(wanted.unread)):
        wanted.files.append(name)


def _parsed(wanted: Wanted, where: str, texts: Iterable[str]) -> Iterator[Requirement]:
    for text in texts:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            wanted.unread.append(f"{where}: {text}")
            continue
        if requirement.url:
            wanted.unread.append(f"{where}: {text}")
        else:
            yield requirement


def _requirements(wanted: Wanted, path: Path) -> None:
    dev = re.search(r"dev|test|lint|doc", path.stem) is not None
    lines = re.sub(r"\\\n", " ", path.read_text(encoding="utf-8")).splitlines()
    texts = []
    for line in lines:
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        text = re.sub(r"\s--hash=\S+", "", text).strip()
        if text.startswith(("-r", "-c", "--requirement", "--constraint")):
            continue  # a file that is read by itself
        if text.startswith(("-", ".", "/")):
            wanted.unread.append(f"{path.name}: {text}")
        elif text:
            texts.append(text)
    wanted.add(_parsed(wanted, path.name, texts), dev=dev)


def _pyproject(wanted: Wanted, path: Path) -> None:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    project = content.get("project", {})
    poetry = content.get("tool", {}).get("poetry", {})
    bound = _python_bound(poetry | project)
    if bound is not None and not any(f"{one}.9" in bound for one in PYTHONS):
        wanted.unread.append(f"Python {bound}: the standard has {', '.join(PYTHONS)}")
    if "version" in project.get("dynamic", []):
        wanted.unread.append(
            "pyproject.toml: a computed version, and a _version.py if it writes one"
        )
    wanted.add(_parsed(wanted, path.name, project.get("dependencies", [])))
    for texts in project.get("optional-dependencies", {}).values():
        wanted.add(_parsed(wanted, path.name, texts), dev=True)
    for texts in content.get("dependency-groups", {}).values():
        only = [text for text in texts if isinstance(text, str)]
        wanted.add(_parsed(wanted, path.name, only), dev=True)
    wanted.add(_poetry(wanted, poetry.get("dependencies", {})))
    groups = [group.get("dependencies", {}) for group in poetry.get("group", {}).values()]
    for group in [poetry.get("dev-dependencies", {}), *groups]:
        wanted.add(_poetry(wanted, group), dev=True)


def _poetry(wanted: Wanted, table: dict[str, Any]) -> Iterator[Requirement]:
    for name, said in table.items():
        if name == "python":
            continue
        about = said if isinstance(said, dict) else {"version": said}
        if "version" not in about:
            wanted.unread.append(f"pyproject.toml: {name} = {json.dumps(said)}")
            continue
        dependency = Dependency(name, about["version"], extras=about.get("extras", []))
        yield Requirement(dependency.base_pep_508_name)


def _pipfile(wanted: Wanted, path: Path) -> None:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    for table, dev in (("packages", False), ("dev-packages", True)):
        texts = []
        for name, said in content.get(table, {}).items():
            version = said.get("version", "*") if isinstance(said, dict) else said
            if isinstance(said, dict) and not {"version"} >= {*said} - {"extras", "index"}:
                wanted.unread.append(f"Pipfile: {name} = {json.dumps(said)}")
                continue
            texts.append(name + ("" if version == "*" else version))
        wanted.add(_parsed(wanted, path.name, texts), dev=dev)


def _setup_cfg(wanted: Wanted, path: Path) -> None:
    config = configparser.ConfigParser()
    config.read_string(path.read_text(encoding="utf-8"))
    texts = config.get("options", "install_requires", fallback="").split("\n")
    wanted.add(_parsed(wanted, path.name, filter(None, map(str.strip, texts))))
    for name in (
        config.options("options.extras_require") if "options.extras_require" in config else []
    ):
        texts = config.get("options.extras_require", name).split("\n")
        wanted.add(_parsed(wanted, path.name, filter(None, map(str.strip, texts))), dev=True)


def _setup_call(path: Path) -> dict[str, Any]:
    """Return the arguments of setup() in a setup.py that are written out as literals."""
    found: dict[str, Any] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "setup":
            for keyword in node.keywords:
                try:
                    found[keyword.arg or ""] = ast.literal_eval(keyword.value)
                except ValueError:
                    found[keyword.arg or ""] = None
    return found


def _setup_py(wanted: Wanted, path: Path) -> None:
    said = _setup_call(path)
    texts = said.get("install_requires", [])
    if texts is None:
        wanted.unread.append("setup.py: install_requires is computed")
    wanted.add(_parsed(wanted, path.name, texts or []))
    for extra in (said.get("extras_require") or {}).values():
        wanted.add(_parsed(wanted, path.name, extra), dev=True)


def _conda(wanted: Wanted, path: Path) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    texts: list[str] = []
    for said in content.get("dependencies", []):
        if isinstance(said, dict):
            texts += said.get("pip", [])
            continue
        name, *version = re.sub(r"^.*::", "", said).replace(" ", "").split("=")
        name = CONDA.get(name, name)
        if re.search(r"[<>!]", said):
            texts.append(said)
        else:
            exact = "".join(filter(None, version[:2]))
            texts.append(f"{name}=={exact.removesuffix('.*')}.*" if exact else name)
    wanted.add(_parsed(wanted, path.name, texts))


def _toml_lock(wanted: Wanted, path: Path) -> None:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    for package in content.get("package", []):
        if "version" in package and "virtual" not in package.get("source", {}):
            wanted.pins[canonicalize_name(package["name"])] = package["version"]


def _pipfile_lock(wanted: Wanted, path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    for table in ("default", "develop"):
        for name, about in content.get(table, {}).items():
            if "version" in about:
                wanted.pins[canonicalize_name(name)] = about["version"].removeprefix("==")


def answers(
    root: Path, wanted: Wanted, name: str, origin: str, author: tuple[str, str]
) -> dict[str, str]:
    """Return what can be told of the answers, by question.

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
            setup = _setup_call(root / "setup.py")
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


def packages(root: Path) -> dict[str, str]:
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
    bound = _python_bound(said)
    fitting = [one for one in PYTHONS if bound is not None and f"{one}.9" in bound]
    return "3.12" if "3.12" in fitting else next(iter(fitting), None)


def _python_bound(said: dict[str, Any]) -> SpecifierSet | None:
    bound = said.get("requires-python") or said.get("python_requires")
    if not bound and isinstance(said.get("dependencies"), dict):  # Poetry's table
        bound = said["dependencies"].get("python")
    try:
        return SpecifierSet(re.sub(r"[\^~](?=\d)", ">=", bound)) if bound else None
    except InvalidSpecifier:
        return None


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
