"""pyproject.toml, as PEP 621 has it and as Poetry, PDM, Hatch, uv and pixi have it."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from poetry.core.factory import Factory

from groundwork.adopt.wanted import Wanted

from . import text
from .conda import pixi
from .requirements import Files

# What is read of uv's settings, or is about how the project itself is packaged and installed.
UV = {"sources", "dev-dependencies", "constraint-dependencies", "override-dependencies", "index",
      "package", "managed", "default-groups"}  # fmt: skip


def pyproject(files: Files, wanted: Wanted, path: Path) -> None:
    """Read pyproject.toml and the requirement files that its dynamic tables name.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    content = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    project, tools = content.get("project", {}), content.get("tool", {})
    poetry = tools.get("poetry", {})
    name = path.name
    wanted.runs_on(poetry | project)
    wanted.own = canonicalize_name((poetry | project).get("name", ""))
    if "version" in project.get("dynamic", []):
        wanted.unread.append(
            "pyproject.toml: a computed version, and a _version.py if it writes one"
        )
    for package, said in _elsewhere(tools):
        wanted.source(name, package, said)
    wanted.add(name, project.get("dependencies", []))
    for texts in project.get("optional-dependencies", {}).values():
        wanted.add(name, texts, dev=True)
    for texts in content.get("dependency-groups", {}).values():
        wanted.add(name, [one for one in texts if isinstance(one, str)], dev=True)
    _poetry(wanted, poetry)
    _others(wanted, tools)
    for file, dev in _dynamic(tools):
        files.read(path.parent / file, dev=dev)
    for tool in ("poetry", "pdm"):
        _indices(wanted, name, tools.get(tool, {}).get("source", []))
    _uv(wanted, name, tools.get("uv", {}))


def _elsewhere(tools: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the packages of which [tool.uv.sources] states the source."""
    for package, said in tools.get("uv", {}).get("sources", {}).items():
        yield package, f"tool.uv.sources: {package} = {json.dumps(said)}"


def _poetry(wanted: Wanted, poetry: dict[str, Any]) -> None:
    groups = [group.get("dependencies", {}) for group in poetry.get("group", {}).values()]
    tables = [(poetry.get("dependencies", {}), False), (poetry.get("dev-dependencies", {}), True)]
    for table, dev in [*tables, *((group, True) for group in groups)]:
        for package, said in table.items():
            if package == "python":
                continue
            for about in said if isinstance(said, list) else [said]:
                known = about if isinstance(about, dict) else {"version": about}
                if {"git", "path", "url", "file", "source"} & known.keys():
                    wanted.source("pyproject.toml", package, f"{package} = {json.dumps(about)}")
                    continue
                try:
                    one = Factory.create_dependency(package, known)
                except Exception:  # noqa: BLE001 - poetry-core raises errors of many kinds
                    wanted.unread.append(f"pyproject.toml: {package} = {json.dumps(said)}")
                    continue
                texts = [one.to_pep_508(with_extras=False)]
                wanted.add("pyproject.toml", texts, dev=dev or bool(known.get("optional")))


def _others(wanted: Wanted, tools: dict[str, Any]) -> None:
    """Read the tables in which other tools keep requirements for development."""
    uv, pdm = tools.get("uv", {}), tools.get("pdm", {})
    lists = [uv.get("dev-dependencies", []), *pdm.get("dev-dependencies", {}).values()]
    for environment in tools.get("hatch", {}).get("envs", {}).values():
        lists += [environment.get(key, []) for key in ("dependencies", "extra-dependencies")]
    for texts in lists:
        wanted.add("pyproject.toml", [one for one in texts if not one.startswith("-e")], dev=True)
    pixi(wanted, tools.get("pixi", {}), "pyproject.toml")


def _uv(wanted: Wanted, file: str, said: dict[str, Any]) -> None:
    """Read what uv's settings say of packages, and report the others by their names alone.

    Their values may hold a password.
    """
    for key in ("constraint-dependencies", "override-dependencies"):
        wanted.constrain(file, said.get(key, []))
    _indices(wanted, file, said.get("index", []))
    wanted.unread += [f"{file}: uv's setting {key}" for key in sorted(said.keys() - UV)]


def _indices(wanted: Wanted, file: str, said: list[dict[str, Any]]) -> None:
    wanted.unread += [f"{file}: the index {one.get('name', 'without a name')}" for one in said]


def uv_toml(wanted: Wanted, path: Path) -> None:
    """Read uv.toml.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    _uv(wanted, path.name, tomllib.loads(text.read(path)))


def _dynamic(tools: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield the requirement files that are the dependencies, and whether for development only."""
    dynamic = tools.get("setuptools", {}).get("dynamic", {})
    optional = dynamic.get("optional-dependencies", {}).values()
    for table, dev in [
        (dynamic.get("dependencies", {}), False),
        *((one, True) for one in optional),
    ]:
        listed = table.get("file", [])
        for file in [listed] if isinstance(listed, str) else listed:
            yield file, dev
    hook = tools.get("hatch", {}).get("metadata", {}).get("hooks", {}).get("requirements_txt", {})
    for file in hook.get("files", []):
        yield file, False
    for listed in hook.get("optional-dependencies", {}).values():
        for file in listed:
            yield file, True


def pixi_toml(wanted: Wanted, path: Path) -> None:
    """Read pixi.toml.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    pixi(wanted, tomllib.loads(text.read(path)), path.name)
