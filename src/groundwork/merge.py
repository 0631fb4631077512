"""Merge what changed between two versions of the standard into a project, with git's own merge.

Needs git 2.38 and nothing but Python's own library: the same file is scripts/merge.py in every
project, where scripts/update.sh runs it.

It works on trees in git's object store, so nothing that is checked out changes before `apply`.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

# Whose file is which. A render has it at this place.
OWNERSHIP = Path("docs/ownership.yml")
ANSWERS = ".copier-answers.yml"
LOCK, PYPROJECT = "poetry.lock", "pyproject.toml"
# Objects that are never part of a history still need an author.
AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "update"), ("EMAIL", "update@localhost"), ("DATE", "@0 +0000"))
}


class GitError(Exception):
    """What git said when it failed, in one line."""


class Merged(NamedTuple):
    """A project's folder as it is after an update."""

    tree: str  # git's name of it
    conflicts: list[str]  # both sides changed the same lines
    kept: list[str]  # dropped by the standard, changed here: now the project's own
    stages: str  # what `git update-index --index-info` takes to mark the conflicts


class Change(NamedTuple):
    """A file of the standard that is not as the standard has it."""

    path: str
    deleted: bool
    added_lines: int
    removed_lines: int


class Repository:
    """A project's folder in a git repository, or a bare repository with the project at its root."""

    def __init__(self, folder: Path) -> None:
        """Find the repository that `folder` is in. Raises GitError where there is none."""
        self.folder = folder.resolve()
        self.git_dir = git(self.folder, "rev-parse", "--absolute-git-dir").strip()
        bare = git(self.folder, "rev-parse", "--is-bare-repository").strip() == "true"
        self.prefix = "" if bare else git(self.folder, "rev-parse", "--show-prefix").strip()
        # As long as the names of objects are here: SHA-1 or SHA-256.
        self.nothing = "0" * len(git(self.folder, "hash-object", "--stdin").strip())

    def git(
        self, *arguments: str, stdin: str = "", work_tree: Path | None = None, index: str = ""
    ) -> str:
        """Run git on the object store, with a work tree and an index of one's own if given."""
        where = {"GIT_DIR": self.git_dir} | AUTHOR
        if index:
            where["GIT_INDEX_FILE"] = index
        # Line endings and filters are a matter of the checkout, not of the merge.
        given = ["-c", "core.autocrlf=false", "-c", "core.safecrlf=false", "-c", "core.bare=false"]
        if work_tree:
            where["GIT_WORK_TREE"] = str(work_tree)
        return git(work_tree or self.folder, *given, *arguments, stdin=stdin, environment=where)

    @contextmanager
    def index(self, tree: str = "") -> Iterator[str]:
        """Yield the path of an index that is empty or holds a tree."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "index")  # noqa: PTH118 - git takes it as text
            if tree:
                self.git("read-tree", tree, index=path)
            yield path

    def tree(self, commit: str = "HEAD") -> str:
        """Return the tree of the project's folder in a commit."""
        return self.git("rev-parse", "--verify", f"{commit}:{self.prefix}").strip()

    def tree_of(self, folder: Path, start: str = "", *, ignored: bool = False) -> str:
        """Return a folder as a tree; of the files that git ignores, those of `start` or all."""
        with self.index(start) as index:
            force = ["--force"] if ignored else []
            self.git("add", "--all", *force, ".", work_tree=folder, index=index)
            return self.git("write-tree", index=index).strip()

    def files(self, tree: str) -> dict[str, str]:
        """Return what `git update-index --index-info` takes for each file of a tree."""
        lines = self.git("ls-tree", "-r", "-z", "--full-tree", tree).split("\0")
        return {line.split("\t", 1)[1]: line for line in lines if line}

    def changed(self, tree: str, *, drop: list[str], put: list[str]) -> str:
        """Return a tree without the files `drop` and with the entries `put`."""
        gone = [f"0 {self.nothing}\t{name}" for name in drop]
        text = "".join(f"{line}\0" for line in gone + put)
        with self.index(tree) as index:
            self.git("update-index", "-z", "--index-info", stdin=text, index=index)
            return self.git("write-tree", index=index).strip()

    def entry(self, text: str, path: str) -> str:
        """Store a text, and return what `git update-index --index-info` takes for it."""
        blob = self.git("hash-object", "-w", "--stdin", stdin=text).strip()
        return f"100644 {blob}\t{path}"

    def write(self, tree: str, folder: Path) -> None:
        """Write a tree's files into an empty folder."""
        folder.mkdir(parents=True, exist_ok=True)
        with self.index(tree) as index:
            self.git("checkout-index", "--all", "--force", work_tree=folder, index=index)

    def commit(self, tree: str, *parents: str, message: str = "merge") -> str:
        """Return a commit of a tree, on no branch."""
        said = [word for parent in parents for word in ("-p", parent)]
        return self.git("commit-tree", tree, *said, "-m", message).strip()

    def commit_project(self, tree: str, message: str) -> str:
        """Return a commit, on no branch, after HEAD with `tree` as the project's folder."""
        root = self.root(tree)
        return git(self.folder, "commit-tree", root, "-p", "HEAD", "-m", message).strip()

    def root(self, tree: str) -> str:
        """Return HEAD's tree with `tree` as the project's folder."""
        if not self.prefix:
            return tree
        names = [f"{self.prefix}{name}" for name in self.files(self.tree())]
        with self.index(self.changed("HEAD^{tree}", drop=names, put=[])) as index:
            self.git("read-tree", f"--prefix={self.prefix}", tree, index=index)
            return self.git("write-tree", index=index).strip()


def git(
    folder: Path, *arguments: str, stdin: str = "", environment: dict[str, str] | None = None
) -> str:
    """Run git in a folder and return what it printed. Raises GitError."""
    # What git was told by the caller, such as a hook, is about another repository.
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"}
    }
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=inherited | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"} | (environment or {}),
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )
    # A merge with conflicts ends with 1.
    if done.returncode not in ({0, 1} if "merge-tree" in arguments else {0}):
        lines = [line for line in done.stderr.splitlines() if not line.startswith("hint:")]
        said = (lines or ["git failed"])[0].removeprefix("fatal: ").removeprefix("error: ")
        if said.startswith("usage: git merge-tree"):
            said = "this needs git 2.38 or newer; copier update works with an older one"
        raise GitError(said)
    return done.stdout


def ownership(render: Path) -> dict[str, list[str]]:
    """Return the paths under each heading of a render's docs/ownership.yml; none if it has none."""
    found: dict[str, list[str]] = {}
    heading = ""
    path = render / OWNERSHIP
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        if key := re.fullmatch(r"(\w+):.*", line):
            heading = key[1]
        elif item := re.fullmatch(r" +- /(.+)", line):
            found.setdefault(heading, []).append(item[1])
    return found


def among(name: str, paths: list[str]) -> bool:
    """Whether a file is one of these paths, or in one that ends with a slash."""
    return any(name == path or (path.endswith("/") and name.startswith(path)) for path in paths)


def merge(repository: Repository, old: Path, new: Path, commit: str = "HEAD") -> Merged:
    """Merge what the renders `old` and `new` differ by into a commit of the project.

    What is the project's own is left out. What is generated is the new standard's where the
    project depends on nothing else; else the lock holds the standard's packages and the project's,
    and has to be resolved: see `resolved`.

    Raises:
        GitError: git failed, for example on a full disk.
    """
    lists = [ownership(old), ownership(new)]
    yours = [path for each in lists for path in each.get("yours", [])]
    # Copier writes the answers, as both renders were given them.
    generated = [ANSWERS, *(path for each in lists for path in each.get("generated", []))]

    def standard(folder: Path) -> str:
        tree = repository.tree_of(folder, ignored=True)
        own = [name for name in repository.files(tree) if among(name, yours)]
        return repository.changed(tree, drop=own, put=[])

    base, theirs, before = standard(old), standard(new), repository.tree(commit)
    # As if the generated files had never been touched here: the new ones come in whole.
    made = repository.files(base)
    ours = repository.changed(
        before,
        drop=[name for name in made if among(name, generated)],
        put=[line for name, line in made.items() if among(name, generated)],
    )
    root = repository.commit(base)
    mine, its = repository.commit(ours, root), repository.commit(theirs, root)
    tree, *told = repository.git("merge-tree", "--write-tree", "-z", mine, its).split("\0")
    merged = _settle(repository, tree, told[: told.index("")] if "" in told else [])
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        repository.write(merged.tree, folder)
        _label(folder, merged.conflicts, {mine: "yours", its: "the standard", root: "before"})
        lock = repository.files(before).get(LOCK)
        if lock and not resolved(folder, new):
            mine_lock = repository.git("cat-file", "blob", lock.split()[2])
            both = joined(mine_lock, (folder / LOCK).read_text(encoding="utf-8"))
            (folder / LOCK).write_text(both, encoding="utf-8")
        return merged._replace(tree=repository.tree_of(folder, merged.tree))


def _settle(repository: Repository, tree: str, entries: list[str]) -> Merged:
    """Tell the conflicts that need a person from those that have an answer."""
    stages: dict[str, list[str]] = {}
    for entry in entries:
        about, path = entry.split("\t", 1)
        stages.setdefault(path, []).append(about.split()[2])
    # The standard drops what was changed here: it stays, as the project's own.
    kept = [path for path, found in stages.items() if found == ["1", "2"]]
    # The standard changes what was deleted here: it stays deleted.
    gone = [path for path, found in stages.items() if found == ["1", "3"]]
    settled = {*kept, *gone}
    return Merged(
        repository.changed(tree, drop=gone, put=[]),
        [path for path in stages if path not in settled],
        kept,
        "".join(f"{one}\0" for one in entries if one.split("\t", 1)[1] not in settled),
    )


def _label(folder: Path, names: list[str], labels: dict[str, str]) -> None:
    """Say whose lines are whose in place of the names of commits."""
    for name in names:
        path = folder / name
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            for commit, label in labels.items():
                content = content.replace(b" " + commit.encode(), b" " + label.encode())
            path.write_bytes(content)


def resolved(merged: Path, new: Path) -> bool:
    """Whether a merged project depends on what the standard does, so that its lock is right.

    A pyproject.toml that cannot be read has a conflict, so it is not.
    """

    def wanted(folder: Path) -> object:
        text = (folder / PYPROJECT).read_text(encoding="utf-8")
        content = tomllib.loads(text)
        project = content.get("project", {})
        keys = ("requires-python", "dependencies", "optional-dependencies")
        groups = content.get("dependency-groups")
        return [project.get(key) for key in keys], groups, content.get("tool", {}).get("poetry")

    try:
        return wanted(merged) == wanted(new)
    except (OSError, tomllib.TOMLDecodeError):
        return False


def joined(mine: str, standard: str) -> str:
    """Return the standard's lock with the packages added that only the project has."""

    def blocks(text: str) -> tuple[str, dict[str, str], str]:
        packages, tail = re.split(r"(?m)^(?=\[(?:extras|metadata)\])", text, maxsplit=1)
        head, *found = re.split(r"(?m)^(?=\[\[package\]\])", packages)
        named: dict[str, str] = {}
        for block in found:  # a package may be there more than once, for each Python
            name = re.findall(r'name = "(.+)"', block)[0]
            named[name] = named.get(name, "") + block
        return head, named, tail

    try:
        head, theirs, tail = blocks(standard)
        _, ours, _ = blocks(mine)
    except (ValueError, IndexError):  # no lock that can be read: Poetry resolves from nothing
        return standard
    own = [block for name, block in ours.items() if name not in theirs]
    return "".join([head, *theirs.values(), *own, tail])


def drift(repository: Repository, render: Path, tree: str) -> list[Change]:
    """Return which files of the standard, as rendered, are not so in a tree of the project."""
    lists = ownership(render)
    skipped = [*lists.get("yours", []), *lists.get("generated", []), ANSWERS]
    standard = repository.tree_of(render, ignored=True)
    there = repository.files(tree)
    told = repository.git("diff-tree", "-r", "-z", "--no-renames", "--numstat", standard, tree)
    changes = []
    for line in filter(None, told.split("\0")):
        added, removed, path = line.split("\t", 2)
        lines = [int(number) if number.isdigit() else 0 for number in (added, removed)]
        changes.append(Change(path, path not in there, *lines))
    shipped = repository.files(standard)
    return [one for one in changes if one.path in shipped and not among(one.path, skipped)]


def apply(repository: Repository, merged: Merged) -> None:
    """Make the checkout and the index what was merged. The checkout must be clean.

    Raises:
        GitError: a file in the way would be lost, or git failed.
    """
    prefix = repository.prefix
    git(repository.folder, "read-tree", "-m", "-u", "HEAD", repository.root(merged.tree))
    lines: list[str] = []
    marked: list[str] = []
    for entry in filter(None, merged.stages.split("\0")):
        about, path = entry.split("\t", 1)
        if path not in marked:
            marked.append(path)
            lines.append(f"0 {repository.nothing}\t{prefix}{path}\0")
        lines.append(f"{about}\t{prefix}{path}\0")
    git(repository.folder, "update-index", "-z", "--index-info", stdin="".join(lines))


def main(arguments: list[str]) -> int:
    """Do one step of scripts/update.sh in its folder WORK, or tell what was changed here."""
    repository = Repository(Path.cwd())
    if arguments[0] == "drift":
        files = repository.tree_of(Path.cwd())
        changes = drift(repository, Path(arguments[1]), files)
        for path, deleted, added, removed in changes:
            print("deleted" if deleted else f"+{added} -{removed}", path, sep="\t")
        return 0
    work = Path(arguments[1])
    state, tree = work / "merged.txt", work / "tree"
    if arguments[0] == "merge":
        merged = merge(repository, work / "old", work / "new")
        repository.write(merged.tree, tree)
        state.write_text(f"{merged.tree}\n{merged.stages}", "utf-8", "surrogateescape")
        for what in ("conflicts", "kept"):
            (work / what).write_text("".join(f"{name}\n" for name in getattr(merged, what)))
        print("same" if merged.tree == repository.tree() else "changed")
        print("resolved" if resolved(tree, work / "new") else "own")
    else:
        start, stages = state.read_text("utf-8", "surrogateescape").split("\n", 1)
        # With what was locked in the meantime.
        apply(repository, Merged(repository.tree_of(tree, start), [], [], stages))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (GitError, OSError) as error:
        sys.exit(f"error: {error}")
