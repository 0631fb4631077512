"""The merge of an update, by git alone: whatever is in the way, and however git is set up."""

import ast
import os
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path
from shutil import copytree

import pytest
from packaging.requirements import Requirement

from groundwork.errors import UserError
from groundwork.update.drift import Change, drift, executed
from groundwork.update.git import GitError
from groundwork.update.imports import broken
from groundwork.update.lockfile import resolved
from groundwork.update.merge import merge
from groundwork.update.repository import Repository
from groundwork.update.standard import SIGNERS, Standard
from groundwork.update.steps import Update
from groundwork.update.writing import write
from tests.conftest import ROOT, commit_all, git
from tests.containers import installed
from tests.versions import append

from . import test_writing as writing

OWNERSHIP = "yours:\n  - /mine.txt\n\ngenerated:\n  - /requirements/\n"
STANDARD = {
    "docs/ownership.yml": OWNERSHIP,
    ".copier-answers.yml": "_commit: v1\n",
    "pyproject.toml": "[project]\nname = 'x'\n",
    "scripts/run.sh": "#!/bin/sh\n",
    "text.txt": "".join(f"{number}\n" for number in range(30)),
}


def fill(folder: Path, content: dict[str, str]) -> Path:
    for name, text in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8", newline="")
        if name.endswith(".sh"):
            (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return fill(tmp_path / "old", STANDARD)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    more = {"new/file.txt": "new\n", "scripts/new.sh": "#!/bin/sh\n", "text.txt": "first\n"}
    return fill(tmp_path / "new", STANDARD | more)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = fill(tmp_path / "project", STANDARD | {".gitignore": "ignored*\nnew\n/out/\n"})
    git(root, "init", "--quiet", "--initial-branch", "main")
    commit_all(root, "Start")
    return root


def test_what_projects_run_from_a_clone_needs_only_what_copier_brings() -> None:
    """`scripts/update.sh` runs it in an environment that has Copier and no companion."""
    home = ROOT / "src/groundwork"
    brought = {Requirement(one).name.lower() for one in requires("copier") or []}
    assert {"jinja2", "packaging", "pyyaml"} <= brought
    allowed = {*sys.stdlib_module_names, "copier", "jinja2", "packaging", "yaml"}
    paths = [*(home / "update").glob("*.py"), home / "__init__.py", home / "errors.py"]
    assert len(paths) > 10
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in names:
                assert name == "groundwork.errors" or name.split(".")[0] in allowed, (path, name)


def update(project: Path, old: Path, new: Path) -> None:
    repository = Repository(project)
    merged = merge(repository, old, new)
    write(repository, merged.tree, merged.stages, project.parent / "applying")


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_what_git_ignores_is_not_overwritten(
    project: Path, old: Path, new: Path, kind: str
) -> None:
    if kind == "folder":
        fill(project, {"new/file.txt/mine.txt": "a secret of mine\n"})
    elif kind == "link":
        (project / "new").symlink_to("/nowhere")
    else:
        fill(project, {"new/file.txt": "a secret of mine\n"})
    with pytest.raises(GitError, match="is in the way: move it elsewhere"):
        update(project, old, new)
    assert git(project, "status", "--porcelain") == ""
    if kind == "file":
        assert (project / "new/file.txt").read_text("utf-8") == "a secret of mine\n"


def test_a_commit_made_meanwhile_is_not_reverted(project: Path, old: Path, new: Path) -> None:
    repository = Repository(project)
    merged = merge(repository, old, new)
    append(project / "own.txt", "meanwhile")
    commit_all(project, "Meanwhile")
    with pytest.raises(GitError, match="there is another commit"):
        write(repository, merged.tree, merged.stages, project.parent / "applying")
    made = repository.commit_project(merged.tree, "Update")
    assert git(project, "rev-parse", f"{made}~") == git(project, "rev-parse", "HEAD~")


def test_files_that_the_standard_has_no_part_in_pass_no_filter(
    project: Path, old: Path, new: Path
) -> None:
    fill(project, {"one.ipynb": "output\n", "two.csv": "a\r\n"})
    commit_all(project, "Before there was a filter")
    fill(project, {".gitattributes": "*.ipynb filter=strip\n*.csv text\n"})
    git(project, "add", ".gitattributes")
    git(project, "commit", "--quiet", "--message", "A filter")
    git(project, "config", "filter.strip.clean", "true")
    before = git(project, "ls-tree", "HEAD", "one.ipynb", "two.csv")
    update(project, old, new)
    commit_all_that_is_staged(project)
    assert git(project, "ls-tree", "HEAD", "one.ipynb", "two.csv") == before


def commit_all_that_is_staged(project: Path) -> None:
    git(project, "commit", "--quiet", "--message", "Update")


@pytest.mark.parametrize(
    "setting",
    [
        "core.fileMode=false",
        "core.autocrlf=true",
        "core.sparseCheckout=true",
        "safe.bareRepository=explicit",
        "merge.conflictStyle=diff3",
        "diff.renames=false",
        "core.quotePath=true",
        "commit.gpgSign=true",
    ],
)
def test_settings_of_git_change_nothing(project: Path, old: Path, new: Path, setting: str) -> None:
    (project / "text.txt").write_text("mine\n", "utf-8")
    commit_all(project, "Mine")
    plain = merge(Repository(project), old, new)
    name, _, value = setting.partition("=")
    git(project, "config", name, value)
    repository = Repository(project)
    assert merge(repository, old, new) == plain
    assert plain.conflicts == ["text.txt"]
    text = repository.text(repository.files(plain.tree)["text.txt"])
    assert text.startswith("<<<<<<< yours\nmine\n=======\nfirst\n>>>>>>> the standard")
    assert repository.files(plain.tree)["scripts/new.sh"].startswith("100755")
    assert drift(repository, old, repository.tree()) == [
        Change("text.txt", deleted=False, added_lines=1, removed_lines=30)
    ]


def test_what_is_worked_on_is_told_and_nothing_is_stored(project: Path, old: Path) -> None:
    git(project, "config", "core.excludesFile", str(project / "everything"))
    (project / "everything").write_text("*\n", "utf-8")
    append(project / "text.txt", "not committed")
    (project / "scripts/run.sh").unlink()
    (project / "data.bin").write_bytes(b"x" * 1000)
    repository = Repository(project)
    changes = drift(repository, old, repository.worked_on())
    assert [(one.path, one.deleted) for one in changes] == [
        ("scripts/run.sh", True),
        ("text.txt", False),
    ]
    blob = git(project, "hash-object", "data.bin").strip()
    found = subprocess.run(["git", "cat-file", "-e", blob], cwd=project, check=False)
    assert found.returncode != 0


def test_names_of_every_kind_stay(project: Path, old: Path, new: Path) -> None:
    fill(project, {"Icon\r": "x", "a\nb": "y", "a b/ü.txt": "z", "-n": "w"})
    commit_all(project, "Names")
    update(project, old, new)
    commit_all_that_is_staged(project)
    names = git(project, "ls-tree", "-r", "-z", "--name-only", "HEAD")
    assert {"a\nb", "a b/ü.txt", "-n"} <= {*names.split("\0")}
    assert (
        "Icon\r\0"
        in subprocess.run(
            ["git", "ls-tree", "-r", "-z", "--name-only", "HEAD"],
            cwd=project,
            check=True,
            capture_output=True,
        ).stdout.decode()
    )


def test_a_pyproject_that_is_no_text_is_told_apart(project: Path, old: Path, new: Path) -> None:
    (project / "pyproject.toml").write_bytes(b"\xff")
    commit_all(project, "Broken")
    repository = Repository(project)
    merged = merge(repository, old, new)
    assert not resolved(repository, merged.tree, new)


@pytest.mark.parametrize("state", ["copied", "stopped at a conflict", "staged", "touched"])
def test_what_is_worked_on_is_told_in_any_state_of_the_checkout(
    project: Path, old: Path, tmp_path: Path, state: str
) -> None:
    expected = []
    if state == "copied":  # each file's times and inode are others than in the index
        project = copytree(project, tmp_path / "copy")
    elif state == "touched":
        os.utime(project / "text.txt", (1, 1))
    else:
        append(project / "text.txt", "mine")
        git(project, "add", "text.txt")
        expected = ["text.txt"]
    if state == "stopped at a conflict":
        entry = git(project, "ls-files", "--stage", "text.txt").split("\t")[0]
        lines = "".join(f"{entry[:-1]}{stage}\ttext.txt\n" for stage in (1, 2, 3))
        git(project, "update-index", "--force-remove", "text.txt")
        Repository(project).git("update-index", "--index-info", stdin=lines)
    repository = Repository(project)
    changes = drift(repository, old, repository.worked_on())
    assert [one.path for one in changes] == expected


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "found", "conflicts"),
    [
        pytest.param(
            {"a": "one\n"},
            {"a": "mine\n"},
            {"a": "-> x"},
            {"a": "-> x", "a~yours": "mine\n"},
            ["a", "a~yours"],
            id="the standard has a link now",
        ),
        pytest.param(
            {"a": "one\n"},
            {"a": "-> x"},
            {"a": "two\n"},
            {"a": "-> x", "a~the-standard": "two\n"},
            ["a", "a~the-standard"],
            id="the project has a link now",
        ),
        pytest.param(
            {},
            {"a": "mine\n", "a~yours": "taken\n"},
            {"a": "-> x"},
            {"a": "-> x", "a~yours": "taken\n", "a~yours_": "mine\n"},
            ["a", "a~yours_"],
            id="a new link",
        ),
        pytest.param(
            {"a": "one\n"},
            {"a": "mine\n"},
            {"a/b": "new\n"},
            {"a/b": "new\n", "a~yours": "mine\n"},
            [],
            id="the standard has a folder now",
        ),
        pytest.param(
            {"a/b": "one\n"},
            {"a/b": "mine\n"},
            {"a": "file\n"},
            {"a/b": "mine\n", "a~the-standard": "file\n"},
            ["a~the-standard"],
            id="the standard has a file now",
        ),
    ],
)
def test_a_file_against_a_link_or_a_folder_keeps_both_sides(
    tmp_path: Path,
    base: dict[str, str],
    mine: dict[str, str],
    theirs: dict[str, str],
    found: dict[str, str],
    conflicts: list[str],
) -> None:
    root = tmp_path / "project"
    for folder, own in ((tmp_path / "old", base), (tmp_path / "new", theirs), (root, mine)):
        writing.fill(folder, STANDARD | own)
    git(root, "init", "--quiet", "--initial-branch", "main")
    commit_all(root, "Start")
    update(root, tmp_path / "old", tmp_path / "new")
    there = {
        path.relative_to(root).as_posix(): writing.content(path)
        for path in root.rglob("a*")
        if ".git" not in path.parts and (path.is_symlink() or path.is_file())
    } | ({"a/b": writing.content(root / "a/b")} if (root / "a/b").is_file() else {})
    assert there == found
    unmerged = git(root, "ls-files", "--unmerged").splitlines()
    assert sorted({line.split("\t")[1] for line in unmerged}) == conflicts


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Standard, Path]:
    """A template with tags of all kinds, and the file that names who may sign one."""
    installed("ssh-keygen")
    tmp_path = tmp_path_factory.mktemp("signed")
    root = tmp_path / "template"
    root.mkdir()
    for name in ("owner", "other"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(command, check=True)
    git(root, "init", "--quiet", "--initial-branch", "main")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "One")
    git(root, "tag", "v-plain")
    git(root, "tag", "--annotate", "--message", "x", "v-annotated")
    for name in ("owner", "other"):
        key = ("-c", "gpg.format=ssh", "-c", f"user.signingKey={tmp_path / name}.pub")
        git(root, *key, "tag", "--sign", "--message", "x", f"v-{name}")
    git(root, "update-ref", "refs/tags/v-copied", "refs/tags/v-owner")
    signers = tmp_path / SIGNERS
    signers.write_text(f"owner@example.com {(tmp_path / 'owner.pub').read_text()}", "utf-8")
    return Standard(str(root), tmp_path / "clone"), signers


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("v-owner", ""),
        ("v-other", "is no tag signed by a key in .template-signers"),
        ("v-annotated", "is no tag signed by a key in .template-signers"),
        ("v-plain", "is no tag signed by a key in .template-signers"),
        ("main", "is no tag signed by a key in .template-signers"),
        ("v-copied", "was signed under another name"),
    ],
)
def test_a_project_that_names_signers_takes_what_they_signed(
    signed: tuple[Standard, Path], version: str, words: str
) -> None:
    standard, signers = signed
    if not words:
        standard.verify(version, signers)
        return
    with pytest.raises(UserError, match=words):
        standard.verify(version, signers)
    standard.verify(version, signers.with_name("there is none"))


def test_scripts_that_changed_are_told_before_they_run(project: Path, old: Path, new: Path) -> None:
    repository = Repository(project)
    assert executed(repository, old, old) == ""
    (new / "scripts/run.sh").unlink()
    (new / "tool").write_text("one\ntwo\n", "utf-8")
    (new / "tool").chmod(0o755)
    first, *lines = executed(repository, old, new).splitlines()
    assert lines == ["  +1 -0\tscripts/new.sh", "  deleted\tscripts/run.sh", "  +2 -0\ttool"]
    (before, after) = re.findall(r"[0-9a-f]{12}", first)
    assert "+two" in git(project, "diff", before, after)


@pytest.mark.parametrize("name", ["before", "after"])
def test_a_package_that_was_renamed_is_told(project: Path, name: str) -> None:
    """Of a renamed folder git knows, but not of its name in other files."""
    answers = f"_commit: v1\n_src_path: /template\npackage_name: {name}\n"
    fill(project, {".copier-answers.yml": answers, "src/after/__init__.py": ""})
    found = Update(str(project), str(project / "var"))
    if name == "after":
        found.require_package()
    else:
        with pytest.raises(
            UserError, match=r"calls the package before, and there is no src/before"
        ):
            found.require_package()


def test_a_template_that_needs_a_newer_copier_says_how_to_name_one(tmp_path: Path) -> None:
    root = fill(tmp_path / "template", {"copier.yml": "_min_copier_version: '99'\n"})
    git(root, "init", "--quiet", "--initial-branch", "main")
    commit_all(root, "One")
    standard = Standard(str(root), tmp_path / "clone")
    with pytest.raises(UserError, match=r"99.*COPIER_VERSION=… scripts/update\.sh"):
        standard.start("main", tmp_path / "project", {})


@pytest.mark.parametrize(
    ("mine", "found"),
    [
        pytest.param({}, {"more.txt": "an example\n"}, id="once"),
        pytest.param({"more.txt": "mine\n"}, {"more.txt": "mine\n"}, id="not over mine"),
        pytest.param(
            {"mine.txt": "my edits\n"},
            {"more.txt": "an example\n", "moved/mine.txt": "my edits\n"},
            id="moves with its edits",
        ),
    ],
)
def test_a_file_that_will_be_the_projects_own_comes_once_and_moves_with_its_edits(
    project: Path, old: Path, new: Path, mine: dict[str, str], found: dict[str, str]
) -> None:
    """And one that was deleted here is not brought back, wherever the standard has it."""
    example = {"mine.txt": "".join(f"line {number}\n" for number in range(9))}
    fill(old, example)
    fill(
        new,
        {
            "docs/ownership.yml": OWNERSHIP.replace("mine", "moved/mine").replace(
                "\n\n", "\n  - /more.txt\n\n"
            ),
            "moved/mine.txt": example["mine.txt"] + "one line more\n",
            "more.txt": "an example\n",
        },
    )
    fill(project, mine)
    commit_all(project, "Mine")
    update(project, old, new)
    names = ("mine.txt", "more.txt", "moved/mine.txt")
    there = {name: project / name for name in names if (project / name).exists()}
    assert {name: path.read_text("utf-8") for name, path in there.items()} == found
    commit_all(project, "Update")
    for name in there:
        (project / name).unlink()
    commit_all(project, "Without")
    (project.parent / "applied").rename(project.parent / "first")
    append(new / "text.txt", "again")
    update(project, new, new)
    assert not [name for name in names if (project / name).exists()]


OLDER = {
    "src/p/__init__.py": "",
    "src/p/ops/__init__.py": "_HOME = {'Context': 'core'}\ndef __getattr__(name): ...\n",
    "src/p/ops/core.py": "class Context: ...\nLIMIT = 1\n",
    "src/p/ops/gone.py": "",
    "src/p/ops/data/rows.py": "def read(): ...\n",
}
NEWER = OLDER | {
    "src/p/ops/core.py": "from .context import *\n",
    "src/p/ops/context.py": "class Context: ...\nLIMIT = 1\n",
    "src/p/ops/data/rows.py": "def load(): ...\n",
}
del NEWER["src/p/ops/gone.py"]


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("from .ops import Context", ""),
        ("from .ops.core import Context, LIMIT", ""),
        ("from p.ops.data import rows", ""),
        ("import numpy.ops", ""),
        ("from . import of_mine", ""),
        ("from .ops import never_was", ""),
        ("from .ops.gone import x", ""),  # it was not there before either
        ("from .ops.gone import *", "src.p.ops.gone"),
        ("from .ops import gone", "src.p.ops.gone"),
        ("import p.ops.gone", "src.p.ops.gone"),
        ("def f():\n    from p.ops.data.rows import read", "src.p.ops.data.rows.read"),
        ("no python", ""),
    ],
)
def test_imports_that_a_version_breaks_are_named(tmp_path: Path, line: str, named: str) -> None:
    own = {"src/p/model.py": f"{line}\n", "src/p/of_mine.py": "from .ops.gone_too import x\n"}
    root = fill(tmp_path / "project", OLDER | own)
    git(root, "init", "--quiet", "--initial-branch", "main")
    commit_all(root, "Start")
    repository = Repository(root)
    trees = [
        repository.tree_of(fill(tmp_path / name, content))
        for name, content in (("merged", NEWER | own), ("standard", NEWER))
    ]
    expected = [f"src/p/model.py:{1 + line.count(chr(10))}: {named}"] if named else []
    assert broken(repository, repository.tree(), *trees) == expected
