"""What the files of a repository say that it depends on."""

from pathlib import Path
from typing import Any

from . import formats
from .wanted import Wanted


def dependencies(root: Path) -> Wanted:
    """Return what the files of a repository say that it depends on."""
    wanted = Wanted()
    for name, read in (
        ("pyproject.toml", formats.pyproject),
        ("Pipfile", formats.pipfile),
        ("setup.cfg", formats.setup_cfg),
        ("setup.py", formats.setup_py),
        ("environment.yml", formats.conda),
        ("environment.yaml", formats.conda),
    ):
        if (path := root / name).is_file():
            _try(wanted, name, path, read)
    texts = [*sorted(root.glob("*requirements*.txt")), *sorted(root.glob("requirements/*.txt"))]
    for path in texts:
        _try(wanted, str(path.relative_to(root)), path, formats.requirements)
    for name, pins in (
        ("poetry.lock", formats.toml_lock),
        ("uv.lock", formats.toml_lock),
        ("Pipfile.lock", formats.pipfile_lock),
    ):
        if (path := root / name).is_file():
            _try(wanted, name, path, pins)
    return wanted


def _try(wanted: Wanted, name: str, path: Path, read: Any) -> None:  # noqa: ANN401
    before = (len(wanted.main), len(wanted.dev), len(wanted.pins), len(wanted.unread))
    try:
        read(wanted, path)
    except Exception as error:  # noqa: BLE001 - other people's files, in any state
        what = " ".join(str(error).split()) or type(error).__name__
        wanted.unread.append(f"{name} cannot be read: {what}")
    if before != (len(wanted.main), len(wanted.dev), len(wanted.pins), len(wanted.unread)):
        wanted.files.append(name)
