"""Write what was merged into the checkout, so that a write that is stopped can be finished.

Before the first file changes, a record says what is to be written. Each file changes in one step,
so at any time it is as it was or as it is to be: whatever else is found was edited by somebody.
Meanwhile git's lock of the index is held. It stays when the write is stopped, so that nobody
commits half of an update.
"""

import errno
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from .git import GitError, git
from .repository import Repository


def write(repository: Repository, tree: str, stages: list[str], record: Path) -> None:
    """Make the checkout and the index what was merged. The checkout must be clean.

    `record` is the folder to keep the record in; one named "applied" beside it says that all of it
    is written.

    Raises:
        GitError: nothing was changed, since a file would be lost, HEAD has moved on or git failed.
        OSError: not all was written, for example on a full disk: `finish` goes on.
    """
    partial = record.with_name("recording")
    partial.mkdir()
    text = "\0".join([repository.head, tree, *stages])
    (partial / "update").write_bytes(text.encode("utf-8", "surrogateescape"))
    os.sync()
    partial.rename(record)
    try:
        _Write(repository, tree, stages, record).run()
    except GitError:
        record.rename(record.with_name("refused"))
        raise


def finish(repository: Repository, record: Path) -> None:
    """Finish a write that was stopped; forget it where the checkout is clean after a commit.

    Raises:
        GitError: files were edited since, so that they would be lost; or git failed.
        OSError: not all was written, again.
    """
    text = (record / "update").read_bytes().decode("utf-8", "surrogateescape")
    repository.head, tree, *stages = text.split("\0")
    pending = _Write(repository, tree, stages, record)
    if git(repository.folder, "rev-parse", "HEAD").strip() == repository.head:
        pending.run()
        return
    pending.release()
    if git(repository.folder, "status", "--porcelain"):
        raise GitError(
            "an update was stopped while it wrote, and there is another commit since: "
            f"undo what git status shows and is not yours, and delete {record.parent}"
        )
    record.rename(record.with_name("forgotten"))


def require_whole(repository: Repository) -> None:
    """Raise GitError where the checkout is sparse and lacks files of the project."""
    listed = git(repository.folder, "ls-files", "-t", "-z").split("\0")
    absent = [line.removeprefix("S ") for line in listed if line.startswith("S ")]
    if absent:
        raise GitError(
            f"this sparse checkout lacks {len(absent)} files of the project, such as {absent[0]}: "
            "run git sparse-checkout disable first"
        )


@dataclass
class _Write:
    """A write that is recorded."""

    repository: Repository
    tree: str
    stages: list[str]
    record: Path

    def __post_init__(self) -> None:
        """Find the files that differ, by their paths in the repository."""
        old, new = (
            {
                f"{self.repository.prefix}{name}": self._placed(line)
                for name, line in self.repository.files(tree).items()
            }
            for tree in (self.repository.tree(), self.tree)
        )
        differ = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        self.before = {name: old[name] for name in differ if name in old}
        self.after = {name: new[name] for name in differ if name in new}
        self.gone = [name for name in self.before if name not in self.after]
        self.index = Path(self.repository.git_dir, "index")
        self.lock = Path(self.repository.git_dir, "index.lock")

    def run(self) -> None:
        """Write what is not written yet."""
        self.take()
        try:
            written = self.unedited(self.after)
            self.check(written | self.unedited(self.before))
            todo = [name for name in self.after if name not in written]
            made = self.make(todo)
        except GitError:
            self.release()
            raise
        for name in self.gone:
            self.remove(name)
        for name in todo:
            self.put(made / name, self.repository.root / name)
        os.sync()
        self.lock.replace(self.index)
        self.record.rename(self.record.with_name("applied"))

    def take(self) -> None:
        """Take the lock of the index. As git's own does, it holds the new index."""
        if self.held():
            return
        made = self.record / "index"
        made.unlink(missing_ok=True)  # it may be the index by now: see the link below
        shutil.copy(self.index, made)
        marked = [self._placed(entry) for entry in self.stages]
        gone = [*self.gone, *dict.fromkeys(entry.split("\t", 1)[1] for entry in marked)]
        dropped = [f"0 {self.repository.nothing}\t{name}" for name in gone]
        lines = "".join(f"{line}\0" for line in [*self.after.values(), *dropped, *marked])
        self._git(made, "update-index", "-z", "--index-info", stdin=lines)
        try:
            os.link(made, self.lock)  # in one step, unlike a copy
        except FileExistsError:
            raise GitError(
                f"git is at work here; if it is not, delete {self.lock}, and run this again"
            ) from None
        except OSError:  # a file system without hard links
            with self.lock.open("xb") as file:
                file.write(made.read_bytes())

    def held(self) -> bool:
        """Return whether the lock of the index is there, and this write's own."""
        try:
            return self.lock.read_bytes() == (self.record / "index").read_bytes()
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Give the lock of the index back, if it is this write's own."""
        if self.held():
            self.lock.unlink()

    def unedited(self, entries: dict[str, str]) -> set[str]:
        """Return which of these files are in the checkout as git would write them."""
        with self.repository.index() as index:
            lines = "".join(f"{line}\0" for line in entries.values())
            self._git(index, "update-index", "-z", "--index-info", stdin=lines)
            edited = self._git(index, "ls-files", "-z", "--modified").split("\0")
        return {name for name in entries.keys() - {*edited} if self.there(name)}

    def there(self, name: str) -> bool:
        """Whether there is something that is not a folder, in a folder that is no link."""
        root, parents = self.repository.root, Path(name).parents[:-1]
        linked = any((root / parent).is_symlink() for parent in parents)
        return not linked and _file(root / name)

    def check(self, unedited: set[str]) -> None:
        """Raise GitError where a file would be lost that is not one of these, or a commit."""
        if git(self.repository.folder, "rev-parse", "HEAD").strip() != self.repository.head:
            raise GitError("there is another commit since this began; run it again")
        for name in sorted(self.before.keys() - unedited):
            if name in self.after or self.there(name):
                raise GitError(
                    f"{name} was edited since this update began: put that away, "
                    f"as with git stash push {name}, and run it again"
                )
        # git overwrites what it ignores without a word.
        for name in sorted(self.after.keys() - unedited):
            for one in self.in_the_way(name):
                raise GitError(f"{one} is in the way: move it elsewhere, and run this again")

    def in_the_way(self, name: str) -> list[str]:
        """Return what is at the place of a new file and does not go."""
        root = self.repository.root
        parents = [parent.as_posix() for parent in Path(name).parents[:-1]]
        linked = [parent for parent in parents if _file(root / parent)]
        inside = [] if linked else [root / name, *(root / name).rglob("*")]
        found = [one.relative_to(root).as_posix() for one in inside if _file(one)]
        return sorted({*linked, *found} - self.before.keys())

    def make(self, names: list[str]) -> Path:
        """Return a folder with these files as git writes them into a checkout."""
        folder = self.record / "files"
        folder.mkdir(exist_ok=True)
        with self.repository.index(self.repository.whole(self.tree)) as index:
            options = ["--force", "-z", "--stdin"]
            lines = "".join(f"{name}\0" for name in names)
            self._git(index, "checkout-index", *options, stdin=lines, work_tree=folder)
        os.sync()
        return folder

    def remove(self, name: str) -> None:
        """Delete a file, and the folders that are empty then."""
        place = self.repository.root / name
        if self.there(name):
            place.unlink()
        for parent in list(place.parents)[: len(Path(name).parents) - 1]:
            try:
                parent.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return

    def put(self, made: Path, place: Path) -> None:
        """Move a file to its place."""
        if place.is_dir() and not place.is_symlink():
            for folder in sorted(place.rglob("*"), reverse=True):
                folder.rmdir()
            place.rmdir()
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            made.replace(place)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            beside = place.with_name(f".{place.name}.update")  # var/ lies on another disk
            beside.unlink(missing_ok=True)
            shutil.copy2(made, beside, follow_symlinks=False)
            beside.replace(place)

    def _placed(self, entry: str) -> str:
        """Return what `git update-index` takes, for the repository instead of the folder."""
        return entry.replace("\t", f"\t{self.repository.prefix}", 1)

    def _git(
        self, index: Path | str, *arguments: str, stdin: str = "", work_tree: Path | None = None
    ) -> str:
        """Run git as it is set up for this checkout, with an index of one's own."""
        folder = work_tree or self.repository.root
        where = {"GIT_DIR": self.repository.git_dir, "GIT_WORK_TREE": str(folder)}
        where["GIT_INDEX_FILE"] = str(index)
        return git(folder, *arguments, stdin=stdin, environment=where)


def _file(path: Path) -> bool:
    """Whether there is something that is not a folder."""
    return path.is_symlink() or (path.exists() and not path.is_dir())
