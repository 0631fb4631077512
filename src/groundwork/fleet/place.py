"""Where a project lies: a folder, a bare repository or an address, each at its default branch."""

import fcntl
import re
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from groundwork.errors import UserError
from groundwork.update.git import GitError, git
from groundwork.update.repository import Repository

# As pip names a folder of a repository.
WITHIN = "#subdirectory="


@dataclass
class Place:
    """A project at its default branch."""

    # At the default branch's commit.
    repository: Repository
    branch: str
    # Its remote's name in that repository and its address; empty where there is none.
    remote: str = ""
    address: str = ""
    # Where branches go to the remote: those that are there.
    pushed: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    # Where its records are, if it is checked out here.
    checkout: Path | None = None

    def has(self, branch: str) -> str:
        """Return what a branch is called where it is there, or nothing."""
        if self.pushed:
            return branch if branch in self.branches else ""
        known = {f"refs/heads/{branch}": branch}
        if self.remote:
            known[f"refs/remotes/{self.remote}/{branch}"] = f"{self.remote}/{branch}"
        there = self.repository.git("for-each-ref", "--format=%(refname)", *known).split()
        return next((name for ref, name in known.items() if ref in there), "")

    def make(self, branch: str, commit: str) -> None:
        """Make a new branch: at the remote where it is an address, else in the repository."""
        folder, ref = self.repository.folder, f"refs/heads/{branch}"
        if self.pushed:
            git(folder, "push", "--quiet", self.remote, f"{commit}:{ref}")
        else:
            git(folder, "update-ref", ref, commit, "0" * len(commit))


def opened(name: str, cache: Path) -> Place:
    """Return a project's place; an address is cloned into `cache`, once for all its projects.

    Raises:
        UserError: it cannot be told where the project is.
        GitError: git said why not, such as a host that does not answer.
    """
    address, _, within = name.partition(WITHIN)
    if re.match(r"[\w.+-]+://|[\w.-]+@[\w.-]+:", name):
        place = _cloned(address, cache, _folder(within))
    else:
        place = _local(Path(name), "") if Path(name).is_dir() else _local(Path(address), within)
    try:
        place.repository.tree()
    except GitError:
        prefix = place.repository.prefix.rstrip("/")
        raise UserError(f"{place.branch} has no folder {prefix}") from None
    return place


def kept(cache: Path, name: str) -> Path:
    """Return where what is known by a name of any length is kept."""
    return cache / sha256(name.encode()).hexdigest()[:16]


def _folder(within: str) -> str:
    parts = [part for part in within.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise UserError(f"{WITHIN}{within} leaves the repository")
    return "".join(f"{part}/" for part in parts)


def _cloned(address: str, cache: Path, within: str) -> Place:
    clone = kept(cache / "projects", address)
    clone.parent.mkdir(exist_ok=True)
    branch, branches = _asked(clone.parent, address)
    with Path(f"{clone}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not clone.exists():
            options = ("--quiet", "--bare", "--depth", "1", "--origin", "origin")
            git(clone.parent, "clone", *options, "--branch", branch, "--", address, f"{clone}.part")
            Path(f"{clone}.part").rename(clone)
    repository = Repository(clone, f"refs/heads/{branch}", within=within)
    return Place(repository, branch, "origin", address, pushed=True, branches=branches)


def _asked(folder: Path, remote: str) -> tuple[str, dict[str, str]]:
    """Return which branch a remote calls its default, and the commits of all its branches."""
    lines = git(folder, "ls-remote", "--symref", "--", remote).splitlines()
    pairs = [line.split("\t", 1) for line in lines]
    start = "refs/heads/"
    heads = {ref.removeprefix(start): one for one, ref in pairs if ref.startswith(start)}
    named = [one for one, ref in pairs if ref == "HEAD" and one.startswith("ref: ")]
    if not named:
        why = "its HEAD names no branch that is there" if heads else "it has no commit"
        raise UserError(f"the remote's default branch cannot be told: {why}")
    return named[0].removeprefix(f"ref: {start}"), heads


def _local(folder: Path, within: str) -> Place:
    if not folder.is_dir():
        raise UserError("there is no such folder")
    try:
        repository = Repository(folder)
    except GitError:
        raise UserError("it is not a git repository with a commit") from None
    bare = repository.bare
    if within and not bare:
        raise UserError(f"{WITHIN} is for addresses and bare repositories; give that folder itself")
    remote = "" if bare else _remote(folder)
    if remote:
        branch, ref = _followed(folder, remote)
        address = git(folder, "remote", "get-url", remote).strip()
        place = Place(Repository(folder, ref), branch, remote, address, checkout=folder)
    else:
        branch = _present(folder)
        at = Repository(folder, f"refs/heads/{branch}", within=_folder(within))
        place = Place(at, branch, checkout=None if bare else folder)
    try:
        _ = place.repository.head
    except GitError:
        why = f"{branch} of {remote} is not here; run git fetch {remote}"
        raise UserError(why if remote else "it is not a git repository with a commit") from None
    return place


def _remote(folder: Path) -> str:
    """Return the name of the remote that a checkout follows, or nothing where there is none."""
    names = git(folder, "remote").split()
    if "origin" in names or len(names) <= 1:
        return "origin" if "origin" in names else "".join(names)
    raise UserError(
        f"its default branch cannot be told: none of its remotes {', '.join(names)} is origin"
    )


def _followed(folder: Path, remote: str) -> tuple[str, str]:
    """Return a remote's default branch, and the reference that a checkout has for it."""
    known = f"refs/remotes/{remote}/"
    try:
        ref = git(folder, "symbolic-ref", "--quiet", f"{known}HEAD").strip()
        git(folder, "rev-parse", "--quiet", "--verify", f"{ref}^{{commit}}")
    except GitError:  # never set, or of a branch that is gone
        try:
            branch, _ = _asked(folder, remote)
        except GitError as error:
            raise UserError(
                f"its default branch cannot be told: {known}HEAD names none here, "
                f"and {remote} does not answer: {error}"
            ) from None
        return branch, known + branch
    return ref.removeprefix(known), ref


def _present(folder: Path) -> str:
    """Return the branch that a clone of a repository without a remote would be on."""
    try:
        return git(folder, "symbolic-ref", "--quiet", "--short", "HEAD").strip()
    except GitError:
        raise UserError(
            "its default branch cannot be told: it has no remote, and HEAD is on no branch"
        ) from None
