"""Rendered projects that are set up and used, as their users do it."""

import os
import random
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import pytest

from .conftest import commit_all, git

MINUTES = 60
COMMAND = ".venv/bin/my-ml-project"
OTHER_ROWS = """

_everything = load


def load():
    return _everything().iloc[5:]
"""


def free_port() -> str:
    """Return a port that nobody has, and that no other process is given: those are from 32768."""
    while True:
        port = random.SystemRandom().randrange(10000, 32768)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return str(port)


def replace(path: Path, changes: dict[str, str]) -> None:
    """Replace each text in a file, which must have it, by another."""
    text = path.read_text("utf-8")
    for old, new in changes.items():
        assert old in text, f"{path} has no {old!r} to replace"
        text = text.replace(old, new)
    path.write_text(text, "utf-8")


def give_other_rows(root: Path) -> None:
    """Let the source of a project's data have other rows, and commit that."""
    with (root / "src/my_ml_project/data.py").open("a", encoding="utf-8") as code:
        code.write(OTHER_ROWS)
    commit_all(root, "The source has other rows")


# Projects are tested beside each other: the tests of each are one process, which imports and trains
# once. Those of test_project.py are as many as a user's.
ALONE = {"PYTEST_XDIST_AUTO_NUM_WORKERS": "0"}


@dataclass(frozen=True)
class Project:
    """A rendered, committed and installed project, and the environment that commands run in."""

    root: Path
    environment: dict[str, str]

    def run(self, *command: object, **changed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(part) for part in command],
            cwd=self.root,
            env=self.environment | changed,
            check=False,
            capture_output=True,
            text=True,
            timeout=40 * MINUTES,
        )

    def ok(self, *command: object) -> str:
        """Run a command that must succeed and return what it printed."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command}\n{done.stdout[-8000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def train(self) -> str:
        """Train, pass the gate, register; do it again elsewhere. Return the model's digest."""
        self.ok(COMMAND, "prepare")
        told = self.ok(COMMAND, "train")
        assert re.search(r"^registered: version \d+, challenger$", told, re.MULTILINE), told
        reproduced = self.ok(COMMAND, "reproduce")
        assert re.search(r"^reproduced: exact$", reproduced, re.MULTILINE), reproduced
        (digest,) = re.findall(r"^digest: ([0-9a-f]{64})$", told, re.MULTILINE)
        return digest

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve the champion, and yield the service's address once it is ready."""
        port = free_port()
        with (self.root / "var/serve.log").open("w", encoding="utf-8") as log:
            service = subprocess.Popen(
                [self.root / COMMAND, "serve", "--port", port],
                cwd=self.root,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            until = monotonic() + 3 * MINUTES
            while not ready(f"http://127.0.0.1:{port}"):
                told = Path(log.name).read_text("utf-8")
                assert service.poll() is None, told
                assert monotonic() < until, told
                sleep(0.3)
            yield f"http://127.0.0.1:{port}"
        finally:
            service.terminate()
            service.wait(MINUTES)


def ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


def install(root: Path, python: str) -> Project:
    """Commit a render and set it up from its lock. Where a GPU is asked for, the CPU stands in."""
    git(root, "init", "--quiet", "--initial-branch", "main")
    commit_all(root, "Start")
    project = Project(root, os.environ | ALONE | {"ML_DEVICE": "cpu"})
    if project.run("bash", "-c", f"source scripts/lib.sh && find_python {python}").returncode:
        pytest.skip(f"this machine has no Python {python}")
    project.ok("scripts/setup.sh")
    return project


def tools(folder: Path, *packages: str) -> Path:
    """Install programs in an environment of their own: their packages differ from the lock's."""
    uv = Path(sys.executable).with_name("uv")
    python = folder / "bin/python"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *packages], check=True)
    return folder / "bin"
