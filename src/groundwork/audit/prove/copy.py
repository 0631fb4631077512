"""The copies that a proof works on: what git has committed, or the folder where git is not used."""

import os
from filecmp import cmp
from pathlib import Path
from shutil import copytree, ignore_patterns, rmtree

from groundwork.errors import UserError
from groundwork.update.git import GitError, git

# What commands rebuild. A folder without git is copied without them.
_REBUILT = (".venv", "venv", "__pycache__", ".tox", ".nox", ".mypy_cache", ".pytest_cache")


def take(folder: Path, into: Path) -> str:
    """Copy a repository, and return in words what was left out. Raises UserError.

    Links are copied as links, so what they lead to outside is not there for the copy.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    try:
        top = Path(git(folder, "rev-parse", "--show-toplevel").rstrip("\n"))
        git(folder, "rev-parse", "--verify", "HEAD")
    except GitError as error:
        if "dubious ownership" in str(error):
            raise UserError(f"{folder} cannot be cloned: {error}") from None
        top = None
    if top != folder.resolve():  # no git, no commit, or a folder in a bigger repository
        copytree(folder, into, symlinks=True, ignore=ignore_patterns(*_REBUILT))
        return "copied as it stands, as it is no git repository with a commit"
    try:
        # The user's templates and large files are not part of what is committed.
        own = {"GIT_LFS_SKIP_SMUDGE": "1", "GIT_TEMPLATE_DIR": ""}
        words = ("clone", "--quiet", "--no-local", str(folder.resolve()), str(into))
        git(folder, *words, environment=own)
        git(into, "remote", "remove", "origin")
        changed = _changes(folder, into)
    except GitError as error:
        raise UserError(f"{folder} cannot be cloned: {error}") from None
    if not changed:
        return ""
    more = f" and {len(changed) - 1} more" if changed[1:] else ""
    return f"left out, as it is not committed: {changed[0]}{more}"


def again(built: Path, into: Path, *, without: str = "") -> Path:
    """Copy a copy, but for one folder at its top, in whose place is an empty one.

    Sockets and pipes are left out.
    """

    def leave(folder: str, names: list[str]) -> list[str]:
        out = [name for name in names if not _is_plain(Path(folder, name))]
        return [*out, without] if without and Path(folder) == built else out

    copytree(built, into, symlinks=True, ignore=leave)
    if without:
        (into / without).mkdir()
    return into


def remove(folder: Path) -> None:
    """Remove a folder, whatever permissions were left in it."""
    for parent, names, _ in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink():
                path.chmod(0o700)
    rmtree(folder)


def _changes(folder: Path, copied: Path) -> list[str]:
    """Return the files that are not as committed. git status would run what a repository sets."""
    quiet = ("-c", "core.fsmonitor=false", "ls-files", "-z")
    tracked = git(folder, *quiet).split("\0")
    other = git(folder, *quiet, "--others", "--exclude-standard").split("\0")
    changed = [name for name in tracked if name and not _same(folder / name, copied / name)]
    return sorted({*changed, *filter(None, other)})


def _is_plain(path: Path) -> bool:
    return path.is_symlink() or path.is_file() or path.is_dir()


def _same(one: Path, other: Path) -> bool:
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() == other.is_symlink() and one.readlink() == other.readlink()
    if one.is_dir() or other.is_dir():  # a submodule
        return one.is_dir() == other.is_dir()
    return one.is_file() and other.is_file() and cmp(one, other, shallow=False)
