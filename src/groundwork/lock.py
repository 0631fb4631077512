"""The locks that the template ships: resolved once by Poetry, exported with hashes, checked.

Each framework has one lock, which every project rendered for it starts from. The template's own
lock is kept the same way, under the name `groundwork`.
"""

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from . import template
from .errors import UserError

OWN = "groundwork"
_LOCKED = ("poetry.lock", "requirements")


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


def update(root: Path, name: str, *, upgrade: bool) -> list[str]:
    """Resolve and export one lock anew, and return what moved, one line a package.

    Pins that still fit stay as they are, unless `upgrade` lets all of them move. Nothing in the
    checkout changes before all went well.

    Raises:
        UserError: Poetry cannot resolve or is not installed.
    """
    home = _home(root, name)
    for file in _shipped(root, name):  # a new framework has none yet, and its render includes them
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    with tempfile.TemporaryDirectory() as scratch:
        project = _project(root, name, Path(scratch))
        lock = project / "poetry.lock"
        if not lock.stat().st_size:
            lock.unlink()
        before = pins(home / "poetry.lock")
        _poetry(project, "lock", *(["--regenerate"] if upgrade else []))
        for group in groups(project):
            _export(project, group)
        for file in _shipped(root, name):
            text = (project / file.relative_to(home)).read_text("utf-8")
            # Two packages name an index where they describe themselves.
            _replace(file, re.sub(r"\bpypi\.\w+", "the package index", text).encode())
    if name != OWN:
        words = {
            pin.replace("-", "_")
            for other in template.frameworks(root)
            for pin in pins(root / "frameworks" / other / "poetry.lock")
        }
        _replace(root / "includes/dependencies.txt", ("\n".join(sorted(words)) + "\n").encode())
    return list(moves(before, pins(home / "poetry.lock")))


def check(root: Path, name: str) -> list[str]:
    """Return what is wrong with one lock, one line a problem; an empty list when nothing is."""
    problems = []
    with tempfile.TemporaryDirectory() as scratch:
        project = _project(root, name, Path(scratch))
        try:
            _poetry(project, "check", "--lock")
        except UserError as error:
            return [f"poetry.lock: {error}"]
        for group in groups(project):
            export = f"requirements/{group}.txt"
            shipped = (project / export).read_text("utf-8") if (project / export).exists() else ""
            _export(project, group)
            if (project / export).read_text("utf-8") != shipped:
                problems.append(f"{export} is not what the lock exports")
            problems += [f"{export}: {line}" for line in unhashed(shipped)]
    for file in _shipped(root, name):
        if index_hosts(file.read_text("utf-8")):
            problems.append(f"{file.name} names an index host; projects must work with any mirror")
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


def _shipped(root: Path, name: str) -> list[Path]:
    home = _home(root, name)
    if name == OWN:
        names = groups(root)
    else:
        names = sorted(
            path.name.removesuffix(".txt.jinja")
            for path in root.glob("template/requirements/*.txt.jinja")
        )
    return [home / "poetry.lock", *(home / "requirements" / f"{group}.txt" for group in names)]


def _project(root: Path, name: str, scratch: Path) -> Path:
    """Return a throw-away copy of the project whose lock this is."""
    if name != OWN:
        template.render(root, scratch, framework=name)
        return scratch
    for file in [
        root / "pyproject.toml",
        root / "README.md",
        root / "LICENSE",
        *_shipped(root, name),
    ]:
        copy = scratch / file.relative_to(root)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(file.read_bytes())
    return scratch


def _export(project: Path, group: str) -> None:
    """Write one group of the lock as hashed requirements."""
    _poetry(
        project,
        "export",
        "--only",
        group,
        "--format",
        "requirements.txt",
        "--output",
        f"requirements/{group}.txt",
    )


def _poetry(project: Path, *arguments: str) -> None:
    """Run Poetry in `project`; its last line is the error's text if it fails."""
    if importlib.util.find_spec("poetry") is None:
        raise UserError(
            "Poetry is not in this environment; scripts/test.sh --setup makes one that has it"
        )
    done = subprocess.run(
        [sys.executable, "-m", "poetry", "--no-ansi", "--no-interaction", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"POETRY_VIRTUALENVS_CREATE": "false"},
    )
    if done.returncode:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise UserError(f"poetry {arguments[0]} failed: {said[-1] if said else 'it said nothing'}")


def _replace(file: Path, content: bytes) -> None:
    """Write a file so that a reader, or an interruption, sees the old one or the new one."""
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(content)
    part.replace(file)
