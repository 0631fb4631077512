"""What git says of the project."""

import os
import shutil
from pathlib import Path

from ..core import process
from ..core.errors import UserError

# By these, a hook of git leads every git command to the hook's own repository.
OF_HOOKS = {
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX"),
    *("GIT_NAMESPACE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES"),
    "GIT_QUARANTINE_PATH",
}
# What git says where there is no repository, and where one has no commit: nothing, and status 1.
_NO_REPOSITORY = "not a git repository (or any"
_NO_COMMIT = "it ended with status 1 and said nothing"


def git(root: Path, *arguments: str) -> str:
    """Return what `git` prints in `root`. Raises UserError with git's own reason."""
    if shutil.which("git") is None:
        raise UserError("git is not installed; a run is tied to its commit")
    environment = {name: value for name, value in os.environ.items() if name not in OF_HOOKS}
    environment["LC_ALL"] = "C"
    try:
        return process.run("git", *arguments, cwd=root, env=environment, name=f"git {arguments[0]}")
    except UserError as error:
        if "dubious ownership" not in str(error):
            raise
        mend = "become its owner, or add it to git's setting safe.directory"
        raise UserError(f"{error}; {mend}") from None


def git_state(root: Path) -> tuple[str | None, list[str]]:
    """Return the commit and the paths that differ from it; (None, []) where there is none.

    An image has no history: there ML_COMMIT names the commit that all of it is from.

    An untracked file counts only where it is code: a new notebook does not change a run. Nor does
    dvc.lock, which DVC writes while it runs. Raises UserError where git cannot tell, such as in
    another user's checkout.
    """
    given = os.environ.get("ML_COMMIT")
    if given and shutil.which("git") is None:
        return given, []
    try:
        commit = git(root, "rev-parse", "--verify", "--quiet", "HEAD").strip()
    except UserError as error:
        if _NO_REPOSITORY not in str(error):
            if not str(error).endswith(_NO_COMMIT):
                raise
            # It says the same of a branch whose file was damaged; this fails then.
            git(root, "symbolic-ref", "HEAD")
        return given or None, []
    prefix = git(root, "rev-parse", "--show-prefix").strip()
    lines = git(root, "status", "--porcelain", "-z", "--no-renames", "-uall", ".").split("\0")
    changes = [(line[:2], line[3:].removeprefix(prefix)) for line in lines if line]
    return commit, [
        path
        for kind, path in changes
        if (kind != "??" or path.startswith("src/")) and path != "dvc.lock"
    ]
