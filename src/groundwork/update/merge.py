"""Merge what changed between two versions of the standard into a project, with git's own merge.

Needs git 2.38. It works on trees in git's object store, so nothing that is checked out changes:
see checkout.py.
"""

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
    tree, *parts = repository.git("merge-tree", "--write-tree", "-z", mine, its).split("\0")
    # The conflicts are listed up to an empty part; messages for people follow.
    entries = parts[: parts.index("")] if "" in parts else []
    merged = _settle(repository, tree, entries)

    files = repository.files(merged.tree)
    texts = {name: repository.text(files[name]) for name in merged.conflicts if _plain(files, name)}
    for name, text in texts.items():
        texts[name] = text.replace(f" {mine}", " yours").replace(f" {its}", " the standard")
    lock = repository.files(before).get(LOCK)
    if lock and LOCK in files and not resolved(repository, merged.tree, new):
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
