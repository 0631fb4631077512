"""What calls a file by a path at which it is no longer: steps of CI, targets, entry points."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from .formats import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from .overlay import Overlay

# Files that call others by their paths.
CALLERS = re.compile(
    r"\.github/(workflows|actions)/.+\.ya?ml|\.gitlab-ci\.yml|\.circleci/.+|azure-pipelines\.yml|Jenkinsfile"
    r"|(.+/)?Makefile|(.+/)?justfile|.+\.just|noxfile\.py|tox\.ini|pyproject\.toml"
    r"|setup\.(py|cfg)|Dockerfile.*|dvc\.yaml|MLproject|\.pre-commit-config\.yaml"
)
# By the lock that a tool installs from, its commands that do so.
INSTALLS = {
    "uv.lock": r"uv +(export|lock|run|sync)",
    "pdm.lock": r"pdm +(install|lock|run|sync)",
    "Pipfile.lock": r"pipenv +(install|lock|run|sync)",
    "pixi.lock": r"pixi +(install|lock|run)",
}
# Where tox looks for its settings, in its order, and what a file with some has.
TOX = {
    "tox.ini": "",
    "setup.cfg": r"(?m)^\[tox:tox\]",
    "pyproject.toml": r"(?m)^\[tool\.tox[.\]]",
    "tox.toml": "",
}
# What a line belongs to: a step or job of CI, a target of make, a stage, a table of settings.
NAMED = (
    re.compile(r"\s*- name:\s*(.+)"),
    re.compile(r"\s*(\w[\w.-]*):\s*$"),
    re.compile(r"(\w[\w.-]*)\s*:(?!=)"),
    re.compile(r"\s*(\[.+\])\s*$"),
    re.compile(r"def (\w+)"),
)
# Read by people, or by what packages them. What names pyproject.toml means the one in its place,
# which has the project's packages and tools.
UNCALLED = re.compile(r"(?i)(.+/)?(readme|changelog|contributing)[^/]*|pyproject\.toml")


def workflow(name: str) -> bool:
    """Say whether GitHub runs a file because of where it is, beside others."""
    return name.startswith(".github/workflows/")


def callers(overlay: Overlay) -> Iterator[str]:
    """Yield what no longer runs, and each line that names a file that moved, with a command."""
    for name, to in overlay.moves.items():
        if workflow(name):
            folder, _, file = name.rpartition("/")
            back = f"{folder}/own-{file}"
            yield (
                f"`git mv {shlex.quote(to)} {shlex.quote(back)}`, if the standard's `{name}` does"
                " not do what yours did: where it is now, nothing runs it"
            )
    moves = {name: to for name, to in overlay.moves.items() if not UNCALLED.fullmatch(name)}
    for caller in sorted(filter(CALLERS.fullmatch, overlay.theirs)):
        path = overlay.files / caller
        if path.is_file():
            shown = overlay.moves.get(caller, caller)
            for number, inside, name in named(text.read(path), moves):
                to = moves[name]
                command = f"{number}s|{re.escape(name)}|{to}|"
                yield (
                    f"`sed -i.before {shlex.quote(command)} {shlex.quote(shown)}`: {inside}"
                    f" names `{name}`, which is `{to}` now"
                )


def installers(root: Path, names: Iterable[str], moves: Mapping[str, str]) -> Iterator[str]:
    """Yield for each lock that the standard's replaces what shows where it is installed from."""
    called = sorted(filter(CALLERS.fullmatch, names))
    texts = {name: text.read(root / name) for name in called if (root / name).is_file()}
    for lock, commands in INSTALLS.items():
        words = re.compile(rf"\b{commands}\b")
        found = [moves.get(name, name) for name in texts if words.search(texts[name])]
        if found and (root / lock).is_file():
            yield (
                f"`grep -nwE '{commands}' {shlex.join(found)}`: this installs from `{lock}`;"
                " `scripts/setup.sh` installs from the standard's lock, into `.venv`"
            )


def environments(root: Path) -> Iterator[str]:
    """Yield how a project's environments of tox are run, where the standard's hide them."""
    for name, pattern in TOX.items():
        path = root / name
        if path.is_file() and re.search(pattern, text.read(path)):
            if name != "tox.ini":  # which moves, and is reported
                yield f"`tox -c {name}`, where it was `tox`, which reads the standard's `tox.ini`"
            return


def named(content: str, moves: Mapping[str, str]) -> Iterator[tuple[int, str, str]]:
    """Yield the number of each line that names one of these files, its place, and the file."""
    inside = ""
    for number, line in enumerate(content.splitlines(), 1):
        for pattern in NAMED:
            if found := pattern.match(line):
                inside = f", in `{found[1].strip()}`,"
                break
        for name in moves:
            if re.search(rf"(?<![\w./-])(\./)?{re.escape(name)}(?![\w/-]|\.\w)", line):
                yield number, f"line {number}{inside}", name
