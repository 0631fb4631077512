"""Which of the standard's files a project has changed."""

from pathlib import Path
from typing import NamedTuple

from .ownership import ANSWERS, among, ownership
from .repository import Repository


class Change(NamedTuple):
    """A file of the standard that is not as the standard has it."""

    path: str
    deleted: bool
    added_lines: int
    removed_lines: int


def drift(repository: Repository, render: Path, tree: str) -> list[Change]:
    """Return which files of the standard, as rendered, are not so in a tree of the project."""
    skip = ownership(render)
    skipped = [*skip.get("yours", []), *skip.get("generated", []), ANSWERS]
    standard = repository.tree_of(render)
    shipped = repository.files(standard)
    return [
        one
        for one in _changes(repository, standard, tree)
        if one.path in shipped and not among(one.path, skipped)
    ]


def executed(repository: Repository, old: Path, new: Path) -> str:
    """Return what to read before code of another version runs here: nothing if none changed.

    An update runs the scripts of the version that it brings.
    """
    before, after = repository.tree_of(old), repository.tree_of(new)
    lists = [repository.files(tree) for tree in (before, after)]
    changed = [
        one
        for one in _changes(repository, before, after)
        if one.path.startswith("scripts/")
        or any(files.get(one.path, "").startswith("100755") for files in lists)
    ]
    if not changed:
        return ""
    lines = "".join(f"  {said(one)}\n" for one in changed)
    return (
        f"This update runs scripts that changed; git diff {before[:12]} {after[:12]} shows them:\n"
        f"{lines}"
    )


def said(change: Change) -> str:
    """Return a change in one line."""
    path, deleted, added, removed = change
    return f"deleted\t{path}" if deleted else f"+{added} -{removed}\t{path}"


def _changes(repository: Repository, old: str, new: str) -> list[Change]:
    """Return how one tree differs from another."""
    there = repository.files(new)
    counted = repository.git("diff-tree", "-r", "-z", "--no-renames", "--numstat", old, new)
    changes = []
    for line in filter(None, counted.split("\0")):
        added, removed, path = line.split("\t", 2)
        lines = [int(number) if number.isdigit() else 0 for number in (added, removed)]
        changes.append(Change(path, path not in there, *lines))
    return changes
