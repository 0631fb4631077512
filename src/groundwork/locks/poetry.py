"""Poetry, run on a project."""

import importlib.util
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from groundwork.errors import UserError
from groundwork.template import find_root


def poetry(project: Path, *arguments: str) -> None:
    """Run Poetry in `project`; its last line is the error's text if it fails."""
    _need_poetry()
    done = subprocess.run(
        [sys.executable, "-m", "poetry", "--no-ansi", "--no-interaction", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        # The seed makes Poetry write equal markers in one way, not in either of two.
        env=os.environ | {"POETRY_VIRTUALENVS_CREATE": "false", "PYTHONHASHSEED": "0"},
    )
    if done.returncode:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise UserError(f"poetry {arguments[0]} failed: {said[-1] if said else 'it said nothing'}")


def export(project: Path) -> None:
    """Write each group of the lock as hashed requirements.

    In this process, as starting Poetry takes longer than all exports do.
    """
    _need_poetry()
    _exports().export(project, project / "requirements")


def record(project: Path) -> None:
    """Write what says that Poetry made the lock and the exports, for `scripts/lock.sh --check`."""
    _exports().record(project, project / "requirements")


@cache
def _exports() -> ModuleType:
    """Load the code that every project exports with, from the template in this checkout."""
    path = find_root(Path(__file__)) / "template/src/{{ package_name }}/ops/provenance/exports.py"
    spec = importlib.util.spec_from_file_location("exports", path)
    assert spec  # noqa: S101 - as the path ends in .py
    assert spec.loader  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _need_poetry() -> None:
    if importlib.util.find_spec("poetry") is None:
        raise UserError(
            "Poetry is not in this environment; scripts/test.sh --setup makes one that has it"
        )
