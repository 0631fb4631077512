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
    lists = ownership(render)
    skipped = [*lists.get("yours", []), *lists.get("generated", []), ANSWERS]
    standard = repository.tree_of(render)
    there = repository.files(tree)
    counted = repository.git("diff-tree", "-r", "-z", "--no-renames", "--numstat", standard, tree)
    changes = []
    for line in filter(None, counted.split("\0")):
        added, removed, path = line.split("\t", 2)
        lines = [int(number) if number.isdigit() else 0 for number in (added, removed)]
        changes.append(Change(path, path not in there, *lines))
    shipped = repository.files(standard)
    return [one for one in changes if one.path in shipped and not among(one.path, skipped)]
