"""A machine that has git and Python and nothing else, on which somebody did the tutorial."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import pytest

from .conftest import ROOT, git
from .pages import script
from .projects import MINUTES, free_port


@dataclass
class Machine:
    """A home with nothing in it, a clean clone of the template, and what came of the tutorial."""

    home: Path
    clone: Path
    environment: dict[str, str]
    told: str = ""

    @property
    def project(self) -> Path:
        return self.clone.parent / "sugar"


@pytest.fixture(scope="session")
def machine(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Do the tutorial, from empty caches on."""
    if not which("python3", path="/usr/bin:/bin"):
        pytest.skip("the system has no Python of its own in /usr/bin")
    base = tmp_path_factory.mktemp("machine")
    clone = base / "groundwork"
    git(base, "clone", "--quiet", str(template), str(clone))
    (base / "home").mkdir()
    # How to reach the package index is the machine's business; all else is bare.
    reach = {
        name: value
        for name, value in os.environ.items()
        if re.match(r"(?i)(pip|ssl|requests|uv_(default_)?index|(https?|no|all)_proxy)", name)
    }
    bare = {"HOME": str(base / "home"), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    machine = Machine(base / "home", clone, {**reach, **bare, "ML_PORT": free_port()})
    done = subprocess.run(
        ["bash", "-c", script(ROOT / "docs/tutorial.md")],
        cwd=clone,
        env=machine.environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=20 * MINUTES,
    )
    machine.told = done.stdout + done.stderr
    log = machine.project / ".git/groundwork-new/log"
    assert done.returncode == 0, machine.told + (
        log.read_text("utf-8")[-5000:] if log.exists() else ""
    )
    return machine
