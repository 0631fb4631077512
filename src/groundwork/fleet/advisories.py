"""Known vulnerabilities of locked packages, from a database in OSV's format that lies here.

https://ossf.github.io/osv-schema/: https://osv.dev serves one file of all advisories of PyPI.
"""

import json
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from groundwork.errors import UserError

# An advisory's identifier with its aliases, and what it says of one package, by the package's name.
Database = dict[str, list[tuple[list[str], dict[str, Any]]]]


def load(path: Path) -> Database:
    """Return the advisories of a zip file, or of a folder and those in it.

    Raises:
        UserError: it cannot be read, or has none for Python's packages.
    """
    found: Database = defaultdict(list)
    try:
        for name, content in _files(path):
            try:
                entries = list(_entries(content))
            except (ValueError, KeyError, TypeError, AttributeError):
                raise UserError(f"{name} in {path} is no advisory in OSV's format") from None
            for package, names, affected in entries:
                found[package].append((names, affected))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    except zipfile.BadZipFile:
        raise UserError(f"{path} is neither a folder nor a zip file") from None
    if not found:
        raise UserError(f"{path} has no advisory for a package of PyPI")
    return dict(found)


def _entries(content: bytes) -> Iterator[tuple[str, list[str], dict[str, Any]]]:
    """Yield each package of an advisory that counts, with what it is called and says of it."""
    advisory = json.loads(content)
    names = [advisory["id"], *advisory.get("aliases", [])]
    for affected in [] if advisory.get("withdrawn") else advisory.get("affected", []):
        package = affected.get("package", {})
        if package.get("ecosystem") == "PyPI":
            yield canonicalize_name(package["name"]), names, affected


def matches(pins: Mapping[str, tuple[str, ...]], database: Database) -> list[str]:
    """Return `PACKAGE VERSION: ADVISORY` for each that is known, once for all its aliases."""
    found = []
    for package, versions in sorted(pins.items()):
        entries = database.get(canonicalize_name(package), [])
        for version in sorted(set(versions)):
            known: set[str] = set()
            for names, affected in sorted(entries, key=lambda one: one[0][0]):
                if known.isdisjoint(names) and _affects(affected, version):
                    found.append(f"{package} {version}: {names[0]}")
                    known |= {*names}
    return found


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.rglob("*.json")):
            yield file.name, file.read_bytes()
        return
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".json"):
                yield name, archive.read(name)


def _affects(affected: Mapping[str, Any], version: str) -> bool:
    """Whether a version is listed or in a range; what cannot be compared counts as affected."""
    try:
        own = Version(version)
        listed = (_version(one) for one in affected.get("versions", []))
        ranges = [one for one in affected.get("ranges", []) if one.get("type") != "GIT"]
        return own in set(listed) or any(_within(one.get("events", []), own) for one in ranges)
    except InvalidVersion:
        return True


def _version(text: str) -> Version | None:
    """Return a listed version; one of an old form can be no locked one."""
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _within(events: list[Mapping[str, str]], version: Version) -> bool:
    """Evaluate a range's events in the order of their versions, as the format says."""

    def place(event: Mapping[str, str]) -> Version:
        (text,) = event.values()
        return Version(text)

    affected = False
    for event in sorted(events, key=place):
        at = place(event)
        if "introduced" in event and version >= at:
            affected = True
        if ("fixed" in event and version >= at) or ("last_affected" in event and version > at):
            affected = False
    return affected
