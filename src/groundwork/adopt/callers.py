"""What calls a file by a path at which it is no longer: steps of CI, targets, entry points."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from .formats import text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .overlay import Overlay

# Files that call others by their paths.
CALLERS = re.compile(
    r"\.github/workflows/.+\.ya?ml|\.gitlab-ci\.yml|\.circleci/.+|azure-pipelines\.yml|Jenkinsfile"
    r"|(.+/)?Makefile|justfile|noxfile\.py|tox\.ini|pyproject\.toml"
    r"|setup\.(py|cfg)|Dockerfile.*|dvc\.yaml|MLproject|\.pre-commit-config\.yaml"
)
# What a line belongs to: a step or job of CI, a target of make, a stage, a table of settings.
NAMED = (
    re.compile(r"\s*- name:\s*(.+)"),
    re.compile(r"\s*(\w[\w.-]*):\s*$"),
    re.compile(r"(\w[\w.-]*)\s*:(?!=)"),
    re.compile(r"\s*(\[.+\])\s*$"),
    re.compile(r"def (\w+)"),
)
# Read by people, or by what packages them.
PAGES = re.compile(r"(?i)(.+/)?(readme|changelog|contributing)[^/]*")


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
    moves = {name: to for name, to in overlay.moves.items() if not PAGES.fullmatch(name)}
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
