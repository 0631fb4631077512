"""The write of an update into the checkout: it is stopped at every step, and finished."""

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copytree
from subprocess import CalledProcessError

import pytest

from groundwork.update.git import GitError
from groundwork.update.repository import Repository
from groundwork.update.writing import finish, require_whole, write
from tests.conftest import commit_all, git

# What a path is: a text, an executable text, a link, or nothing.
Entry = str | None
BEFORE: dict[str, Entry] = {
    "same.txt": "same\n",
    "edited.txt": "one\n",
    "gone/alone/deleted.txt": "deleted\n",
    "script.sh": "#!/bin/sh\n",
    "linked": "a file\n",
    "link": "-> same.txt",
    "file-to-folder": "file\n",
    "folder-to-file/x.txt": "x\n",
    "link-to-folder": "-> gone",
    "folder-to-link/y.txt": "y\n",
    "both.txt": "theirs or ours\n",
}
AFTER: dict[str, Entry] = BEFORE | {
    "edited.txt": "two\n",
    "gone/alone/deleted.txt": None,
    "script.sh": "! #!/bin/sh\n",
    "linked": "-> same.txt",
    "link": "now a file\n",
    "file-to-folder": None,
    "file-to-folder/x.txt": "x\n",
    "folder-to-file/x.txt": None,
    "folder-to-file": "file\n",
    "link-to-folder": None,
    "link-to-folder/deleted.txt": "deleted\n",
    "folder-to-link/y.txt": None,
    "folder-to-link": "-> same.txt",
    "new/folder/a new file.txt": "new\n",
    "both.txt": "<<<<<<< yours\n=======\n>>>>>>> the standard\n",
}
# Every call by which files change.
STEPS = ("mkdir", "rename", "replace", "unlink", "rmdir", "link")


FULL = OSError(errno.ENOSPC, "No space left on device")


class Killed(BaseException):
    """The process ends here, and no code of its own is run."""


def fill(root: Path, content: dict[str, Entry]) -> None:
    for name, entry in content.items():
        path = root / name
        if entry is None:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.startswith("-> "):
            path.symlink_to(entry.removeprefix("-> "))
        else:
            path.write_text(entry.removeprefix("! "), "utf-8")
            path.chmod(0o755 if entry.startswith("! ") else 0o644)


@dataclass
class Start:
    """A repository with a project in it, and what an update is to make of that."""

    root: Path
    folder: str
    tree: str
    stages: list[str]

    def copy(self, into: Path) -> "Start":
        made = replace(self, root=copytree(self.root, into, symlinks=True))
        for work in ("update", "again"):
            (made.project / "var" / work).mkdir(parents=True)
        return made

    @property
    def project(self) -> Path:
        return self.root / self.folder

    def begin(self, work: str = "update") -> None:
        """Write the update."""
        record = self.project / "var" / work / "applying"
        write(Repository(self.project), self.tree, self.stages, record)

    def resume(self) -> None:
        """Do what scripts/update.sh does at its start, and after it."""
        record = self.project / "var/update/applying"
        if record.exists():
            finish(Repository(self.project), record)
        elif not (record.parent / "applied").exists():
            self.begin("again")

    def state(self) -> tuple[dict[str, tuple[int, str]], str]:
        """Return every file with its mode and content, and the index."""
        found = {
            str(path.relative_to(self.root)): (path.lstat().st_mode, content(path))
            for path in self.root.rglob("*")
            if not {".git", "var"} & {*path.relative_to(self.root).parts}
        }
        assert not (self.root / ".git/index.lock").exists()
        return found, git(self.root, "ls-files", "--stage")


def content(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    return "" if path.is_dir() else path.read_text("utf-8")


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Start]:
    """A project that is the whole repository, and one in a folder of it."""
    made = {}
    for folder in ("", "sub/folder/"):
        root = tmp_path_factory.mktemp("start")
        git(root, "init", "--quiet", "--initial-branch", "main", "--template=")
        ignored = {".gitignore": "/var/\nsecret*\n"}
        fill(root / folder, AFTER | ignored)
        (root / "other.txt").write_text("of another project\n", "utf-8")
        commit_all(root, "After")
        repository = Repository(root / folder)
        tree = repository.tree()
        blobs = {name: line.split()[2] for name, line in repository.files(tree).items()}
        stages = [
            f"100644 {blobs[name]} {stage}\tboth.txt"
            for stage, name in ((1, "same.txt"), (2, "edited.txt"), (3, "both.txt"))
        ]
        git(root, "rm", "-rqf", ".")
        fill(root / folder, BEFORE | ignored)
        (root / "other.txt").write_text("of another project\n", "utf-8")
        commit_all(root, "Before")
        made[folder] = Start(root, folder, tree, stages)
    return made


FOLDERS = pytest.mark.parametrize("folder", ["", "sub/folder/"], ids=["root", "folder"])


@contextmanager
def stopped(
    monkeypatch: pytest.MonkeyPatch, at: int, error: BaseException, steps: Iterable[str] = STEPS
) -> Iterator[list[int]]:
    """Raise that instead of the step of this number, counted from 0; yield the count so far."""
    count = [0]

    def watched(real: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **options: object) -> object:
            count[0] += "dir_fd" not in options  # temporary folders go by these
            if count[0] == at + 1:
                raise error
            return real(*arguments, **options)

        return step

    with monkeypatch.context() as patch:
        for name in steps:
            patch.setattr(os, name, watched(getattr(os, name)))
        yield count


@FOLDERS
def test_a_write_changes_files_folders_links_modes_and_the_index(
    starts: dict[str, Start], tmp_path: Path, folder: str
) -> None:
    start = starts[folder].copy(tmp_path / "copy")
    start.begin()
    project = start.project
    fill(tmp_path / "expected", AFTER)
    names = [name for name, entry in AFTER.items() if entry is not None]
    for name in names:
        made, expected = project / name, tmp_path / "expected" / name
        assert content(made) == content(expected), name
        assert made.lstat().st_mode == expected.lstat().st_mode, name
    assert not (project / "gone").exists()
    said = git(start.root, "status", "--porcelain", "--no-renames").splitlines()
    # All of it is staged, and what the update has no part in is as it was.
    assert [line for line in said if line[1] != " "] == [f"UU {folder}both.txt"]
    changed = {name for name in {*BEFORE, *AFTER} if BEFORE.get(name) != AFTER.get(name)}
    assert {line[3:].strip('"').removeprefix(folder) for line in said} == changed


@pytest.mark.parametrize(
    ("error", "folder", "steps"),
    [
        pytest.param(Killed(), "", STEPS, id="killed"),
        pytest.param(Killed(), "sub/folder/", ["replace"], id="killed-folder"),
        pytest.param(FULL, "", ["mkdir", "link", "replace"], id="full"),
    ],
)
def test_one_that_is_stopped_at_any_step_is_finished_by_the_next_start(
    starts: dict[str, Start],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    folder: str,
    steps: Iterable[str],
) -> None:
    monkeypatch.setattr(os, "sync", lambda: None)  # for as long as a disk takes
    whole = starts[folder].copy(tmp_path / "whole")
    untouched = whole.state()
    with stopped(monkeypatch, -1, error, steps) as count:
        whole.begin()
    expected = whole.state()
    assert count[0] > 10
    left = set()
    for at in range(count[0]):
        start = starts[folder].copy(tmp_path / str(at))
        with stopped(monkeypatch, at, error, steps), suppress(type(error)):
            start.begin()
        records = {path.name for path in (start.project / "var/update").iterdir()}
        left |= records
        if not {"applying", "applied"} & records:
            assert start.state() == untouched, at
        start.resume()
        assert start.state() == expected, at
    assert "applying" in left


@pytest.fixture
def halfway(starts: dict[str, Start], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """A project of which every other file is written."""
    monkeypatch.setattr(os, "sync", lambda: None)
    start = starts[""].copy(tmp_path / "halfway")
    with stopped(monkeypatch, 5, Killed(), ["replace"]), suppress(Killed):
        start.begin()
    assert content(start.project / "both.txt") == AFTER["both.txt"]
    assert content(start.project / "script.sh") == BEFORE["script.sh"]
    return start


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("both.txt", "both.txt was edited since this update began"),  # as the update has it
        ("script.sh", "script.sh was edited since this update began"),  # as it was
        ("new/folder/a new file.txt", "new/folder/a new file.txt is in the way"),
    ],
)
def test_what_was_edited_since_is_named_and_not_lost(halfway: Start, name: str, words: str) -> None:
    (halfway.root / name).parent.mkdir(parents=True, exist_ok=True)
    (halfway.root / name).write_text("an edit of mine\n", "utf-8")
    with pytest.raises(GitError, match=words):
        halfway.resume()
    assert (halfway.root / name).read_text("utf-8") == "an edit of mine\n"
    # git works here again, so that the edit can be put away; then the update is finished.
    git(halfway.root, "stash", "push", "--quiet", "--include-untracked", "--", name)
    halfway.resume()
    assert content(halfway.root / name) == (AFTER[name] or "").removeprefix("! ")


def test_while_git_is_at_work_nothing_is_written(starts: dict[str, Start], tmp_path: Path) -> None:
    start = starts[""].copy(tmp_path / "copy")
    untouched = start.state()
    lock = start.root / ".git/index.lock"
    lock.touch()
    with pytest.raises(GitError, match=r"git is at work here; if it is not, delete .*index\.lock"):
        start.begin()
    lock.unlink()
    assert start.state() == untouched
    start.begin("again")


def test_one_that_is_stopped_keeps_git_from_a_commit(halfway: Start) -> None:
    with pytest.raises(CalledProcessError):
        git(halfway.root, "commit", "--all", "--message", "Half of an update")


@pytest.mark.parametrize("left", ["nothing", "a half-written file"])
def test_a_commit_since_is_not_written_over(halfway: Start, left: str) -> None:
    (halfway.root / ".git/index.lock").unlink()
    if left == "nothing":
        git(halfway.root, "reset", "--quiet", "--hard")
        git(halfway.root, "clean", "--quiet", "--force", "-d")
    git(halfway.root, "commit", "--quiet", "--allow-empty", "--message", "Of mine")
    before = halfway.state()
    record = halfway.root / "var/update/applying"
    if left == "nothing":
        finish(Repository(halfway.root), record)
        assert not record.exists()
    else:
        with pytest.raises(GitError, match="there is another commit since: undo what git status"):
            finish(Repository(halfway.root), record)
    assert halfway.state() == before


@pytest.mark.parametrize(
    ("step", "error"),
    [("replace", errno.EXDEV), ("link", errno.EPERM), ("link", errno.EXDEV)],
)
def test_a_folder_on_another_disk_and_one_without_hard_links_will_do(
    starts: dict[str, Start],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    error: int,
) -> None:
    real = getattr(os, step)

    def across(source: Path, target: Path) -> None:
        if step == "link" or "files" in Path(source).parts:
            raise OSError(error, os.strerror(error))
        real(source, target)

    plain, start = (starts[""].copy(tmp_path / name) for name in ("plain", "copy"))
    plain.begin()
    with monkeypatch.context() as patch:
        patch.setattr(os, step, across)
        start.begin()
    assert start.state() == plain.state()


@pytest.mark.parametrize("kept", ["sub/folder", "sub/folder/gone"])
def test_a_sparse_checkout_that_lacks_files_of_the_project_is_refused(
    starts: dict[str, Start], tmp_path: Path, kept: str
) -> None:
    start = starts["sub/folder/"].copy(tmp_path / "copy")
    git(start.root, "status")  # a copy's files are not what the index knows
    git(start.root, "sparse-checkout", "set", "--no-cone", f"/{kept}/")
    assert not (start.root / "other.txt").exists()
    if kept == "sub/folder":  # the rest of the repository is not needed
        require_whole(Repository(start.project))
        start.begin()
        assert content(start.project / "edited.txt") == AFTER["edited.txt"]
        assert not (start.root / "other.txt").exists()
    else:
        with pytest.raises(GitError, match=r"lacks \d+ files of the project, such as .+ disable"):
            require_whole(Repository(start.project))


def test_a_linked_worktree_has_an_index_of_its_own(
    starts: dict[str, Start], tmp_path: Path
) -> None:
    start = starts[""].copy(tmp_path / "copy")
    untouched = start.state()
    git(start.root, "worktree", "add", "--quiet", str(tmp_path / "linked"))
    linked = replace(start, root=tmp_path / "linked")
    (linked.root / "var/update").mkdir(parents=True)
    linked.begin()
    assert content(linked.root / "edited.txt") == AFTER["edited.txt"]
    said = git(linked.root, "status", "--porcelain").splitlines()
    assert [line for line in said if line[1] != " "] == ["UU both.txt"]
    assert start.state() == untouched
