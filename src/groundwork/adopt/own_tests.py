"""A project's own tests: where they lie, and what pytest has to know to run them as before."""

import json
import re
import shlex
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from .formats import text
from .formats.pytest_settings import configured
from .places import FOLDER, below_tests

# Options that decide what is collected, and how. Others are about the output, or would hold for the
# standard's tests, too.
OPTIONS = re.compile(r"--(import-mode|ignore|ignore-glob|deselect|doctest-\S+)(=.*)?|-p.*")
ALONE = re.compile(r"--doctest-modules|--doctest-(continue|ignore)\S+|.*=.*|-p.+")
# Options after which a word is a place to look at, and not their value.
FLAG = re.compile(r"-[vqsxl]+|-r\w+|--(verbose|quiet|exitfirst|showlocals|strict\S*)")
# What the standard sets itself, or has for its own tests.
SET = {"minversion", "required_plugins", "addopts", "filterwarnings", "usefixtures", "testpaths",
       "pythonpath", "markers", "xfail_strict"}  # fmt: skip
# What pytest collects by default, and the standard's tests are named by.
NAMES = {"python_files": "test_*.py", "python_functions": "test"}
MARKER = re.compile(r"pytest\.mark\.([A-Za-z]\w*)")
BUILT_IN = {"parametrize", "skip", "skipif", "xfail", "usefixtures", "filterwarnings"}
# Where a project has fixtures of its own, the standard's tests still need those of the standard.
FIXTURES = {
    f"tests/{layer}/conftest.py": (
        '"""The standard\'s fixtures, before those of the same names in tests/conftest.py."""\n\n'
        f"from {place} import *  # noqa: F403\n"
    )
    for layer, place in (("contract", "."), ("yours", "..contract"))
}
# Folders that pytest does not look into.
SKIPPED = {"build", "dist", "node_modules", "venv", "env", "CVS", "{arch}"}
TEST = re.compile(r"(?m)^\s*(async )?def test|^\s*class \w*Test|unittest|doctest")


@dataclass
class OwnTests:
    """What the settings of the tests are to be."""

    testpaths: list[str] = field(default_factory=lambda: ["tests"])
    pythonpath: list[str] = field(default_factory=list)
    markers: list[str] = field(default_factory=list)
    addopts: list[str] = field(default_factory=list)
    others: dict[str, Any] = field(default_factory=dict)
    xfail_strict: bool = False
    left: list[str] = field(default_factory=list)  # what was not carried over
    places: list[str] = field(default_factory=list)  # what the options say to look at
    found: bool = False

    def mapped(self) -> list[str]:
        """Return what became of them, a line for each."""
        places = [one for one in self.testpaths if not one.startswith(("tests/c", "tests/y"))]
        listed = ", ".join(f"`{place}`" for place in places)
        lines = [f"your own tests run with `scripts/test.sh --layer yours`, from {listed}"]
        options = f"pytest's options `{' '.join(self.left)}` are not carried over"
        return (lines if self.found else []) + ([options] if self.left else [])

    def settings(self, standard: str) -> str:
        """Return the standard's pyproject.toml with these settings of pytest."""
        if not self.found:
            return standard
        before, table, rest = standard.partition("[tool.pytest.ini_options]\n")
        ours, end, after = rest.partition("\n[")
        more = [f"testpaths = {_toml(self.testpaths)}"]
        if self.pythonpath:
            more.append(f"pythonpath = {_toml(self.pythonpath)}")
        more += [f"{key} = {_toml(value)}" for key, value in self.others.items()]
        ours = _replaced(r"testpaths = .*", "\n".join(more), ours)
        strict = "true" if self.xfail_strict else "false"
        ours = _replaced(r"xfail_strict = .*", f"xfail_strict = {strict}", ours)
        options = tomllib.loads(ours)["addopts"]
        # Of a plugin that is not installed yet, a setting would end every run.
        options = [one for one in options if one != "--strict-config" or not self.others]
        ours = _replaced(r"addopts = .*", f"addopts = {_toml(options + self.addopts)}", ours)
        markers = "".join(f"    {_toml(marker)},\n" for marker in self.markers)
        ours = _replaced(r"(markers = \[\n(?:.*\n)*?)\]", rf"\1{_escaped(markers)}]", ours)
        # What these tests warn of was no error before.
        names = '"error:::tests.contract", "error:::tests.yours"'
        return before + table + ours.replace('"error:::tests"', names) + end + after


def own_tests(
    root: Path, names: Collection[str], moves: Mapping[str, str], packages: Mapping[str, str]
) -> OwnTests:
    """Return how a project's own tests are found and run.

    Args:
        root: the project's files.
        names: their paths.
        moves: where each file went that did not stay.
        packages: by the name of each import package, the folder that it lies in.
    """
    said = configured(root)
    found = OwnTests(xfail_strict=str(said.get("xfail_strict", "")).lower() in {"true", "1"})
    patterns = _words(said.get("python_files")) or ["test_*.py", "*_test.py"]
    own = [name for name in names if _collected(name, patterns) and _tests(root / name)]
    found.found = bool(own or said)
    _options(found, said)
    documented = _documented(found.addopts, names, packages)
    stated = found.places or _words(said.get("testpaths"))
    found.testpaths = _paths(root, stated, [*own, *documented], moves)
    found.pythonpath = _words(said.get("pythonpath"))
    # The standard makes a package of tests/, whose modules could be imported by their names before.
    if any(map(below_tests, own)) and "tests/__init__.py" not in names:
        found.pythonpath.append("tests")
    _markers(found, said, [text.read(root / name) for name in own])
    for key, value in said.items():
        if key in NAMES:
            value = [NAMES[key], *(word for word in _words(value) if word != NAMES[key])]  # noqa: PLW2901
        if key not in SET:
            found.others[key] = value
    return found


def _collected(name: str, patterns: list[str]) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part in SKIPPED for part in path.parts[:-1])
    return not hidden and any(path.match(pattern) for pattern in patterns) and path.suffix == ".py"


def _tests(path: Path) -> bool:
    """Say whether a file has tests: many a script is named like one."""
    return path.is_file() and TEST.search(text.read(path)) is not None


def _documented(
    options: Collection[str], names: Collection[str], packages: Mapping[str, str]
) -> Iterator[str]:
    """Yield the files with examples that pytest runs: modules, and pages that a pattern names."""
    globs = [one.partition("=")[2] for one in options if one.startswith("--doctest-glob=")]
    folders = tuple(f"{place}/{name}/".lstrip("/") for name, place in packages.items())
    for name in names:
        page = any(PurePosixPath(name).match(pattern) for pattern in globs)
        module = "--doctest-modules" in options and name.endswith(".py")
        if page or (module and name.startswith(folders)):
            yield name


def _paths(
    root: Path, stated: Collection[str], own: Collection[str], moves: Mapping[str, str]
) -> list[str]:
    """Return where pytest is to look: where it did, and at the standard's tests."""
    stated = [place.strip("./") for place in stated]
    stated = [place for place in stated if place and (root / place).exists()]
    places = {*stated}
    if not stated:
        # The folder of each test file, or a file at the root.
        parents = {name: str(PurePosixPath(name).parent) for name in own}
        places = {name if parent == "." else parent for name, parent in parents.items()}
    moved = {f"{FOLDER}/tests"} if any(map(below_tests, moves)) else set()
    whole = not stated or "tests" in places or bool(moved)
    standard = ["tests"] if whole else ["tests/contract", "tests/yours"]
    inside = [place for place in places if whole and below_tests(f"{place}/")]
    outside = {moves.get(place, place) for place in places.difference(inside)} | moved
    return standard + sorted(
        one for one in outside if not any(one.startswith(f"{other}/") for other in outside)
    )


def _markers(found: OwnTests, said: Mapping[str, Any], sources: list[str]) -> None:
    lines = said.get("markers", [])
    listed = lines.splitlines() if isinstance(lines, str) else lines
    found.markers = [line.strip() for line in listed if line.strip()]
    known = {re.split(r"[:(]", line)[0].strip() for line in found.markers}
    used = {name for source in sources for name in MARKER.findall(source)}
    # The standard takes a marker that is not registered for a mistake.
    found.markers += [
        f"{name}: of this project's own tests" for name in sorted(used - known - BUILT_IN)
    ]


def _options(found: OwnTests, said: Mapping[str, Any]) -> None:
    given = said.get("addopts", [])
    words = iter(shlex.split(given) if isinstance(given, str) else given)
    before = ""
    for word in words:
        if OPTIONS.fullmatch(word):
            value = [] if ALONE.fullmatch(word) else [next(words, "")]
            found.addopts += [word, *value]
            before = ""
            continue
        if not word.startswith("-") and (not before or FLAG.fullmatch(before)):
            found.places.append(word)
        else:
            found.left.append(word)
            before = word


def _words(said: object) -> list[str]:
    if isinstance(said, str):
        return said.split()
    return [str(one) for one in said] if isinstance(said, list) else []


def _replaced(pattern: str, by: str, settings: str) -> str:
    result, count = re.subn(rf"(?m)^{pattern}$", by if "\\1" in by else _escaped(by), settings)
    if count != 1:
        raise ValueError(f"the standard's settings of pytest have {count} lines {pattern}, not one")
    return result


def _escaped(words: str) -> str:
    return words.replace("\\", "\\\\")


def _toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
