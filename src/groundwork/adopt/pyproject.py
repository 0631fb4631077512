"""The standard's pyproject.toml with what is the project's."""

import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from .report import shown
from .wanted import PYTHONS, Wanted

# Tables of pyproject.toml that are about another way to package, or that the standard has.
PACKAGING = {"poetry", "setuptools", "setuptools_scm", "hatch", "pdm", "flit", "uv"}


@dataclass
class Pyproject:
    """How it is made, and what became of each dependency."""

    render: Path
    wanted: Wanted
    packages: dict[str, str]
    # Where the code of each of the project's commands is.
    commands: dict[str, str] = field(default_factory=dict)
    # What the project is installed as, and in which version: its code may ask for that.
    distribution: tuple[str, str] = ("", "")
    mapped: list[str] = field(default_factory=list)
    new_packages: bool = False
    # Whether the standard's lock does not hold for the project.
    relock: bool = False
    # Packages of the standard, in versions that the project does not ask for.
    outdated: list[str] = field(default_factory=list)
    # Files that exclude each other.
    clashes: list[str] = field(default_factory=list)

    def text(self, own: str, unchecked: Collection[str]) -> str:
        """Return the standard's file with the dependencies and tools of the project's `own`.

        `unchecked` are the project's Python files and folders.
        """
        text = (self.render / "pyproject.toml").read_text(encoding="utf-8")
        content = tomllib.loads(text)
        main, dev, self.clashes = self.wanted.tables()
        for table, marker in (
            (main, "`poetry add` appends"),
            (dev, "`poetry add -G dev` appends"),
        ):
            end = re.search(rf"(?m)^.*{re.escape(marker)}.*\n", text)
            if end:
                lines = "".join(self._carried(table, content))
                text = text[: end.end()] + lines + text[end.end() :]
        for name, place in self.packages.items():
            source = f', from = "{place}"' if place else ""
            include = f', {{ include = "{name}"{source} }}]'
            text = re.sub(r"(?m)(?<=^packages = )(\[.*)\]$", rf"\g<1>{include}", text)
        text = self._named(self._with_commands(self._with_pythons(text), content), content)
        text = _without_checks(text, content, unchecked) + _tables(own, content)
        tomllib.loads(text)
        return text

    def _with_pythons(self, text: str) -> str:
        """Return the file for the Pythons that the project runs on, which its packages may need."""
        pythons = self.wanted.pythons
        if pythons in ([], [*PYTHONS]):
            return text
        last = pythons[-1].partition(".")[2]
        bound = f">={pythons[0]},<3.{int(last) + 1}"
        self.relock = True
        self.mapped.append(f"requires-python is `{bound}`: yours is `{self.wanted.python}`")
        return re.sub(r"(?m)^requires-python = .*$", f'requires-python = "{bound}"', text)

    def _named(self, text: str, content: dict[str, Any]) -> str:
        """Return the file with the name and the version that the project is installed by."""
        name, version = self.distribution
        if name:
            standard = _quoted(content["project"]["name"])
            text = text.replace(f"name = {standard}\n", f"name = {_quoted(name)}\n", 1)
            text = text.replace(f"    {standard}, # this", f"    {_quoted(name)}, # this", 1)
            self.mapped.append(f"it is installed as `{name}`, as before")
        if version:
            text = re.sub(r'(?m)^version = ".*"$', f"version = {_quoted(version)}", text, count=1)
        return text

    def _with_commands(self, text: str, content: dict[str, Any]) -> str:
        """Return the file with the commands that the project installs."""
        own = {}
        for name, target in self.commands.items():
            if name in content["project"]["scripts"]:
                self.clashes.append(f"the command `{name}` is the standard's, yours was `{target}`")
            else:
                own[name] = target
                self.mapped.append(f"the command `{name}` is installed as before: `{target}`")
        lines = "".join(f"{_quoted(name)} = {_quoted(target)}\n" for name, target in own.items())
        table = r"(?m)^\[project\.scripts\]\n(?:.+\n)+"
        return re.sub(table, lambda found: found[0] + lines, text, count=1)

    def _replaced(self, name: str, requirements: list[Requirement], there: str | None) -> None:
        """Note the version that the standard has of a package, instead of the project's own."""
        pins = self.wanted.pins.get(name, set())
        before = _before(requirements, pins)
        self.mapped.append(f"{name}: {before} with you, {there} in the standard")
        if there and not any(one.specifier.contains(there) for one in requirements):
            before = " or ".join(str(one.specifier) for one in requirements)
        elif not there or not pins or not all(_breaks(pin, there) for pin in pins):
            return
        self.outdated.append(f"{name} ({before} with you, {there} in the standard)")

    def _carried(
        self, table: dict[str, list[Requirement]], content: dict[str, Any]
    ) -> Iterator[str]:
        """Yield a line for each requirement that is new; note what became of every one."""
        packages = tomllib.loads((self.render / "poetry.lock").read_text("utf-8"))["package"]
        locked = {str(canonicalize_name(one["name"])): str(one["version"]) for one in packages}
        groups = content["dependency-groups"].values()
        direct = [*content["project"]["dependencies"], *(one for group in groups for one in group)]
        standard = {canonicalize_name(Requirement(one).name) for one in direct}
        for name, requirements in table.items():
            pins = self.wanted.pins.get(name, set())
            there = locked.get(name)
            if name in standard:
                self._replaced(name, requirements, there)
                continue
            self.new_packages = self.relock = True
            for requirement in requirements:
                if name in self.wanted.relaxed:
                    before = self.wanted.relaxed[name]
                    after = there or "the version in docs/environment.md after scripts/lock.sh"
                    self.mapped.append(f"{name}: {before} with you, given up by --relax: {after}")
                elif there:
                    fits = requirement.specifier.contains(there, prereleases=True)
                    if not fits or pins - {there}:
                        before = _before([requirement], pins)
                        self.mapped.append(
                            f"{name}: {before} with you, {there} for the standard's packages"
                        )
                    if not fits:
                        requirement.specifier = SpecifierSet()
                elif len(pins) == 1:
                    requirement.specifier = SpecifierSet(f"=={next(iter(pins))}")
                written = str(requirement).replace('"', "'")
                self.mapped.append(f"{name}: carried over as `{written}`")
                yield f'    "{written}",\n'


def _before(requirements: list[Requirement], pins: set[str]) -> str:
    """Return the versions that a project has had, as its lock or its files say."""
    said = [f"=={pin}" for pin in sorted(pins)] or [str(one.specifier) for one in requirements]
    return " or ".join(filter(None, dict.fromkeys(said))) or "any version"


def _breaks(old: str, new: str) -> bool:
    """Say whether code may have to change between two versions, by the first number that is not 0.

    Versions that cannot be compared may differ in anything.
    """
    try:
        before, after = Version(old).release, Version(new).release
    except InvalidVersion:
        return True
    first = next((at for at, number in enumerate(before) if number), 0)
    return before[: first + 1] != after[: first + 1]


def _without_checks(text: str, content: Mapping[str, Any], python: Collection[str]) -> str:
    """Keep linters and type checkers off the project's files until someone wants them on."""
    if not python:
        return text
    listed = ", ".join(map(_quoted, python))
    text = _after("src", f"extend-exclude = [{listed}]\n", text)
    folders = tuple(f"{folder}/" for folder in content["tool"]["mypy"]["files"])
    typed = [name for name in python if name.startswith(folders)]
    if typed:
        ends = ("$" if name.endswith((".py", ".pyi", ".ipynb")) else "/" for name in typed)
        patterns = ", ".join(
            _quoted(f"^{re.escape(name)}{end}") for name, end in zip(typed, ends, strict=True)
        )
        text = _after("files", f"exclude = [{patterns}]\n", text)
    return text


def _after(key: str, line: str, text: str) -> str:
    """Return a TOML text with a line put after the one list of this name."""
    text, count = re.subn(rf"(?m)^{key} = \[.*\]\n", lambda found: found[0] + line, text)
    if count != 1:
        raise ValueError(f"the standard's pyproject.toml has {count} lists {key}, not one")
    return text


def _quoted(text: str) -> str:
    return json.dumps(shown(text), ensure_ascii=False)


def _tables(pyproject: str, content: Mapping[str, Any]) -> str:
    """Return the text of the tables of tools that the standard does not configure."""
    known = PACKAGING | content["tool"].keys()
    kept = [
        part.rstrip() + "\n"
        for part in re.split(r"(?m)^(?=\[)", pyproject)
        if (tool := re.match(r"\[\[?tool\.\"?([\w-]+)", part)) and tool[1] not in known
    ]
    try:
        tomllib.loads("".join(kept))
    except tomllib.TOMLDecodeError:
        return ""
    return "".join(f"\n{part}" for part in kept)
