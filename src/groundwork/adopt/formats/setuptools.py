"""setup.py and setup.cfg, read without running them."""

import ast
import configparser
from pathlib import Path
from typing import Any

from groundwork.adopt.wanted import Wanted
from groundwork.audit.readers.setuptools import listed, setup_call

from . import text


def setup_file(path: Path) -> dict[str, Any]:
    """Return what a setup.py hands to setup(). Raises OSError, SyntaxError."""
    return setup_call(ast.parse(text.read(path)))


def setup_py(wanted: Wanted, path: Path) -> None:
    """Read setuptools' setup.py, as far as its values are written out."""
    said = setup_file(path)
    wanted.runs_on(said)
    for name in ("install_requires", "extras_require"):
        if name in said and said[name] is None:
            wanted.unread.append(f"setup.py: {name} is computed")
    wanted.add("setup.py", listed(said.get("install_requires")))
    for extra, texts in (said.get("extras_require") or {}).items():
        if texts is None:
            wanted.unread.append(f"setup.py: extras_require[{extra!r}] is computed")
        wanted.add("setup.py", listed(texts), dev=True)
    wanted.add("setup.py", listed(said.get("tests_require")), dev=True)


def setup_cfg(wanted: Wanted, path: Path) -> None:
    """Read setuptools' setup.cfg; `file:` names files that are read by themselves."""
    config = configparser.ConfigParser(interpolation=None)
    config.read_string(text.read(path))
    wanted.runs_on({"python_requires": config.get("options", "python_requires", fallback="")})
    wanted.add("setup.cfg", listed(config.get("options", "install_requires", fallback="")))
    wanted.add("setup.cfg", listed(config.get("options", "tests_require", fallback="")), dev=True)
    if config.has_section("options.extras_require"):
        for _, texts in config.items("options.extras_require"):
            wanted.add("setup.cfg", listed(texts), dev=True)
