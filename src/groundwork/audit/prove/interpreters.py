"""Pythons of this machine, and the one that a repository asks for."""

import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shutil import which

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from groundwork.errors import UserError

from .declared import read_toml

_TELL = "import platform, sys; print(platform.python_version(), sys.base_prefix)"


@dataclass(frozen=True)
class Interpreter:
    """A Python, and the folder that has its library."""

    version: Version
    prefix: Path
    program: Path


def wanted(folder: Path) -> tuple[str, str]:
    """Return which Pythons a repository wants, as a specifier, and what says so."""
    for name in (".python-version", "runtime.txt"):
        path = folder / name
        words = path.read_text("utf-8", "replace").split() if path.is_file() else []
        match = re.fullmatch(r"(?:c?python-?)?(\d+\.\d+)(\.\d+)?", words[0]) if words else None
        if match:
            return f"=={match[1]}{match[2] or '.*'}", name
    project = read_toml(folder / "pyproject.toml")
    said = project.get("project", {}).get("requires-python")
    if not said:
        poetry = project.get("tool", {}).get("poetry", {})
        said = _of_poetry(poetry.get("dependencies", {}).get("python"))
    if isinstance(said, str):
        return said, "pyproject.toml"
    return "", ""


def choose(folder: Path) -> Interpreter:
    """Return the Python for a repository: this one if it will do, else the newest that does.

    Raises UserError where there is none.
    """
    said, source = wanted(folder)
    try:
        allowed = SpecifierSet(said)
    except InvalidSpecifier:
        raise UserError(f"{source}: {said!r} does not say which Python is wanted") from None
    if not source:
        allowed = SpecifierSet(">=3.9")
    if this().version in allowed:
        return this()
    found = sorted(present(), key=lambda one: one.version, reverse=True)
    for one in found:
        if one.version in allowed:
            return one
    have = ", ".join(sorted({str(one.version) for one in found}))
    raise UserError(f"{source} wants Python {said}, and there is only {have}")


def this() -> Interpreter:
    """Return the Python that runs this, outside of its environment."""
    prefix = Path(sys.base_prefix).resolve()
    program = prefix / "bin" / f"python3.{sys.version_info.minor}"
    return Interpreter(Version(platform.python_version().rstrip("+")), prefix, program)


@cache
def present() -> tuple[Interpreter, ...]:
    """Return every Python 3 of this machine: this one, those on PATH, pyenv's and uv's."""
    programs = [this().program]
    names = ["python3", *(f"python3.{minor}" for minor in range(8, 20))]
    programs += [Path(path) for name in names if (path := which(name))]
    home = Path.home()
    folders = [
        Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions",
        Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or home / ".local/share/uv/python"),
    ]
    programs += [path for folder in folders for path in folder.glob("*/bin/python3")]
    found = {}
    for program in programs:
        done = subprocess.run(
            [program, "-I", "-c", _TELL], capture_output=True, text=True, check=False
        )
        words = done.stdout.strip().split(" ", 1)
        if done.returncode == 0 and len(words) > 1:  # a shim of pyenv may lead nowhere
            prefix = Path(words[1])
            version = Version(words[0].rstrip("+"))
            binary = prefix / "bin" / f"python{version.major}.{version.minor}"
            if binary.exists():
                found[binary.resolve()] = Interpreter(version, prefix.resolve(), binary.resolve())
    return tuple(found.values())


def _of_poetry(said: object) -> object:
    """Return a caret or tilde of Poetry's as a specifier."""
    if not isinstance(said, str):
        return None
    said = said.strip()
    match = re.fullmatch(r"([\^~]?)(\d+)\.(\d+)(\.[\d*]+)?", said)
    if not match:
        return None if said == "*" else said
    sign, major, minor, rest = match.groups()
    if not sign:
        return f"=={said}"
    end = f"<{int(major) + 1}" if sign == "^" else f"=={major}.{minor}.*"
    return f">={major}.{minor}{rest or ''},{end}"
