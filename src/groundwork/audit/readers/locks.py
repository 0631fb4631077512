"""Lock files: which versions each fixes, and which of them have a hash."""

import json
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field

import yaml
from packaging.utils import canonicalize_name

from .conda import name_of
from .needs import Declared


@dataclass
class Lock:
    """A lock file."""

    path: str
    kind: str
    versions: dict[str, set[str]] = field(default_factory=dict)
    # Packages from an index that have no hash.
    unhashed: list[str] = field(default_factory=list)
    # Whether it holds all groups; an export may be a part.
    whole: bool = True

    @property
    def folder(self) -> str:
        """Return the folder of the project that it is of."""
        folder = self.path.rpartition("/")[0]
        last = folder.rpartition("/")[2]
        return folder.rpartition("/")[0] if last in {"requirements", "reqs"} else folder

    def add(self, name: str, version: str, *, hashed: bool) -> None:
        """Add a package."""
        known = canonicalize_name(name)
        self.versions.setdefault(known, set()).add(version)
        if not hashed:
            self.unhashed.append(known)


def toml_lock(path: str, text: str) -> Lock:
    """Read the lock of Poetry, uv, PDM or PEP 751."""
    content = tomllib.loads(text)
    lock = Lock(path, path.rpartition("/")[2])
    old = content.get("metadata", {}).get("files", {})  # where Poetry 1.0 and PDM 2.0 had hashes
    pylock = lock.kind.startswith("pylock")
    for package in content.get("packages" if pylock else "package", []):
        source = package.get("source", {})
        if "version" not in package or {"virtual", "editable", "directory"} & source.keys():
            continue
        files = [*package.get("files", []), *package.get("wheels", []), package.get("sdist", {})]
        files += old.get(package["name"], []) + old.get(
            f"{package['name']} {package['version']}", []
        )
        remote = {"git", "url", "path"} & (
            source.keys() | {source.get("type", "")} | package.keys()
        )
        hashed = any(one.get("hash") or one.get("hashes") for one in files if isinstance(one, dict))
        lock.add(package["name"], package["version"], hashed=bool(remote) or hashed)
    return lock


def pipfile_lock(path: str, text: str) -> Lock:
    """Read Pipenv's lock."""
    lock, content = Lock(path, "Pipfile.lock"), json.loads(text)
    for table in ("default", "develop"):
        for name, about in content.get(table, {}).items():
            if "version" in about:
                hashed = bool(about.get("hashes"))
                lock.add(name, about["version"].removeprefix("=="), hashed=hashed)
    return lock


def conda_lock(path: str, text: str) -> Lock:
    """Read the lock of conda-lock, in its one format for all platforms."""
    lock, content = Lock(path, "conda-lock"), yaml.load(text, yaml.CSafeLoader) or {}
    for package in content.get("package", []):
        hashed = bool(package.get("hash"))
        lock.add(name_of(package["name"]), str(package["version"]), hashed=hashed)
    return lock


def pixi_lock(path: str, text: str) -> Lock:
    """Read pixi's lock, which names conda's packages by their addresses alone."""
    lock, content = Lock(path, "pixi.lock"), yaml.load(text, yaml.CSafeLoader) or {}
    for package in content.get("packages", []):
        name, version = package.get("name"), package.get("version")
        if file := re.search(r"/([^/]+)-([^-/]+)-[^-/]+$", str(package.get("conda", ""))):
            name, version = file.groups()
        if name and version:
            remote = str(package.get("pypi", "")).startswith(("git+", "."))
            hashed = remote or bool(package.get("sha256") or package.get("md5"))
            lock.add(name_of(name), str(version), hashed=hashed)
    return lock


def conda_explicit(path: str, text: str) -> Lock:
    """Read `conda list --explicit`: an address a line, with a digest after `#`."""
    lock = Lock(path, "conda explicit")
    for name, version, digest in re.findall(
        r"(?m)^https?://\S+/([\w.-]+?)-([^-\s/]+)-[^-\s/]+\.(?:conda|tar\.bz2)(#\w+)?\s*$", text
    ):
        lock.add(name, version, hashed=bool(digest))
    return lock


def compiled(declared: Declared) -> Lock:
    """Return a requirements file that is complete as the lock that it is."""
    lock = Lock(declared.path, "requirements", whole=False)
    for one in declared.needs:
        if not one.url:
            lock.add(one.name, one.specifier.lstrip("= "), hashed=declared.hashed)
    return lock


READERS: dict[str, Callable[[str, str], Lock]] = {
    "poetry.lock": toml_lock,
    "uv.lock": toml_lock,
    "pdm.lock": toml_lock,
    "pylock*.toml": toml_lock,
    "Pipfile.lock": pipfile_lock,
    "conda-lock.y*ml": conda_lock,
    "*.conda-lock.y*ml": conda_lock,
    "conda-*.lock": conda_explicit,
    "pixi.lock": pixi_lock,
}


def first_line(text: str, name: str) -> int:
    """Return the line of a lock that has a package's name."""
    spelled = re.escape(name).replace(r"\-", "[-_.]")
    found = re.search(rf'(?im)^\W*(name = ")?{spelled}\b', text)
    return text.count("\n", 0, found.start() + 1) + 1 if found else 1
