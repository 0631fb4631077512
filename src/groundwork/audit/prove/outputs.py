"""What training wrote, and which of it is compared."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .declared import Declared

# What Python, git, DVC and tools keep for themselves; no model or metric is in it.
_NEVER = re.compile(
    r"(.*/)?(\.git|\.venv|__pycache__|\.dvc/(tmp|cache)|\.(pytest|mypy|ruff)_cache|[^/]+\.egg-info"
    r"|\.ipynb_checkpoints|\.tox|\.nox)(/.*)?|.*\.py[co]"
)
# MLflow's own account of runs: ids, users, times and paths. Metrics and artifacts are not in it.
_RECORDS = re.compile(
    r"(.*/)?mlruns/(.*/)?((params|tags|inputs|outputs)/.*|(registered_model_)?meta\.yaml)"
)
# As MLflow and Weights & Biases name runs.
_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])|run-\d{8}_\d{6}-\w{8}")

Snapshot = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Chosen:
    """Paths of files, by what is done with them; `unmatched` are patterns that match none."""

    compared: list[str]
    skipped: dict[str, str]
    unmatched: list[str]


def snapshot(folder: Path) -> Snapshot:
    """Return what the file system says of each file, by path: it differs if one was written."""
    found: Snapshot = {}
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        for name in (*names, *links):
            path = Path(parent, name)
            key = path.relative_to(folder).as_posix()
            if not _NEVER.fullmatch(key):
                state = path.lstat()
                found[key] = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
        folders[:] = [
            name
            for name in folders
            if not _NEVER.fullmatch(Path(parent, name).relative_to(folder).as_posix())
        ]
    return found


def written(before: Snapshot, after: Snapshot) -> list[str]:
    """Return the paths of what was written or changed."""
    return sorted(name for name, state in after.items() if before.get(name) != state)


def choose(names: Iterable[str], declared: Declared) -> Chosen:
    """Decide which of the files that training wrote are compared."""
    compared, skipped = [], {}
    for name in names:
        if matches(name, declared.volatile):
            skipped[name] = "declared volatile"
        elif declared.outputs and not matches(name, declared.outputs):
            skipped[name] = "not among the outputs"
        elif not declared.outputs and _RECORDS.fullmatch(name):
            skipped[name] = "a record of MLflow's"
        else:
            compared.append(name)
    unmatched = [one for one in declared.outputs if not any(matches(n, [one]) for n in compared)]
    return Chosen(compared, skipped, unmatched)


def common(name: str) -> str:
    """Return a path without the ids of runs, which differ each time."""
    return _ID.sub("*", name)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a path matches a pattern, in which `**` stands for any folders."""
    return any(re.fullmatch(_expression(pattern), name) for pattern in patterns)


def _expression(pattern: str) -> str:
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.removeprefix("./"))
    return "".join(words.get(part, re.escape(part)) for part in parts)
