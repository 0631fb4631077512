"""What a repository depends on."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from poetry.core.constraints.version import parse_constraint
from poetry.core.constraints.version.exceptions import ParseConstraintError

from groundwork.errors import UserError

# No packages of Python's, or what the standard brings in another way.
NOT_CARRIED = {"python", "pip", "setuptools", "wheel", "poetry"}
PYTHONS = ("3.11", "3.12", "3.13")


@dataclass(frozen=True)
class Statement:
    """One requirement, and the file that states it."""

    requirement: Requirement
    file: str
    dev: bool


@dataclass
class Wanted:
    """What the files of a repository state, and what could not be read."""

    statements: list[Statement] = field(default_factory=list)
    # Requirements that count only for a package that another file asks for.
    constraints: list[Statement] = field(default_factory=list)
    # The versions of each package in the project's locks: several where they differ by Python.
    pins: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    # Packages that come from somewhere else than the default index. One of that name in a public
    # index may be anybody's, so none of them is carried over by its name.
    sources: dict[str, str] = field(default_factory=dict)
    # What locks say of packages from another index, be they asked for or only needed.
    elsewhere: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    # The files that said so.
    files: list[str] = field(default_factory=list)
    # The project's own name, by which its extras name each other.
    own: str = ""
    # What the project says of Python, all files together.
    python: SpecifierSet = field(default_factory=SpecifierSet)
    # What was asked of a package whose pin was taken out of the way.
    relaxed: dict[str, str] = field(default_factory=dict)

    def add(self, file: str, texts: Iterable[str | Requirement], *, dev: bool = False) -> None:
        """Add requirements; one with an address is a source."""
        for text in texts:
            one = self.parsed(file, text)
            if one is None:
                continue
            if one.url:
                self.source(file, one.name, str(text))
            elif canonicalize_name(one.name) not in {*NOT_CARRIED, self.own}:
                self.statements.append(Statement(one, file, dev))

    def constrain(self, file: str, texts: Iterable[str | Requirement]) -> None:
        """Add requirements that ask for no package by themselves."""
        for text in texts:
            if one := self.parsed(file, text):
                self.constraints.append(Statement(one, file, dev=False))

    def parsed(self, file: str, text: str | Requirement) -> Requirement | None:
        """Return a requirement; one that cannot be parsed is reported, and None."""
        if isinstance(text, Requirement):
            return text
        try:
            return Requirement(text)
        except InvalidRequirement:
            self.unread.append(f"{file}: {text}")
            return None

    def source(self, file: str, name: str, said: str) -> None:
        """Record where a package comes from."""
        self.sources.setdefault(canonicalize_name(name), f"{file}: {said}")

    def pin(self, name: str, version: str) -> None:
        """Record the version of a package in a lock."""
        self.pins[canonicalize_name(name)].add(version.removeprefix("=="))

    def relax(self, names: Iterable[str]) -> None:
        """Ask for any version of these packages; what was asked for is kept for the report.

        Raises:
            UserError: the project asks for no such package.
        """
        for name in map(canonicalize_name, names):
            if name not in self.names - self.sources.keys():
                raise UserError(f"--relax {name}: the repository asks for no such package")
            stated = [
                one.requirement
                for one in [*self.statements, *self.constraints]
                if canonicalize_name(one.requirement.name) == name
            ]
            said = [f"=={pin}" for pin in sorted(self.pins.pop(name, set()))]
            said = said or [str(one.specifier) for one in stated]
            self.relaxed[name] = " or ".join(filter(None, dict.fromkeys(said))) or "any version"
            for one in stated:
                one.specifier = SpecifierSet()

    def runs_on(self, said: dict[str, Any]) -> None:
        """Take note of which Pythons a file says that the project runs on."""
        self.python &= python_bound(said) or SpecifierSet()

    @property
    def pythons(self) -> list[str]:
        """Return which of the standard's Pythons the project runs on."""
        return [one for one in PYTHONS if f"{one}.9" in self.python]

    @property
    def size(self) -> tuple[int, ...]:
        """Return how much is known, to see whether a file added anything."""
        known = (self.statements, self.pins, self.unread, self.sources)
        return tuple(map(len, known))

    @property
    def names(self) -> set[str]:
        """Return the canonical name of every package that is asked for."""
        return {canonicalize_name(one.requirement.name) for one in self.statements} | {
            *self.sources
        }

    def tables(
        self,
    ) -> tuple[dict[str, list[Requirement]], dict[str, list[Requirement]], list[str]]:
        """Return main and development requirements by canonical name, and what contradicts itself.

        A package has one requirement per environment marker: what all files say of it together.
        """
        by_name: dict[str, list[Statement]] = defaultdict(list)
        for one in self.statements:
            by_name[canonicalize_name(one.requirement.name)].append(one)
        main: dict[str, list[Requirement]] = {}
        dev: dict[str, list[Requirement]] = {}
        clashes: list[str] = []
        for name, stated in by_name.items():
            if name in self.sources:
                continue
            more = [
                one for one in self.constraints if canonicalize_name(one.requirement.name) == name
            ]
            table = dev if all(one.dev for one in stated) else main
            table[name] = list(_together(name, [*stated, *more], clashes))
        return main, dev, clashes


def _together(name: str, stated: list[Statement], clashes: list[str]) -> Iterable[Requirement]:
    by_marker: dict[str, list[Statement]] = defaultdict(list)
    for one in stated:
        by_marker[str(one.requirement.marker or "")].append(one)
    extras = set().union(*(one.requirement.extras for one in stated))
    for several in by_marker.values():
        both = Requirement(str(several[0].requirement))
        both.extras = extras
        for one in several[1:]:
            both.specifier &= one.requirement.specifier
        exact = {
            part.version
            for part in both.specifier
            if part.operator in {"==", "==="} and not part.version.endswith(".*")
        }
        if exact and not any(
            both.specifier.contains(version, prereleases=True) for version in exact
        ):
            said = "; ".join(
                f"{one.file} says {one.requirement.specifier or 'any'}" for one in several
            )
            first = next(one for one in several if "==" in str(one.requirement.specifier))
            both.specifier = first.requirement.specifier
            clashes.append(
                f"{name}: {said}; no version fits all, carried over is that of {first.file}"
            )
        yield both


def python_bound(said: dict[str, Any]) -> SpecifierSet | None:
    """Return which Pythons a project says that it runs on, None where it does not."""
    bound = said.get("requires-python") or said.get("python_requires")
    if not bound and isinstance(said.get("dependencies"), dict):  # Poetry's table
        bound = said["dependencies"].get("python")
    if not bound:
        return None
    try:
        return SpecifierSet(bound)
    except InvalidSpecifier:
        pass
    try:  # as Poetry writes it: ^3.11, ~3.11, *
        return SpecifierSet(str(parse_constraint(bound)).removeprefix("*"))
    except (InvalidSpecifier, ParseConstraintError):
        return None
