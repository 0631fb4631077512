"""Checks of locks: all versions are explicit, locked, hashed and in sync."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

from groundwork.audit.model import Check, Finding
from groundwork.audit.readers.locks import Lock, first_line
from groundwork.audit.readers.needs import DEPENDENCIES, Declared, missing
from groundwork.audit.repository import Audited

# How each tool writes its lock.
TOOLS = {
    "poetry": "poetry lock",
    "uv": "uv lock",
    "pdm": "pdm lock",
    "Pipfile": "pipenv lock",
    "conda": "conda-lock --file environment.yml",
    "pixi": "pixi lock",
    "requirements": "uv pip compile --generate-hashes requirements.in -o requirements.txt",
}


class Locks(Check):
    """A check of this family."""

    family = "locks"
    reads = frozenset({DEPENDENCIES})

    def applies(self, repo: Audited) -> bool:
        """Return whether anything is declared."""
        return bool(repo.needs) or any(one.computed for one in repo.manifests)

    def mend_with(self, repo: Audited) -> str:
        """Return the command of the tool that the repository has."""
        kinds = {one.kind for one in repo.manifests}
        text = "".join(repo.text(path) for path in repo.files.named("pyproject.toml"))
        if "pyproject" in kinds:
            tool = next((one for one in ("poetry", "pdm", "pixi") if f"[tool.{one}" in text), "uv")
            return TOOLS[tool]
        return TOOLS[next((one for one in TOOLS if one in kinds), "requirements")]


class Locked(Locks):
    """There is a lock that fixes every version, indirect ones included."""

    id = "LK101"
    reason = "A version that is open is chosen anew by each installation, in each part of the tree."
    mend = "Let the tool that installs write its lock, and commit it."
    command = "uv lock"
    days = 1

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return, where there is none, each requirement that leaves its version open."""
        if repo.locks:
            return
        for declared in repo.manifests:
            listed = [one for one in declared.needs if not one.exact and not one.url]
            for one in listed:
                yield Finding(one.path, one.line, f"{one.text} leaves the version open")
            if not listed:
                lacks = missing(declared.needs)
                told = "no lock is beside it: indirect packages have no version"
                if lacks:
                    name, by = next(iter(lacks.items()))
                    told += f", such as {name} of {by}"
                yield Finding(declared.path, 1, told)


class Hashed(Locks):
    """Every locked package has a hash."""

    id = "LK102"
    reason = "A file may be replaced on an index or on its way; a hash makes that an error."
    mend = "Let the tool write hashes."
    command = "uv pip compile --universal --generate-hashes requirements.in -o requirements.txt"
    requires = frozenset({"LK101"})

    def applies(self, repo: Audited) -> bool:
        """Return whether there is a lock."""
        return bool(repo.locks)

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return locks with packages without a hash; a lock of another file beside it will do."""
        whole = {one.folder for one in repo.locks if not one.unhashed}
        for lock in repo.locks:
            if lock.unhashed and (lock.whole or lock.folder not in whole):
                name = lock.unhashed[0]
                line = first_line(repo.text(lock.path), name)
                told = f"{len(lock.unhashed)} of {len(lock.versions)} have no hash: {name}"
                yield Finding(lock.path, line, told)


class InSync(Locks):
    """The lock has every declared requirement, at a version that is declared."""

    id = "LK103"
    reason = "A lock that lags behind installs what nobody declared, or is made anew in silence."
    mend = "Lock again, and let CI check it."
    command = "uv lock"
    requires = frozenset({"LK101"})

    def applies(self, repo: Audited) -> bool:
        """Return whether there is a lock."""
        return bool(repo.locks)

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return requirements that a lock beside their file does not have, or not so."""
        for declared in repo.manifests:
            if declared.compiled:
                continue
            for lock in _of(declared, repo.locks):
                yield from _differences(declared, lock)


def _of(declared: Declared, locks: list[Lock]) -> Iterator[Lock]:
    """Yield the locks that a manifest should agree with."""
    folder = declared.path.rpartition("/")[0]
    stem = declared.path.rpartition(".")[0]
    beside = [one for one in locks if one.folder == folder]
    by_tool = [one for one in beside if one.whole]
    if declared.kind in {"pyproject", "Pipfile", "conda", "pixi"}:
        kinds = {"Pipfile": "Pipfile.lock", "conda": "conda-lock", "pixi": "pixi.lock"}
        wanted = kinds.get(declared.kind)
        yield from (
            one
            for one in by_tool
            if (one.kind == wanted if wanted else one.kind not in kinds.values())
        )
        if declared.kind == "pyproject" and not by_tool and (parts := beside):
            yield _together(parts)
    elif declared.path.endswith(".in"):
        yield from (one for one in locks if one.path == f"{stem}.txt")


def _together(parts: list[Lock]) -> Lock:
    """Return exports that hold a part each as one."""
    whole = Lock(parts[0].path, "requirements", whole=False)
    for part in parts:
        for name, versions in part.versions.items():
            whole.versions.setdefault(name, set()).update(versions)
    return whole


def _differences(declared: Declared, lock: Lock) -> Iterator[Finding]:
    for one in declared.needs:
        versions = lock.versions.get(one.name)
        if one.url:
            continue
        if versions is None:
            if not one.optional and (lock.whole or one.main):
                yield Finding(one.path, one.line, f"{one.text} is not in {lock.path}")
        elif not any(one.allows(version) for version in versions):
            told = f"{one.text}, and {lock.path} has {', '.join(sorted(versions))}"
            yield Finding(one.path, one.line, told)


class Agree(Locks):
    """Locks of one project agree on each version."""

    id = "LK104"
    reason = "With two locks that differ, what is tested is not what is deployed."
    mend = "Keep one lock, and export the other from it."
    command = "poetry export --output requirements.txt"
    requires = frozenset({"LK101"})

    def applies(self, repo: Audited) -> bool:
        """Return whether a project has more than one."""
        folders = [one.folder for one in repo.locks]
        return len(folders) > len(set(folders))

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return packages with no version in common; each pair of files once."""
        by_folder: dict[str, list[Lock]] = defaultdict(list)
        for lock in repo.locks:
            by_folder[lock.folder].append(lock)
        for group in by_folder.values():
            for one, other in combinations(group, 2):
                shared = sorted(one.versions.keys() & other.versions.keys())
                apart = [x for x in shared if not one.versions[x] & other.versions[x]]
                if apart:
                    name = apart[0]
                    has, theirs = min(other.versions[name]), min(one.versions[name])
                    more = f", and {len(apart) - 1} more differ" if len(apart) > 1 else ""
                    line = first_line(repo.text(other.path), name)
                    told = f"{name} {has}, but {theirs} in {one.path}{more}"
                    yield Finding(other.path, line, told)


CHECKS = (Locked, Hashed, InSync, Agree)
