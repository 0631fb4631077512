"""Whether a lock that the template ships is current, hashed and tied to no package index."""

import re
import tempfile
from pathlib import Path

from groundwork.errors import UserError

from .poetry import export, poetry, record
from .project import home, shipped, temporary


def check(root: Path, name: str) -> list[str]:
    """Return what is wrong with one lock, one line a problem; an empty list when nothing is.

    Raises:
        UserError: Poetry is not installed, or an export failed.
    """
    folder = home(root, name)
    if not (folder / "poetry.lock").exists():
        return [f"poetry.lock is missing; groundwork lock {name} makes it"]
    problems = []
    with tempfile.TemporaryDirectory() as scratch:
        project = temporary(root, name, Path(scratch))
        try:
            poetry(project, "check", "--lock")
        except UserError as error:
            return [f"poetry.lock: {error}"]
        export(project)
        record(project)
        for file in shipped(project):
            where = file.relative_to(project)
            text = (folder / where).read_text("utf-8") if (folder / where).exists() else ""
            if file.read_text("utf-8") != text:
                problems.append(f"{where} is not what the lock exports")
            if where.suffix == ".txt":
                problems += [f"{where}: {line}" for line in unhashed(text)]
            if index_hosts(text):
                problems.append(f"{where} names an index host; projects must work with any mirror")
    return problems


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
