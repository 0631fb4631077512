"""What git says of the project."""

import os
import subprocess
from pathlib import Path

from ..core.errors import UserError


def git(root: Path, *arguments: str) -> str:
    """Return what `git` prints in `root`. Raises UserError with git's own last line."""
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(root), *arguments],  # noqa: S607
            check=True,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        raise UserError("git is not installed; a run is tied to its commit") from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"git {arguments[0]}: {last.removeprefix('fatal: ')}") from None
    return done.stdout


def git_state(root: Path) -> tuple[str | None, list[str]]:
    """Return the commit and the paths that differ from it; (None, []) where there is none.

    An image has no history: there ML_COMMIT names the commit that all of it is from.

    An untracked file counts only where it is code: a new notebook does not change a run. Nor does
    dvc.lock, which DVC writes while it runs.
    """
    try:
        commit = git(root, "rev-parse", "--verify", "HEAD").strip()
    except UserError:
        return os.environ.get("ML_COMMIT") or None, []
    prefix = git(root, "rev-parse", "--show-prefix").strip()
    lines = git(root, "status", "--porcelain", "-z", "--no-renames", "-uall", ".").split("\0")
    changes = [(line[:2], line[3:].removeprefix(prefix)) for line in lines if line]
    return commit, [
        path
        for kind, path in changes
        if (kind != "??" or path.startswith("src/")) and path != "dvc.lock"
    ]
