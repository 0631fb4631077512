"""The locks that the template ships: resolved once by Poetry, exported with hashes.

Each framework has one lock, which every project rendered for it starts from. The template's own
lock is kept the same way, under the name `groundwork`.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from groundwork import files, template
from groundwork.errors import UserError

from .pins import moves, pins
from .poetry import export, poetry, record
from .project import OWN, home, ship, temporary


def targets(root: Path, names: list[str]) -> list[str]:
    """Return the locks to work on: `names`, or every one where none is named.

    Raises:
        UserError: a name is not a lock's.
    """
    known = [OWN, *template.frameworks(root)]
    for name in names:
        if name not in known:
            raise UserError(f"there is no lock named {name!r}; there are {', '.join(known)}")
    return names or known


def update(root: Path, names: list[str], *, upgrade: bool) -> Iterator[tuple[str, list[str]]]:
    """Resolve and export these locks, and yield what moved in each, one line a package.

    Pins that still fit stay as they are, unless `upgrade` lets all of them move. Frameworks keep to
    one version of what they share where they can: a new one starts from the default framework's
    pins, and so do all that are upgraded together with it.

    All locks are written after the last was yielded, or none: a failure leaves the checkout as it
    was.

    Raises:
        UserError: Poetry cannot resolve or is not installed.
    """
    base = template.load(root)[1]["framework"]["default"]
    made: dict[str, Path] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in sorted(names, key=lambda name: name != base):
            kept = pins(home(root, name) / "poetry.lock")
            project = temporary(root, name, Path(scratch) / name)
            lock = project / "poetry.lock"
            if upgrade:
                lock.unlink(missing_ok=True)
            seed = made.get(base) if upgrade else home(root, base)
            if not lock.exists() and name not in {OWN, base} and seed:
                shutil.copyfile(seed / "poetry.lock", lock)
            poetry(project, "lock")
            export(project)
            for file in lock, *(project / "requirements").glob("*.txt"):
                # Two packages name an index where they describe themselves.
                text = re.sub(r"\bpypi\.\w+", "the package index", file.read_text("utf-8"))
                file.write_text(text, "utf-8")
            record(project)
            made[name] = project
            yield name, list(moves(kept, pins(lock)))
        for name, project in made.items():
            ship(project, home(root, name))
    words = {
        pin.replace("-", "_")
        for name in template.frameworks(root)
        for pin in pins(home(root, name) / "poetry.lock")
    }
    files.replace(root / "includes/dependencies.txt", ("\n".join(sorted(words)) + "\n").encode())
