"""A repository's image, built by an engine of this machine. The engine keeps its steps apart."""

import os
import signal
import subprocess
from pathlib import Path
from secrets import token_hex
from shutil import which
from time import monotonic

from .process import Ended, cause
from .step import Limits, Step
from .variables import without_credentials

_NAME = "image"
_FILES = ("Dockerfile", "Containerfile")
_ENGINES = ("docker", "podman", "buildah")
_SHOWN = 4000


def has_image(folder: Path) -> bool:
    """Tell whether there is anything to build."""
    return any((folder / name).is_file() for name in _FILES)


def build(folder: Path, scratch: Path, limits: Limits) -> Step:
    """Build the image and remove it."""
    engine = find()
    if not engine:
        why = "no engine: docker, podman or buildah is not here, or its service does not answer"
        return Step(_NAME, "not done", why)
    file = next(name for name in _FILES if (folder / name).is_file())
    tag = f"localhost/groundwork-prove:{token_hex(6)}"
    command = [engine, "build", "--tag", tag, "--file", file, "."]
    try:
        ended = _run(command, folder, scratch / "image.log", limits.image)
    finally:
        remove = {"buildah": ["rmi", "--force"]}.get(engine, ["image", "rm", "--force"])
        subprocess.run([engine, *remove, tag], capture_output=True, check=False)
    if not ended.good:
        why = f"{engine} build --file {file}: {ended.limit or cause(ended.log)}"
        return Step(_NAME, "failed", why, ended.seconds, ended.log)
    return Step(_NAME, "passed", f"{file}, by {engine}", ended.seconds, ended.log)


def find() -> str:
    """Return the first engine that answers, or nothing."""
    return next((name for name in _ENGINES if which(name) and _answers(name)), "")


def _answers(engine: str) -> bool:
    try:
        done = subprocess.run([engine, "info"], capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _run(command: list[str], folder: Path, log: Path, seconds: float) -> Ended:
    start = monotonic()
    limit = ""
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as process,
    ):
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            limit = f"it was stopped after {seconds:g} s, its time limit"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    text = without_credentials(log.read_text("utf-8", "replace")[-_SHOWN:])
    return Ended(process.returncode, monotonic() - start, text, limit)
