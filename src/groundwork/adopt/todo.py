"""What is left to do after an adoption, in order, each with its command."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .formats import text
from .places import BRANCH, FOLDER, NOT_LINTED, below_tests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .overlay import Overlay

SUPERSEDED = [
    *("setup.py", "setup.cfg", "Pipfile", "Pipfile.lock", "uv.lock", "pdm.lock", "pixi.toml"),
    *("pixi.lock", "environment.yml", "environment.yaml", "requirements.txt", "requirements.in"),
]
# Files that call others by their paths.
CALLERS = re.compile(
    r"\.github/workflows/.+\.ya?ml|\.gitlab-ci\.yml|\.circleci/.+|azure-pipelines\.yml|Jenkinsfile"
    r"|(.+/)?Makefile|justfile|noxfile\.py|tox\.ini|pyproject\.toml|setup\.(py|cfg)|Dockerfile.*"
    r"|dvc\.yaml|MLproject|\.pre-commit-config\.yaml"
)


def todo(overlay: Overlay, answers: Mapping[str, str]) -> list[str]:
    """Return the remaining steps of an adoption."""
    theirs, wanted = overlay.theirs, overlay.wanted
    moved = [f"{FOLDER}/{name}" for name in overlay.shown_moves() if not below_tests(name)]
    superseded = [name for name in SUPERSEDED if name in theirs]
    model = f"src/{answers['package_name']}"
    lines = {
        f"`git switch --no-overwrite-ignore {BRANCH}`": True,
        "`mv .venv .venv-before`, if you want to keep it: `scripts/setup.sh` makes the standard's"
        " environment in its place": (overlay.repository.folder / ".venv").exists(),
        "`scripts/lock.sh`: your packages beside the standard's. Where no versions fit together, it"
        " says which packages clash; to give up the pin of one of yours, begin again:"
        f" `git switch - && git branch -D {BRANCH}`, and `groundwork adopt` as before with"
        " `--relax PACKAGE`": overlay.pyproject.relock,
        "`scripts/setup.sh`": True,
        **{f"decide: {clash}": True for clash in overlay.pyproject.clashes},
        **{
            f"add {name} by hand, it comes from elsewhere ({said}); a package of that name in a"
            " public index may be somebody else's": True
            for name, said in wanted.sources.items()
        },
        **{f"not carried over, see to it: {line}": True for line in wanted.unread},
        "name your licence in pyproject.toml, if there is one; the standard has written none":
            answers["license"] == "none",
        f"fold what you need of these into the standard's files: {_listed(moved)}": moved,
        **{f"change the path: {line}": True for line in _callers(overlay)},
        "`scripts/test.sh --layer yours`: your own tests, where they were": overlay.tests.found,
        f"`git rm {' '.join(superseded)}`, when nothing reads them any more": superseded,
        f"put your model in place of the example: `data.py`, `schema.py`, `features.py` and"
        f" `model.py` in `{model}`": True,
        "take your files out of `extend-exclude` and `exclude` in pyproject.toml, and out of"
        f" `{NOT_LINTED}`, to have them checked and your notebooks run": True,
        "`scripts/test.sh`, then merge; later versions come by `scripts/update.sh`": True,
    }  # fmt: skip
    return [line for line, needed in lines.items() if needed]


def _callers(overlay: Overlay) -> Iterator[str]:
    """Yield where the project's own files name a file that moved."""
    moves = {name: to for name, to in overlay.moves.items() if "/" in name or name.endswith(".py")}
    for caller in sorted(filter(CALLERS.fullmatch, overlay.theirs)):
        path = overlay.files / caller
        if not path.is_file():
            continue
        for number, line in enumerate(text.read(path).splitlines(), 1):
            for name, to in moves.items():
                if re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w-])", line):
                    shown = overlay.moves.get(caller, caller)
                    yield f"{shown}, line {number}, names `{name}`, which is `{to}` now"


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
