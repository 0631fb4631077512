"""setup.py and setup.cfg, read without running them."""

import ast
import configparser
from pathlib import Path
from typing import Any

from groundwork.adopt.wanted import Wanted

from . import text


def setup_call(path: Path) -> dict[str, Any]:
    """Return the arguments of setup() in a setup.py that are literals, or names of literals.

    The value is None where an argument is computed.

    Raises:
        OSError, SyntaxError: it cannot be read.
    """
    tree = ast.parse(text.read(path))
    constants: dict[str, Any] = {}
    for one in tree.body:
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name):
            constants[one.targets[0].id] = _literal(one.value, constants)
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "setup":
            for keyword in node.keywords:
                found[keyword.arg or ""] = _literal(keyword.value, constants)
    return found


def _literal(node: ast.expr, constants: dict[str, Any]) -> Any:  # noqa: ANN401 - any literal
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _literal(node.left, constants), _literal(node.right, constants)
        return left + right if type(left) is type(right) and isinstance(left, list | str) else None
    if isinstance(node, ast.Dict) and all(node.keys):
        return {
            _literal(key, constants): _literal(value, constants)
            for key, value in zip(node.keys, node.values, strict=True)
            if key
        }
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def setup_py(wanted: Wanted, path: Path) -> None:
    """Read setuptools' setup.py, as far as its values are written out."""
    said = setup_call(path)
    wanted.runs_on(said)
    for name in ("install_requires", "extras_require"):
        if name in said and said[name] is None:
            wanted.unread.append(f"setup.py: {name} is computed")
    wanted.add("setup.py", _listed(said.get("install_requires")))
    for extra, listed in (said.get("extras_require") or {}).items():
        if listed is None:
            wanted.unread.append(f"setup.py: extras_require[{extra!r}] is computed")
        wanted.add("setup.py", _listed(listed), dev=True)
    wanted.add("setup.py", _listed(said.get("tests_require")), dev=True)


def setup_cfg(wanted: Wanted, path: Path) -> None:
    """Read setuptools' setup.cfg; `file:` names files that are read by themselves."""
    config = configparser.ConfigParser(interpolation=None)
    config.read_string(text.read(path))
    wanted.runs_on({"python_requires": config.get("options", "python_requires", fallback="")})
    wanted.add("setup.cfg", _listed(config.get("options", "install_requires", fallback="")))
    wanted.add("setup.cfg", _listed(config.get("options", "tests_require", fallback="")), dev=True)
    if config.has_section("options.extras_require"):
        for _, listed in config.items("options.extras_require"):
            wanted.add("setup.cfg", _listed(listed), dev=True)


def _listed(said: list[str] | tuple[str, ...] | str | None) -> list[str]:
    """Return requirements that setuptools takes as a list or as the lines of a text."""
    lines = said.splitlines() if isinstance(said, str) else list(said or [])
    bare = (line.partition(" #")[0].strip() for line in lines)
    return [line for line in bare if line and not line.startswith(("#", "file:"))]
