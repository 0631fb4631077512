"""The files in which projects say what they depend on, each read into what is wanted."""

import ast
import configparser
import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from poetry.core.packages.dependency import Dependency

from .wanted import PYTHONS, Wanted, python_bound

# What conda calls otherwise than the package index.
CONDA = {"pytorch": "torch", "py-xgboost": "xgboost", "tensorflow-gpu": "tensorflow"}


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


def requirements(wanted: Wanted, path: Path) -> None:
    """Read pip's requirements."""
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


def pyproject(wanted: Wanted, path: Path) -> None:
    """Read pyproject.toml, as the standard has it or as Poetry does."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    project = content.get("project", {})
    poetry = content.get("tool", {}).get("poetry", {})
    bound = python_bound(poetry | project)
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


def pipfile(wanted: Wanted, path: Path) -> None:
    """Read a Pipfile."""
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


def setup_cfg(wanted: Wanted, path: Path) -> None:
    """Read setuptools' setup.cfg."""
    config = configparser.ConfigParser()
    config.read_string(path.read_text(encoding="utf-8"))
    texts = config.get("options", "install_requires", fallback="").split("\n")
    wanted.add(_parsed(wanted, path.name, filter(None, map(str.strip, texts))))
    for name in (
        config.options("options.extras_require") if "options.extras_require" in config else []
    ):
        texts = config.get("options.extras_require", name).split("\n")
        wanted.add(_parsed(wanted, path.name, filter(None, map(str.strip, texts))), dev=True)


def setup_call(path: Path) -> dict[str, Any]:
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


def setup_py(wanted: Wanted, path: Path) -> None:
    """Read setuptools' setup.py, as far as it says it in words."""
    said = setup_call(path)
    texts = said.get("install_requires", [])
    if texts is None:
        wanted.unread.append("setup.py: install_requires is computed")
    wanted.add(_parsed(wanted, path.name, texts or []))
    for extra in (said.get("extras_require") or {}).values():
        wanted.add(_parsed(wanted, path.name, extra), dev=True)


def conda(wanted: Wanted, path: Path) -> None:
    """Read conda's environment."""
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


def toml_lock(wanted: Wanted, path: Path) -> None:
    """Read the pins of Poetry's or uv's lock."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    for package in content.get("package", []):
        if "version" in package and "virtual" not in package.get("source", {}):
            wanted.pins[canonicalize_name(package["name"])] = package["version"]


def pipfile_lock(wanted: Wanted, path: Path) -> None:
    """Read the pins of Pipenv's lock."""
    content = json.loads(path.read_text(encoding="utf-8"))
    for table in ("default", "develop"):
        for name, about in content.get(table, {}).items():
            if "version" in about:
                wanted.pins[canonicalize_name(name)] = about["version"].removeprefix("==")
