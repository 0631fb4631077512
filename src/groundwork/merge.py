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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
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
    stages: list[str]  # what `git update-index --index-info` takes to mark the conflicts


class Change(NamedTuple):
    """A file of the standard that is not as the standard has it."""

    path: str
    deleted: bool
    added_lines: int
    removed_lines: int


# What a setting of the user's must not change: trees are made and compared byte for byte.
SETTINGS = {
    "core.autocrlf": "false",
    "core.safecrlf": "false",
    "core.bare": "false",
    "core.fileMode": "true",
    "core.symlinks": "true",
    "core.sparseCheckout": "false",
    "merge.conflictStyle": "merge",
}


class Repository:
    """A project's folder in a git repository, or a bare repository with the project at its root."""

    def __init__(self, folder: Path) -> None:
        """Find the repository that `folder` is in. Raises GitError where there is none."""
        self.folder = folder.resolve()
        self.git_dir = git(self.folder, "rev-parse", "--absolute-git-dir").removesuffix("\n")
        bare = git(self.folder, "rev-parse", "--is-bare-repository").strip() == "true"
        self.prefix = git(self.folder, "rev-parse", "--show-prefix").removesuffix("\n")
        self.root = self.folder
        if not bare:
            self.root = Path(git(self.folder, "rev-parse", "--show-toplevel").removesuffix("\n"))
        # As long as the names of objects are here: SHA-1 or SHA-256.
        self.nothing = "0" * len(git(self.folder, "hash-object", "--stdin").strip())

    @cached_property
    def head(self) -> str:
        """The commit that all is about, whatever is committed meanwhile."""
        return self.git("rev-parse", "--verify", "HEAD^{commit}").strip()

    def git(
        self, *arguments: str, stdin: str = "", work_tree: Path | None = None, index: str = ""
    ) -> str:
        """Run git on the object store, with a work tree and an index of one's own if given."""
        where = {"GIT_DIR": self.git_dir} | AUTHOR
        if index:
            where["GIT_INDEX_FILE"] = index
        if work_tree:
            where["GIT_WORK_TREE"] = str(work_tree)
        given = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        return git(work_tree or self.folder, *given, *arguments, stdin=stdin, environment=where)

    @contextmanager
    def index(self, tree: str = "") -> Iterator[str]:
        """Yield the path of an index that is empty or holds a tree."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "index")  # noqa: PTH118 - git takes it as text
            if tree:
                self.git("read-tree", tree, index=path)
            yield path

    def tree(self, commit: str = "") -> str:
        """Return the tree of the project's folder in a commit: in `head`, if none is named."""
        return self.git("rev-parse", "--verify", f"{commit or self.head}:{self.prefix}").strip()

    def worked_on(self) -> str:
        """Return the tree of the project's folder as it is checked out, with what was edited."""
        return self.tree(git(self.folder, "stash", "create", environment=AUTHOR).strip())

    def tree_of(self, folder: Path) -> str:
        """Return a folder as a tree, with what git would ignore."""
        with self.index() as index:
            self.git("add", "--all", "--force", ".", work_tree=folder, index=index)
            return self.git("write-tree", index=index).strip()

    def files(self, tree: str) -> dict[str, str]:
        """Return what `git update-index --index-info` takes for each file of a tree."""
        lines = self.git("ls-tree", "-r", "-z", "--full-tree", tree).split("\0")
        return {line.split("\t", 1)[1]: line for line in lines if line}

    def changed(self, tree: str, *, drop: Iterable[str] = (), put: Iterable[str] = ()) -> str:
        """Return a tree without the files `drop` and with the entries `put`."""
        gone = [f"0 {self.nothing}\t{name}" for name in drop]
        text = "".join(f"{line}\0" for line in [*gone, *put])
        with self.index(tree) as index:
            self.git("update-index", "-z", "--index-info", stdin=text, index=index)
            return self.git("write-tree", index=index).strip()

    def text(self, entry: str) -> str:
        """Return a file's content, by the line that `files` has for it."""
        return self.git("cat-file", "blob", entry.split()[2])

    def entry(self, text: str, path: str, mode: str = "100644") -> str:
        """Store a text, and return what `git update-index --index-info` takes for it."""
        blob = self.git("hash-object", "-w", "--stdin", stdin=text).strip()
        return f"{mode} blob {blob}\t{path}"

    def write(self, tree: str, folder: Path) -> None:
        """Write a tree's files into an empty folder."""
        folder.mkdir(parents=True, exist_ok=True)
        with self.index(tree) as index:
            self.git("checkout-index", "--all", "--force", work_tree=folder, index=index)

    def commit(self, tree: str, *parents: str) -> str:
        """Return a commit of a tree for git to merge, on no branch and in nobody's name."""
        said = [word for parent in parents for word in ("-p", parent)]
        return self.git("commit-tree", tree, *said, "-m", "merge").strip()

    def commit_project(self, tree: str, message: str) -> str:
        """Return a commit, on no branch, after `head` with `tree` as the project's folder."""
        whole = self.whole(tree)
        return git(self.folder, "commit-tree", whole, "-p", self.head, "-m", message).strip()

    def whole(self, tree: str) -> str:
        """Return the tree of `head` with `tree` as the project's folder."""
        if not self.prefix:
            return tree
        names = [f"{self.prefix}{name}" for name in self.files(self.tree())]
        with self.index(self.changed(self.head + "^{tree}", drop=names)) as index:
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
        ["git", "-c", "safe.bareRepository=all", *arguments],
        cwd=folder,
        env=inherited | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"} | (environment or {}),
        # Bytes both ways: names and files may hold any, line ends of all kinds among them.
        input=stdin.encode("utf-8", "surrogateescape"),
        capture_output=True,
        check=False,
    )
    # A merge with conflicts ends with 1.
    if done.returncode not in ({0, 1} if "merge-tree" in arguments else {0}):
        raise GitError(_said(done.stderr.decode("utf-8", "replace")))
    return done.stdout.decode("utf-8", "surrogateescape")


def _said(stderr: str) -> str:
    """Return the line that says why git failed."""
    if "usage: git merge-tree" in stderr:
        return "this needs git 2.38 or newer; copier update works with an older one"
    lines = [line.strip() for line in stderr.splitlines() if not line.startswith("hint:")]
    # A push tells on whose behalf it speaks, and ssh what it learned, before what went wrong.
    why = [line for line in lines if line.startswith(("fatal: ", "error: ", "remote: ", "! "))]
    said = (why or lines[-1:] or ["git failed"])[0]
    return said.removeprefix("fatal: ").removeprefix("error: ")


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


def merge(repository: Repository, old: Path, new: Path) -> Merged:
    """Merge what the renders `old` and `new` differ by into the project, as it is committed.

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
        tree = repository.tree_of(folder)
        return repository.changed(
            tree, drop=[name for name in repository.files(tree) if among(name, yours)]
        )

    base, theirs, before = standard(old), standard(new), repository.tree()
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

    files = repository.files(merged.tree)
    texts = {name: repository.text(files[name]) for name in merged.conflicts if _plain(files, name)}
    for name, text in texts.items():
        texts[name] = text.replace(f" {mine}", " yours").replace(f" {its}", " the standard")
    lock = repository.files(before).get(LOCK)
    if lock and LOCK in files and not resolved(repository, merged, new):
        texts[LOCK] = joined(repository.text(lock), repository.text(files[LOCK]))
    put = [repository.entry(text, name, files[name].split()[0]) for name, text in texts.items()]
    return merged._replace(tree=repository.changed(merged.tree, put=put))


def _plain(files: dict[str, str], name: str) -> bool:
    """Whether a name is that of a file, not of a link, a submodule or nothing."""
    return name in files and files[name].startswith("100")


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
        repository.changed(tree, drop=gone),
        [path for path in stages if path not in settled],
        kept,
        [one for one in entries if one.split("\t", 1)[1] not in settled],
    )


def resolved(repository: Repository, merged: Merged, new: Path) -> bool:
    """Whether a merged project depends on what the standard does, so that its lock is right.

    A pyproject.toml that cannot be read has a conflict, so it is not.
    """

    def wanted(text: str) -> object:
        content = tomllib.loads(text)
        project = content.get("project", {})
        keys = ("requires-python", "dependencies", "optional-dependencies")
        groups = content.get("dependency-groups")
        return [project.get(key) for key in keys], groups, content.get("tool", {}).get("poetry")

    entry = repository.files(merged.tree).get(PYPROJECT)
    try:
        standard = (new / PYPROJECT).read_text(encoding="utf-8")
        return entry is not None and wanted(repository.text(entry)) == wanted(standard)
    except (OSError, ValueError):
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
    standard = repository.tree_of(render)
    there = repository.files(tree)
    told = repository.git("diff-tree", "-r", "-z", "--no-renames", "--numstat", standard, tree)
    changes = []
    for line in filter(None, told.split("\0")):
        added, removed, path = line.split("\t", 2)
        lines = [int(number) if number.isdigit() else 0 for number in (added, removed)]
        changes.append(Change(path, path not in there, *lines))
    shipped = repository.files(standard)
    return [one for one in changes if one.path in shipped and not among(one.path, skipped)]


def apply(repository: Repository, tree: str, stages: list[str]) -> None:
    """Make the checkout and the index what was merged. The checkout must be clean.

    Raises:
        GitError: a file in the way would be lost, HEAD has moved on, or git failed.
    """
    folder, prefix, head = repository.folder, repository.prefix, repository.head
    if git(folder, "rev-parse", "HEAD").strip() != head:
        raise GitError("there is another commit since this began; run it again")
    whole = repository.whole(tree)
    # git would overwrite what it ignores without a word.
    known = repository.files(head + "^{tree}")
    for name in repository.files(whole).keys() - known.keys():
        for place in (name, *map(str, Path(name).parents[:-1])):
            there = repository.root / place
            if place not in known and (
                there.is_symlink() or there.is_file() or (place == name and there.exists())
            ):
                raise GitError(f"{place} is in the way, and git ignores it: move it elsewhere")
    git(folder, "read-tree", "-m", "-u", head, whole)
    lines: list[str] = []
    for entry in stages:
        about, path = entry.split("\t", 1)
        if f"0 {repository.nothing}\t{prefix}{path}" not in lines:
            lines.append(f"0 {repository.nothing}\t{prefix}{path}")
        lines.append(f"{about}\t{prefix}{path}")
    text = "".join(f"{line}\0" for line in lines)
    git(folder, "update-index", "-z", "--index-info", stdin=text)


def main(arguments: list[str]) -> int:
    """Do one step of scripts/update.sh in its folder WORK, or tell what was changed here."""
    repository = Repository(Path.cwd())
    if arguments[0] == "drift":
        changes = drift(repository, Path(arguments[1]), repository.worked_on())
        for path, deleted, added, removed in changes:
            print("deleted" if deleted else f"+{added} -{removed}", path, sep="\t")
        return 0
    work = Path(arguments[1])
    state, folder = work / "merged.txt", work / "tree"
    if arguments[0] == "merge":
        merged = merge(repository, work / "old", work / "new")
        told = "\0".join([repository.head, merged.tree, *merged.stages])
        state.write_bytes(told.encode("utf-8", "surrogateescape"))
        for what in ("conflicts", "kept"):
            text = "".join(f"{name}\n" for name in getattr(merged, what))
            (work / what).write_bytes(text.encode("utf-8", "surrogateescape"))
        print("same" if merged.tree == repository.tree() else "changed")
        if resolved(repository, merged, work / "new"):
            print("resolved")
        else:  # scripts/lock.sh is to run on a copy
            repository.write(merged.tree, folder)
            print("own")
    else:
        head, tree, *stages = state.read_bytes().decode("utf-8", "surrogateescape").split("\0")
        repository.head = head
        if folder.is_dir():
            tree = _with_lock(repository, tree, folder, ownership(work / "new"))
        apply(repository, tree, stages)
    return 0


def _with_lock(repository: Repository, tree: str, folder: Path, lists: dict[str, list[str]]) -> str:
    """Return a tree with what scripts/lock.sh made anew in a copy of it."""
    generated = lists.get("generated", [])
    made = [
        path
        for place in generated
        for path in ((folder / place).rglob("*") if place.endswith("/") else [folder / place])
        if path.is_file()
    ]
    texts = {
        path.relative_to(folder).as_posix(): path.read_bytes().decode("utf-8", "surrogateescape")
        for path in made
    }
    gone = [name for name in repository.files(tree) if among(name, generated)]
    put = [repository.entry(text, name) for name, text in texts.items()]
    return repository.changed(tree, drop=gone, put=put)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (GitError, OSError) as error:
        sys.exit(f"error: {error}")
