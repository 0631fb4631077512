"""What the standard's tests add to the fixtures of the project that they run in."""

import contextlib
import random
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ..conftest import ROOT, commit, copy_project
from .project import prediction_log

__all__ = ["ROOT", "commit"]


def logged(var_dir):
    """All that a service logged, in one frame."""
    parts = list(prediction_log.read(var_dir))
    return (
        pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=prediction_log.ABOUT)
    )


def loads(script, *modules):
    """Run a script in a process of its own; return what it printed and which of these it loaded."""
    told = f"print(sorted({{*{modules}}} & {{*sys.modules}}), file=sys.stderr)"
    code = f"{script}\nimport sys\n{told}"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout, done.stderr.strip().splitlines()[-1]


def free_port():
    """A port that nobody has, and that no other process is given: Linux deals from 32768 on."""
    while True:
        port = random.SystemRandom().randrange(10000, 32768)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@pytest.fixture(scope="session")
def project_factory(tmp_path_factory) -> Callable[[], Path]:
    """Make copies of this project, each a git repository with one commit."""
    return lambda: copy_project(tmp_path_factory.mktemp("project"))


@pytest.fixture
def changed(workplace):
    """Change a file of the workplace for one test: changed("params.yaml", old, new)."""
    kept: dict[Path, bytes] = {}

    def change(name: str, old: str, new: str) -> None:
        path = workplace.root / name
        kept.setdefault(path, path.read_bytes())
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    yield change
    for path, content in kept.items():
        path.write_bytes(content)
