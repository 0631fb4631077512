"""The project as it was at a commit, and the environment that the commit's lock describes."""

import os
import shutil
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ..core import process
from ..core.errors import UserError
from ..core.files import private
from ..core.settings import PACKAGE, Settings
from . import lock
from .git import git
from .lock import lock_sha256
from .machine import Platform

# These would have uv install other packages than the lock names, or refuse to.
_OF_CALLERS = {
    *("UV_EXCLUDE_NEWER", "UV_NO_VERIFY_HASHES", "UV_PROJECT", "UV_SYSTEM_PYTHON"),
    *("UV_TORCH_BACKEND", "UV_WORKING_DIR"),
}


def checkout(root: Path, commit: str, into: Path) -> Path:
    """Put `commit` of the repository around `root` into the new folder `into`, as a git worktree.

    Returns the project's folder in it. Raises UserError where the commit is not available.
    """
    prefix = git(root, "rev-parse", "--show-prefix").strip()
    git(root, "worktree", "prune")
    try:
        git(root, "cat-file", "-e", commit + "^{commit}")
    except UserError as error:
        if "Not a valid object name" not in str(error):
            raise
        raise UserError(f"commit {commit[:12]} is not in this repository; fetch it") from None
    into.parent.mkdir(parents=True, exist_ok=True)
    quiet = ("-c", "core.hooksPath=/dev/null")
    git(root, *quiet, "worktree", "add", "--force", "--detach", str(into), commit)
    return into / prefix


def discard(root: Path, folder: Path) -> None:
    """Remove a worktree that `checkout` made, or what is left of one."""
    shutil.rmtree(folder, ignore_errors=True)
    git(root, "worktree", "prune")


@contextmanager
def scratch(var_dir: Path) -> Iterator[Path]:
    """Have a private folder in var/scratch for the length of the block.

    What killed processes left there goes first: the lock beside a folder ends with its process.
    """
    top = private(private(var_dir) / "scratch")
    folder = top / uuid.uuid4().hex
    with FileLock(top / "making"):
        for left in top.glob("*.lock"):
            with suppress(Timeout), FileLock(left, timeout=0):
                shutil.rmtree(left.with_suffix(""), ignore_errors=True)
                left.unlink()
        held = FileLock(f"{folder}.lock")
        held.acquire()
    try:
        yield private(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        Path(held.lock_file).unlink(missing_ok=True)
        held.release()


@contextmanager
def borrowed(root: Path, commit: str, into: Path) -> Iterator[Path]:
    """Check `commit` out for the length of the block."""
    try:
        yield checkout(root, commit, into)
    finally:
        discard(root, into)


def environment(project: Path, settings: Settings) -> Path:
    """Return the Python of an environment that holds just what `project`'s lock says.

    Environments are kept in var/envs, one for each lock and Python, and brought into line by uv
    every time, which takes a tenth of a second where nothing changed. Raises UserError where the
    lock cannot be installed or the Python is not installed.
    """
    version = (project / ".python-version").read_text(encoding="utf-8").strip()
    groups = lock.groups(project)
    name = "-".join([lock_sha256(project)[:16], f"py{version}", *groups[1:]])
    folder = settings.var_dir / "envs" / name
    python = folder / "bin" / "python"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not python.exists():
            at = interpreter(version, settings.root)
            _uv(settings.root, "venv", "--quiet", "--clear", "--python", at, str(folder))
        exports = [str(project / "requirements" / f"{group}.txt") for group in groups]
        wanted = ("pip", "sync", "--quiet", "--require-hashes", "--python", str(python), *exports)
        try:  # without the network first: it is faster, and a laptop may be on a train
            _uv(settings.root, *wanted, "--offline")
        except UserError:
            _uv(settings.root, *wanted)
    return python


def interpreter(version: str, root: Path) -> str:
    """Return the path of a Python `version` (3.12, say). Raises UserError where there is none."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return str(getattr(sys, "_base_executable", sys.executable))
    try:
        return _uv(root, "python", "find", "--no-python-downloads", version).strip()
    except UserError:
        pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
        found = sorted(pyenv.glob(f"{version}.*/bin/python"))
        if not found:
            raise UserError(f"the run needs Python {version}, which is not here") from None
        return str(found[-1])


def run_task(
    python: Path,
    project: Path,
    *arguments: str,
    given: Mapping[str, str] | None = None,
    platform: Platform | None = None,
) -> None:
    """Run `project`'s own ops.training.tasks in a new process under `python`.

    The process gets another hash seed and another thread count than this one: what depends on
    either would show. It runs as `platform` did: on its device, with as many workers, and with
    OpenBLAS's kernels for its processor; `given` are variables of its environment. It ends with
    this process, however that ends. Raises UserError with the task's own error line.
    """
    dropped = {"ML_OVERRIDES", "ML_ROOT", "ML_DATA_DIR", "ML_VAR_DIR", "VIRTUAL_ENV", "PYTHONHOME"}
    hash_seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    threads = "2" if os.environ.get("OMP_NUM_THREADS") == "3" else "3"
    alive, held = os.pipe()  # the task reads from it until nobody holds the other end
    try:
        process.run(
            python,
            "-m",
            f"{PACKAGE}.ops.training.tasks",
            *arguments,
            cwd=project,
            env={name: value for name, value in os.environ.items() if name not in dropped}
            | {
                "ML_ROOT": str(project),
                "ML_CALLER": str(alive),
                "PYTHONPATH": str(project / "src"),
                "PYTHONHASHSEED": hash_seed,
                "OMP_NUM_THREADS": threads,
            }
            | _as_on(platform)
            | dict(given or {}),
            inherits=[alive],
            name="in the separate process",
        )
    finally:
        os.close(alive)
        os.close(held)


def _as_on(platform: Platform | None) -> dict[str, str]:
    if platform is None:
        return {}
    kernels = {"OPENBLAS_CORETYPE": platform.blas} if platform.blas else {}
    return {"ML_DEVICE": platform.device, "ML_WORKERS": str(platform.workers), **kernels}


def _uv(project: Path, *arguments: str) -> str:
    """Run uv by the settings of `project`, not by those of the folder that the caller is in."""
    from uv import find_uv_bin

    env = {name: value for name, value in os.environ.items() if name not in _OF_CALLERS}
    name = f"uv {' '.join(arguments[:2])}"
    return process.run(find_uv_bin(), *arguments, cwd=project, env=env, name=name)
