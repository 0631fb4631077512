"""A project's files as trees in git's object store, where nothing that is checked out changes."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from .git import GitError, git

# Objects that are never part of a history still need an author.
AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "update"), ("EMAIL", "update@localhost"), ("DATE", "@0 +0000"))
}
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
    """A project's folder in a git repository, or a bare repository with the project in it."""

    def __init__(self, folder: Path, at: str = "HEAD", *, within: str = "") -> None:
        """Find the repository that `folder` is in, with `at` as the commit that counts.

        `within` names the project's folder in a bare repository, with a slash at its end; it is at
        the root where that is left out. Raises GitError where there is no repository.
        """
        self.folder = folder.resolve()
        self.git_dir = git(self.folder, "rev-parse", "--absolute-git-dir").removesuffix("\n")
        asked = git(self.folder, "rev-parse", "--is-bare-repository")
        self.bare = asked.strip() == "true"
        shown = git(self.folder, "rev-parse", "--show-prefix").removesuffix("\n")
        self.prefix = within if self.bare else shown
        self.at = at
        self.root = self.folder
        if not self.bare:
            self.root = Path(git(self.folder, "rev-parse", "--show-toplevel").removesuffix("\n"))
        # As long as the names of objects are here: SHA-1 or SHA-256.
        self.nothing = "0" * len(git(self.folder, "hash-object", "--stdin").strip())

    @cached_property
    def head(self) -> str:
        """The commit that everything refers to, even if another one is made meanwhile."""
        return self.git("rev-parse", "--verify", f"{self.at}^{{commit}}").strip()

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
        with self.index() as index:
            shutil.copy(Path(self.git_dir, "index"), index)
            git(self.root, "add", "--update", ".", environment={"GIT_INDEX_FILE": index})
            within = [f"--prefix={self.prefix}"] if self.prefix else []
            return self.git("write-tree", *within, index=index).strip()

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
        """Write a tree's files into an empty folder, as they are stored.

        No filter runs: that of Git LFS may not be installed, or not have the content.
        """
        folder.mkdir(parents=True, exist_ok=True)
        filters = git(self.folder, "config", "--null", "--name-only", "--get-regexp", r"^filter\.")
        off = [word for name in filters.split("\0") if name for word in ("-c", _off(name))]
        with self.index(tree) as index:
            self.git(*off, "checkout-index", "--all", "--force", work_tree=folder, index=index)

    def commit(self, tree: str, *parents: str) -> str:
        """Return a commit of a tree for git to merge, on no branch and in nobody's name."""
        said = [word for parent in parents for word in ("-p", parent)]
        return self.git("commit-tree", tree, *said, "-m", "merge").strip()

    def commit_project(self, tree: str, message: str) -> str:
        """Return a commit, on no branch, after `head` with `tree` as the project's folder.

        It is signed where git's settings here sign commits, which `git commit-tree` does not heed.
        """
        asked = ("--type=bool", "--default=false", "--get", "commit.gpgsign")
        signed = git(self.folder, "config", *asked).strip() == "true"
        how = ["-S"] if signed else []
        given = [self.whole(tree), "-p", self.head, "-m", message]
        try:
            return git(self.folder, "commit-tree", *how, *given).strip()
        except GitError as error:
            if not signed:
                raise
            raise GitError(f"the commit cannot be signed: {error}") from None

    def whole(self, tree: str) -> str:
        """Return the tree of `head` with `tree` as the project's folder."""
        if not self.prefix:
            return tree
        names = [f"{self.prefix}{name}" for name in self.files(self.tree())]
        with self.index(self.changed(self.head + "^{tree}", drop=names)) as index:
            # git wants a work tree for that, which a bare repository has not; nothing is written.
            anywhere = Path(index).parent
            self.git("read-tree", f"--prefix={self.prefix}", tree, work_tree=anywhere, index=index)
            return self.git("write-tree", index=index).strip()


def _off(name: str) -> str:
    """Return the setting of a filter by which it does nothing."""
    return f"{name}=false" if name.endswith(".required") else f"{name}="
