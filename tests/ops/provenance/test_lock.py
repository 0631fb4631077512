"""The lock, its exports and what is installed are one; each way of parting them is noticed."""

import re
import shutil
from pathlib import Path

import pytest

from ..conftest import ROOT
from ..project import errors, lock

EXPORTS = ("requirements/main.txt", "requirements/dev.txt", "requirements/train.txt")
OPTIONAL = ("cuda", "dvc", "ray", "tracking", "wandb")


@pytest.fixture
def copy(tmp_path) -> Path:
    """A copy of everything that the lock is about."""
    for name in ("pyproject.toml", "poetry.lock"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    return tmp_path


def edit(path: Path, pattern: str, replacement: str) -> None:
    text = path.read_text(encoding="utf-8")
    changed = re.sub(pattern, replacement, text, count=1, flags=re.MULTILINE)
    assert changed != text
    path.write_text(changed, encoding="utf-8")


def choose(project: Path, line: str) -> None:
    """Write another list of optional groups."""
    path = project / "pyproject.toml"
    text, found = re.subn(r"(?m)^groups = .*$", line, path.read_text(encoding="utf-8"))
    assert found == 1
    path.write_text(text, encoding="utf-8")


def test_lock_and_exports_agree():
    assert lock.problems(ROOT) == []


def test_what_is_installed_is_what_is_locked():
    assert lock.drifted(ROOT, "dev") == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [("groups = []", ()), ('groups = ["wandb", "ray"]', ("wandb", "ray")), ("", ())],
)
def test_groups_are_those_that_the_project_names(copy, line, expected):
    choose(copy, line)
    assert lock.groups(copy) == ("main", "train", *expected)


@pytest.mark.parametrize("value", ['"ray"', "[1]"])
def test_groups_that_are_no_list_of_names_are_refused(copy, value):
    choose(copy, f"groups = {value}")
    with pytest.raises(errors.UserError, match=r"groups in \[tool\.groundwork\]"):
        lock.groups(copy)


def test_a_group_that_is_named_is_compared_with_what_is_installed(copy):
    choose(copy, 'groups = ["mine"]')
    export = copy / "requirements" / "mine.txt"
    export.write_text("left-pad==1.0 --hash=sha256:0\n", encoding="utf-8")
    assert lock.drifted(copy) == ["left-pad missing (locked: 1.0)"]
    export.unlink()
    with pytest.raises(errors.UserError, match=r"mine\.txt"):
        lock.drifted(copy)


@pytest.mark.parametrize("export", EXPORTS)
def test_every_requirement_is_hashed(export):
    blocks = re.split(r"(?m)^(?=\S+==)", (ROOT / export).read_text(encoding="utf-8"))[1:]
    assert len(blocks) == len(lock.export(ROOT, Path(export).stem)) > 0
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}\b", block) for block in blocks)


@pytest.mark.parametrize("name", ["poetry.lock", *EXPORTS])
def test_no_index_is_named(name):
    """Whoever installs decides on the index or mirror; the hashes vouch for what it serves."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"^\s*(--(extra-)?index-url|\[package\.source\])", text, re.MULTILINE)


# Each makes one file another than the one that Poetry made or accepted.
CHANGES = {
    "asked for": ("pyproject.toml", r"^dependencies = \[", 'dependencies = [\n    "left-pad",'),
    "a group": ("pyproject.toml", r"^\[dependency-groups\]", '\\g<0>\nmore = ["left-pad"]'),
    "the lock": ("poetry.lock", r"^name = \"numpy\"\nversion = \"", "\\g<0>9"),
    "other version": (EXPORTS[0], r"^numpy==\S+", "numpy==0.0.1"),
    "no hash": (EXPORTS[0], r"^numpy==(.+?) \\\n(    --hash.*\n)+", r"numpy==\1\n"),
    "other hash": (EXPORTS[1], r"--hash=sha256:\w{8}", "--hash=sha256:00000000"),
    "package left out": (EXPORTS[0], r"^numpy==(.+?) \\\n(    --hash.*\n)+", ""),
    "package added": (EXPORTS[1], r"\A", "left-pad==1.0 --hash=sha256:0\n"),
    "other machines": (
        EXPORTS[0],
        r'^(numpy==\S+ ; )python_version >= "3\.11"',
        r'\1python_version >= "3.13"',
    ),
    "the record": ("requirements/lock.sha256", r"\A.", "x"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_since_the_lock_was_made_is_found(copy, change):
    name, pattern, replacement = CHANGES[change]
    edit(copy / name, pattern, replacement)
    assert lock.problems(copy)


def test_what_nothing_is_resolved_from_may_change(copy):
    edit(copy / "pyproject.toml", r"^description = .*$", 'description = "Another"')
    edit(copy / "pyproject.toml", r"^line-length = 100$", "line-length = 90")
    assert lock.problems(copy) == []


def test_missing_export_is_found(copy):
    for group in ("train", "dev", *OPTIONAL):
        (copy / "requirements" / f"{group}.txt").unlink()
        assert f"requirements/{group}.txt is missing; {lock.MEND}" in lock.problems(copy)


@pytest.mark.parametrize("group", ["dvc", "ray", "wandb"])
def test_the_export_of_a_group_that_is_not_installed_is_checked(copy, group):
    edit(copy / "requirements" / f"{group}.txt", r"^([\w-]+)==\S+", r"\1==0.0.1")
    assert lock.problems(copy)


@pytest.mark.parametrize("text", ["numpy>=2\n", "numpy\n", "<<<<<<< HEAD\n"])
def test_export_without_pins_is_refused(copy, text):
    (copy / "requirements" / "main.txt").write_text(text, encoding="utf-8")
    with pytest.raises(errors.UserError, match=r"main\.txt"):
        lock.drifted(copy)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("poetry.lock", None),
        ("requirements/lock.sha256", None),
        ("pyproject.toml", None),
        ("pyproject.toml", "<<<<<<< HEAD\n"),
    ],
)
def test_unreadable_file_is_one_clear_error(copy, name, text):
    (copy / name).unlink()
    if text:
        (copy / name).write_text(text, encoding="utf-8")
    with pytest.raises(errors.UserError, match=name):
        lock.problems(copy)


def test_other_installed_version_is_found(copy):
    edit(copy / "requirements" / "main.txt", r"^numpy==\S+", "numpy==0.0.1")
    choose(copy, "groups = []")
    (found,) = lock.drifted(copy)
    assert found.startswith("numpy ")
    assert "0.0.1" in found


def test_pins_are_the_runtime_packages_of_this_machine():
    pins = lock.pins(ROOT)
    assert any(pin.startswith("numpy==") for pin in pins)
    assert not any(pin.startswith("pytest==") for pin in pins)
    assert all(re.fullmatch(r"[\w.-]+==[\w.!+-]+", pin) for pin in pins)


def test_moves_names_each_change():
    template = '[[package]]\nname = "{}"\nversion = "{}"\n'
    before = template.format("kept", 1) + template.format("moved", 1) + template.format("gone", 1)
    after = template.format("kept", 1) + template.format("moved", 2) + template.format("new", 1)
    assert lock.moves(before, after) == ["gone 1 → none", "moved 1 → 2", "new none → 1"]
