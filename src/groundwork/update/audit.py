"""The audit of a project by the companion of its own version, which no index has."""

import os
import subprocess
import sys
from pathlib import Path

from groundwork.errors import UserError

# What the companion needs, with a hash for each package, in the template.
PACKAGES = "requirements/main.txt"


def audit(template: Path, project: Path, environment: Path) -> int:
    """Audit a project with the code in a template's files, and return the exit status.

    The packages are installed into a new environment by the template's own locked list.

    Raises:
        UserError: they cannot be installed.
    """
    if not (template / PACKAGES).is_file():
        raise UserError("this version of the template cannot audit; update to a newer one first")
    python = environment / "bin/python"
    _uv("venv", "--quiet", "--python", os.path.realpath(sys.executable), str(environment))
    install = ("pip", "sync", "--quiet", "--python", str(python), "--require-hashes")
    _uv(*install, str(template / PACKAGES))
    # Neither the caller's settings of Python nor the project's files are imported.
    command = [str(python), "-Es", "-m", "groundwork", "audit", str(project)]
    return subprocess.run(command, cwd=template / "src", check=False).returncode


def _uv(*arguments: str) -> None:
    uv = os.environ.get("UV", "uv")
    done = subprocess.run([uv, *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise UserError(" ".join(done.stderr.split()) or f"uv {arguments[0]} failed")
