"""What is left to do after an adoption, in order, each with its command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .callers import callers, environments, installers, workflow
from .places import BRANCH, FOLDER, NOT_LINTED, below_tests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .overlay import Overlay

SUPERSEDED = [
    *("setup.py", "setup.cfg", "Pipfile", "Pipfile.lock", "uv.lock", "pdm.lock", "pixi.toml"),
    *("pixi.lock", "environment.yml", "environment.yaml", "requirements.txt", "requirements.in"),
]
ADD = "`scripts/lock.sh add PACKAGE`, if it is one"


def todo(overlay: Overlay, answers: Mapping[str, str]) -> list[str]:
    """Return the remaining steps of an adoption."""
    theirs, wanted = overlay.theirs, overlay.wanted
    moved = [name for name in overlay.shown_moves() if not below_tests(name)]
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
        **{
            f"decide: {clash} (edit pyproject.toml, then `scripts/lock.sh`)": True
            for clash in overlay.pyproject.clashes
        },
        **{
            f"`scripts/lock.sh add ADDRESS` for {name}, which comes from elsewhere ({said}); a"
            " package of that name in a public index may be somebody else's": True
            for name, said in wanted.sources.items()
        },
        **{
            f"not carried over, see to it ({ADD}): {line}": True for line in wanted.unread
        },
        "`license = …` in pyproject.toml, if you have one; the standard has written none":
            answers["license"] == "none",
        **{
            f"`git diff --no-index {name} {FOLDER}/{name}`: fold what you need of yours into the"
            " standard's": True for name in moved if not workflow(name)
        },
        **dict.fromkeys(callers(overlay), True),
        **dict.fromkeys(environments(overlay.files), True),
        **dict.fromkeys(installers(overlay.files, theirs, overlay.moves), True),
        "your code ran with other versions than the standard has; where a test fails, see what"
        f" changed in {'; '.join(overlay.pyproject.outdated)}": overlay.pyproject.outdated,
        "`scripts/test.sh --layer yours`: your own tests, where they were": overlay.tests.found,
        f"`git rm {' '.join(superseded)}`, when nothing reads them any more": superseded,
        f"put your model in place of the example: `data.py`, `schema.py`, `features.py` and"
        f" `model.py` in `{model}`": True,
        "take your files out of `extend-exclude` and `exclude` in pyproject.toml, and out of"
        f" `{NOT_LINTED}`, to have them checked and your notebooks run": True,
        "`scripts/test.sh`, then merge; later versions come by `scripts/update.sh`": True,
    }  # fmt: skip
    return [line for line, needed in lines.items() if needed]
