"""The locks that the template ships: resolved once by Poetry, exported with hashes, checked.

Each framework has one lock, which every project rendered for it starts from. The template's own
lock is kept the same way, under the name `groundwork`.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from . import template
from .errors import UserError

OWN = "groundwork"


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
    """Resolve and export these locks anew, and yield of each what moved, one line a package.

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
            kept = pins(_home(root, name) / "poetry.lock")
            project = _project(root, name, Path(scratch) / name)
            lock = project / "poetry.lock"
            if upgrade:
                lock.unlink(missing_ok=True)
            seed = made.get(base) if upgrade else _home(root, base)
            if not lock.exists() and name not in {OWN, base} and seed:
                shutil.copyfile(seed / "poetry.lock", lock)
            _poetry(project, "lock")
            _export(project)
            for file in _shipped(project):
                # Two packages name an index where they describe themselves.
                text = re.sub(r"\bpypi\.\w+", "the package index", file.read_text("utf-8"))
                file.write_text(text, "utf-8")
            made[name] = project
            yield name, list(moves(kept, pins(lock)))
        for name, project in made.items():
            _ship(project, _home(root, name))
    words = {
        pin.replace("-", "_")
        for name in template.frameworks(root)
        for pin in pins(_home(root, name) / "poetry.lock")
    }
    _replace(root / "includes/dependencies.txt", ("\n".join(sorted(words)) + "\n").encode())


def check(root: Path, name: str) -> list[str]:
    """Return what is wrong with one lock, one line a problem; an empty list when nothing is.

    Raises:
        UserError: Poetry is not installed, or an export failed.
    """
    home = _home(root, name)
    if not (home / "poetry.lock").exists():
        return [f"poetry.lock is missing; groundwork lock {name} makes it"]
    problems = []
    with tempfile.TemporaryDirectory() as scratch:
        project = _project(root, name, Path(scratch))
        try:
            _poetry(project, "check", "--lock")
        except UserError as error:
            return [f"poetry.lock: {error}"]
        _export(project)
        for file in _shipped(project):
            shipped = home / file.relative_to(project)
            text = shipped.read_text("utf-8") if shipped.exists() else ""
            where = shipped.relative_to(home)
            if file.read_text("utf-8") != text:
                problems.append(f"{where} is not what the lock exports")
            if where.suffix == ".txt":
                problems += [f"{where}: {line}" for line in unhashed(text)]
            if index_hosts(text):
                problems.append(f"{where} names an index host; projects must work with any mirror")
    return problems


def pins(lock: Path) -> dict[str, tuple[str, ...]]:
    """Return the versions that a poetry.lock holds of each package; none for a missing file."""
    if not lock.exists():
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for package in tomllib.loads(lock.read_text("utf-8")).get("package", []):
        found[package["name"]] = (*found.get(package["name"], ()), package["version"])
    return found


def moves(before: dict[str, tuple[str, ...]], after: dict[str, tuple[str, ...]]) -> Iterator[str]:
    """Yield one line for each package whose versions differ between two locks."""
    for name in sorted(before | after):
        old, new = before.get(name), after.get(name)
        if old is None:
            yield f"{name} added at {', '.join(new or ())}"
        elif new is None:
            yield f"{name} {', '.join(old)} removed"
        elif sorted(old) != sorted(new):
            yield f"{name} {', '.join(old)} → {', '.join(new)}"


def unhashed(requirements: str) -> list[str]:
    """Return the requirements of an export that carry no SHA-256."""
    entries = requirements.replace("\\\n", " ").splitlines()
    return [
        entry.split(" ")[0] + " has no hash"
        for entry in entries
        if entry.strip() and not entry.startswith("#") and "--hash=sha256:" not in entry
    ]


def index_hosts(text: str) -> list[str]:
    """Return the lines of a lock or an export that name a package index."""
    pattern = r"^(?:-i |--(?:extra-)?index-url|--find-links|\[package\.source\]).*|^url = .*"
    return re.findall(pattern, text, re.MULTILINE)


def groups(project: Path) -> list[str]:
    """Return what a project exports: `main` and each of its dependency groups."""
    pyproject = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
    return ["main", *pyproject.get("dependency-groups", {})]


def _home(root: Path, name: str) -> Path:
    return root if name == OWN else root / "frameworks" / name


def _shipped(project: Path) -> list[Path]:
    exports = [project / "requirements" / f"{group}.txt" for group in groups(project)]
    return [project / "poetry.lock", *exports]


def _project(root: Path, name: str, into: Path) -> Path:
    """Return a throw-away folder with what Poetry needs to see of the project, and its lock.

    Of a framework no more than its dependencies is needed, so the lock can come first.
    """
    if name == OWN:
        into.mkdir(exist_ok=True)
        shutil.copyfile(root / "pyproject.toml", into / "pyproject.toml")
    else:
        template.render(root, into, only=["pyproject.toml"], framework=name)
    for named in ("README.md", "LICENSE"):  # in pyproject.toml
        (into / named).touch()
    (into / "requirements").mkdir()
    if (_home(root, name) / "poetry.lock").exists():
        shutil.copyfile(_home(root, name) / "poetry.lock", into / "poetry.lock")
    return into


def _export(project: Path) -> None:
    """Write each group of the lock as hashed requirements.

    In this process, as starting Poetry takes longer than all exports do.
    """
    _need_poetry()
    from . import exporting  # noqa: PLC0415 - it imports Poetry

    exporting.export(project, groups(project))


def _ship(project: Path, home: Path) -> None:
    """Put the lock and its exports where the template keeps them."""
    (home / "requirements").mkdir(exist_ok=True)
    for stale in set(home.glob("requirements/*.txt")) - {
        home / file.relative_to(project) for file in _shipped(project)
    }:
        stale.unlink()
    for file in _shipped(project):
        _replace(home / file.relative_to(project), file.read_bytes())


def _poetry(project: Path, *arguments: str) -> None:
    """Run Poetry in `project`; its last line is the error's text if it fails."""
    _need_poetry()
    done = subprocess.run(
        [sys.executable, "-m", "poetry", "--no-ansi", "--no-interaction", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        # The seed makes Poetry write equal markers in one way, not in either of two.
        env=os.environ | {"POETRY_VIRTUALENVS_CREATE": "false", "PYTHONHASHSEED": "0"},
    )
    if done.returncode:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise UserError(f"poetry {arguments[0]} failed: {said[-1] if said else 'it said nothing'}")


def _need_poetry() -> None:
    if importlib.util.find_spec("poetry") is None:
        raise UserError(
            "Poetry is not in this environment; scripts/test.sh --setup makes one that has it"
        )


def _replace(file: Path, content: bytes) -> None:
    """Write a file so that a reader, or an interruption, sees the old one or the new one."""
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(content)
    part.replace(file)
