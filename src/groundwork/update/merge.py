"""Merge what changed between two versions of the standard into a project, with git's own merge.

Needs git 2.38. It works on trees in git's object store, so nothing that is checked out changes:
see writing.py.
"""

import re
from pathlib import Path
from typing import NamedTuple

from .lockfile import LOCK, joined, resolved
from .ownership import ANSWERS, among, ownership
from .repository import Repository


class Merged(NamedTuple):
    """A project's folder as it is after an update."""

    tree: str  # git's name of it
    conflicts: list[str]  # both sides changed the same lines
    kept: list[str]  # dropped by the standard, changed here: now the project's own
    stages: list[str]  # what `git update-index --index-info` takes to mark the conflicts


def merge(repository: Repository, old: Path, new: Path) -> Merged:
    """Merge what the renders `old` and `new` differ by into the project, as it is committed.

    What is the project's own is left out, unless it is new or moves: see `_owned`. What is
    generated is the new standard's where the project depends on nothing else; else the lock holds
    the standard's packages and the project's, and has to be resolved: see `resolved`.

    Raises:
        GitError: git failed, for example on a full disk.
    """
    lists = [ownership(old), ownership(new)]
    yours = [path for each in lists for path in each.get("yours", [])]
    # Copier writes the answers, as both renders were given them.
    generated = [ANSWERS, *(path for each in lists for path in each.get("generated", []))]

    def standard(tree: str) -> str:
        return repository.changed(
            tree, drop=[name for name in repository.files(tree) if among(name, yours)]
        )

    renders = [repository.tree_of(folder) for folder in (old, new)]
    base, theirs = map(standard, renders)
    before = repository.tree()
    # As if the generated files had never been touched here: the new ones come in whole.
    made = repository.files(base)
    ours = repository.changed(
        before,
        drop=[name for name in made if among(name, generated)],
        put=[line for name, line in made.items() if among(name, generated)],
    )
    root = repository.commit(base)
    mine, its = repository.commit(ours, root), repository.commit(theirs, root)
    tree, *parts = repository.git("merge-tree", "--write-tree", "-z", mine, its).split("\0")
    # The conflicts are listed up to an empty part; messages for people follow.
    entries = parts[: parts.index("")] if "" in parts else []
    sides = {mine: "yours", its: "the-standard"}
    merged = _settle(repository, *_named(repository, tree, entries, sides))

    files = repository.files(merged.tree)
    texts = {name: repository.text(files[name]) for name in merged.conflicts if _plain(files, name)}
    for name, text in texts.items():
        texts[name] = text.replace(f" {mine}", " yours").replace(f" {its}", " the standard")
    lock = repository.files(before).get(LOCK)
    if lock and LOCK in files and not resolved(repository, merged.tree, new):
        texts[LOCK] = joined(repository.text(lock), repository.text(files[LOCK]))
    put = [repository.entry(text, name, files[name].split()[0]) for name, text in texts.items()]
    gone, own = _owned(repository, renders, [one.get("yours", []) for one in lists])
    return merged._replace(tree=repository.changed(merged.tree, drop=gone, put=[*put, *own]))


def _owned(
    repository: Repository, renders: list[str], yours: list[list[str]]
) -> tuple[list[str], list[str]]:
    """Return which of the project's own files go, and the entries of those that come.

    One that the older standard does not have comes once; one that the newer has elsewhere moves,
    with the project's content. What was deleted here stays deleted.
    """
    older, newer = map(repository.files, renders)
    there = repository.files(repository.tree())
    options = ["-r", "-z", "--find-renames", "--diff-filter=R", "--name-status"]
    renamed = iter(repository.git("diff-tree", *options, *renders).split("\0")[:-1])
    moved = {to: name for _, name, to in zip(renamed, renamed, renamed, strict=True)}
    gone, come = [], []
    for name, line in newer.items():
        if name in older or name in there or not among(name, yours[1]) or among(name, yours[0]):
            continue
        source = moved.get(name, "")
        if source not in older or not among(source, yours[0]):
            come.append(line)
        elif source in there:
            gone.append(source)
            about, _ = there[source].split("\t", 1)
            come.append(f"{about}\t{name}")
    return gone, come


def _plain(files: dict[str, str], name: str) -> bool:
    """Whether a name is that of a file, not of a link, a submodule or nothing."""
    return name in files and files[name].startswith("100")


def _named(
    repository: Repository, tree: str, entries: list[str], sides: dict[str, str]
) -> tuple[str, list[str]]:
    """Return a merged tree and its conflicts with a side's name where git has its commit.

    That is at the end of a file's name, where the other side has a folder or link of that name.
    """
    files = repository.files(tree)
    names = {*files, *(entry.split("\t", 1)[1] for entry in entries)}
    found: dict[str, str] = {}
    for name in names:
        if at := re.fullmatch(rf"(.+~)({'|'.join(sides)})(?:_\d+)?", name, re.DOTALL):
            new = at[1] + sides[at[2]]
            while new in {*names, *found.values()}:
                new += "_"
            found[name] = new

    def renamed(entry: str) -> str:
        about, name = entry.split("\t", 1)
        return f"{about}\t{found.get(name, name)}"

    put = [renamed(files[name]) for name in found if name in files]
    return repository.changed(tree, drop=found, put=put), [renamed(entry) for entry in entries]


def _settle(repository: Repository, tree: str, entries: list[str]) -> Merged:
    """Tell the conflicts that need a person from those that have an answer."""
    stages: dict[str, list[str]] = {}
    for entry in entries:
        about, path = entry.split("\t", 1)
        stages.setdefault(path, []).append(about.split()[2])
    # The standard drops what was changed here: it stays, as the project's own.
    alone = {path: found for path, found in stages.items() if path.rpartition("~")[0] not in stages}
    kept = [path for path, found in alone.items() if found == ["1", "2"]]
    # The standard changes what was deleted here: it stays deleted.
    gone = [path for path, found in alone.items() if found == ["1", "3"]]
    settled = {*kept, *gone}
    return Merged(
        repository.changed(tree, drop=gone),
        [path for path in stages if path not in settled],
        kept,
        [one for one in entries if one.split("\t", 1)[1] not in settled],
    )
