"""What the files of a repository say that it depends on."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from .formats.conda import conda
from .formats.locks import LOCKS
from .formats.pipfile import pipfile
from .formats.pyproject import pixi_toml, pyproject, uv_toml
from .formats.requirements import Files
from .formats.setuptools import setup_cfg, setup_py
from .wanted import PYTHONS, Wanted

Read = Callable[[Wanted, Path], None]


def dependencies(root: Path) -> Wanted:
    """Return what all files of a repository together say that it depends on.

    Locks come first: a requirement file with exactly their versions is an export of them, and
    nobody asked for what it lists.
    """
    wanted = Wanted()
    files = Files(root, wanted)
    reads: list[tuple[str, Read]] = [
        *LOCKS.items(),
        ("pyproject.toml", partial(pyproject, files)),
        ("uv.toml", uv_toml),
        ("Pipfile", pipfile),
        ("pixi.toml", pixi_toml),
        ("setup.cfg", setup_cfg),
        ("setup.py", setup_py),
        ("environment.yml", conda),
        ("environment.yaml", conda),
    ]
    for name, read in reads:
        if (path := root / name).is_file():
            _try(wanted, name, path, read)
    _try(wanted, "requirement files", root, lambda _, __: files.read_all())
    for name in wanted.names & wanted.elsewhere.keys():
        wanted.sources.setdefault(name, wanted.elsewhere[name])
    if not wanted.pythons:
        wanted.unread.append(f"Python {wanted.python}: the standard has {', '.join(PYTHONS)}")
    return wanted


def _try(wanted: Wanted, name: str, path: Path, read: Read) -> None:
    before = wanted.size
    try:
        read(wanted, path)
    except Exception as error:  # noqa: BLE001 - other people's files, in any state
        what = " ".join(str(error).split()) or type(error).__name__
        wanted.unread.append(f"{name} cannot be read: {what}")
    if wanted.size != before and path.is_file():
        wanted.files.append(name)
