"""Pipenv's Pipfile."""

import json
import tomllib
from pathlib import Path
from typing import Any

from groundwork.adopt.wanted import Wanted

from . import text

# A marker may be written as a key of its own.
MARKERS = ("python_version", "python_full_version", "os_name", "sys_platform", "platform_machine",
           "platform_system", "implementation_name")  # fmt: skip


def pipfile(wanted: Wanted, path: Path) -> None:
    """Read a Pipfile.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    content = tomllib.loads(text.read(path))
    default = [source.get("name") for source in content.get("source", [])][:1]
    for table, said in content.items():
        if table in {"source", "requires", "scripts", "pipenv"} or not isinstance(said, dict):
            continue
        for name, about in said.items():
            known = about if isinstance(about, dict) else {"version": about}
            if {"git", "path", "file", "ref"} & known.keys():
                if known.get("path") != ".":
                    wanted.source(path.name, name, f"{name} = {json.dumps(about)}")
            elif known.get("index") not in {None, *default}:
                wanted.source(path.name, name, f"{name} = {json.dumps(about)}")
            else:
                wanted.add(path.name, [_requirement(name, known)], dev=table != "packages")


def _requirement(name: str, about: dict[str, Any]) -> str:
    extras = f"[{','.join(about['extras'])}]" if about.get("extras") else ""
    version = about.get("version", "*")
    markers = [about["markers"]] if about.get("markers") else []
    markers += [f"{key} {about[key]}" for key in MARKERS if key in about]
    marker = " and ".join(f"({one})" for one in markers)
    return f"{name}{extras}{'' if version == '*' else version}" + (f"; {marker}" if marker else "")
