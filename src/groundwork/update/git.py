"""git, run on a folder independently of the caller's environment; its errors in one line."""

import os
import subprocess
from pathlib import Path

# By these, a hook of git leads every git command to the hook's own repository.
OF_HOOKS = {
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX"),
    *("GIT_NAMESPACE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES"),
    "GIT_QUARANTINE_PATH",
}


class GitError(Exception):
    """What git said when it failed, in one line."""


def git(
    folder: Path, *arguments: str, stdin: str = "", environment: dict[str, str] | None = None
) -> str:
    """Run git in a folder and return what it printed. Raises GitError."""
    inherited = {name: value for name, value in os.environ.items() if name not in OF_HOOKS}
    done = subprocess.run(
        ["git", "-c", "safe.bareRepository=all", *arguments],
        cwd=folder,
        env=inherited | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"} | (environment or {}),
        # Bytes both ways: names and files may hold any, line ends of all kinds among them.
        input=stdin.encode("utf-8", "surrogateescape"),
        capture_output=True,
        check=False,
    )
    # A merge with conflicts ends with 1, and so does a question of which the answer is none.
    asks = {"merge-tree", "check-ignore", "--get-regexp"} & {*arguments}
    if done.returncode not in ({0, 1} if asks else {0}):
        raise GitError(_said(done.stderr.decode("utf-8", "replace")))
    return done.stdout.decode("utf-8", "surrogateescape")


def _said(stderr: str) -> str:
    """Return the line that says why git failed."""
    if "usage: git merge-tree" in stderr:
        return "this needs git 2.38 or newer; copier update works with an older one"
    lines = [line.strip() for line in stderr.splitlines() if not line.startswith("hint:")]
    # Before the cause, a push names its remote, and ssh the host keys that it has added.
    why = [line for line in lines if line.startswith(("fatal: ", "error: ", "remote: ", "! "))]
    said = (why or lines[-1:] or ["git failed"])[0]
    return said.removeprefix("fatal: ").removeprefix("error: ")
