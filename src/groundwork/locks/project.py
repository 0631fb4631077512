"""Where a lock is kept, and a throw-away project for Poetry to work on."""

import shutil
import tomllib
from pathlib import Path

from groundwork import files, template

OWN = "groundwork"


def groups(project: Path) -> list[str]:
    """Return what a project exports: `main` and each of its dependency groups."""
    pyproject = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
    return ["main", *pyproject.get("dependency-groups", {})]


def home(root: Path, name: str) -> Path:
    """Return the folder that a lock is kept in."""
    return root if name == OWN else root / "frameworks" / name


def shipped(project: Path) -> list[Path]:
    """Return the lock, its exports and the record of them, as a project has them."""
    names = [*(f"{group}.txt" for group in groups(project)), "lock.sha256"]
    return [project / "poetry.lock", *(project / "requirements" / name for name in names)]


def temporary(root: Path, name: str, into: Path) -> Path:
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
    if (home(root, name) / "poetry.lock").exists():
        shutil.copyfile(home(root, name) / "poetry.lock", into / "poetry.lock")
    return into


def ship(project: Path, folder: Path) -> None:
    """Put the lock and its exports where the template keeps them."""
    (folder / "requirements").mkdir(exist_ok=True)
    for stale in set(folder.glob("requirements/*.txt")) - {
        folder / file.relative_to(project) for file in shipped(project)
    }:
        stale.unlink()
    for file in shipped(project):
        files.replace(folder / file.relative_to(project), file.read_bytes())
