"""Whose file is which, as a render says."""

import re
from pathlib import Path

# Whose file is which. A render has it at this place.
OWNERSHIP = Path("docs/ownership.yml")
ANSWERS = ".copier-answers.yml"


def ownership(render: Path) -> dict[str, list[str]]:
    """Return the paths under each heading of a render's docs/ownership.yml; none if it has none."""
    found: dict[str, list[str]] = {}
    heading = ""
    path = render / OWNERSHIP
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        if key := re.fullmatch(r"(\w+):.*", line):
            heading = key[1]
        elif item := re.fullmatch(r" +- /(.+)", line):
            found.setdefault(heading, []).append(item[1])
    return found


def among(name: str, paths: list[str]) -> bool:
    """Whether a file is one of these paths, or in one that ends with a slash."""
    return any(name == path or (path.endswith("/") and name.startswith(path)) for path in paths)
