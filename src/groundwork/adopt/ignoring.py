"""Patterns of two sides in one file, where neither side's may be for the other's files."""

import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from groundwork.update.git import git


@contextmanager
def _repository(patterns: Mapping[str, str]) -> Iterator[Path]:
    """Yield a repository with these files of patterns."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        git(folder, "init", "--quiet")
        for name, content in patterns.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8", errors="surrogateescape")
        yield folder


def hidden(patterns: Mapping[str, str], names: Collection[str]) -> list[str]:
    """Return which of these paths git would ignore.

    Args:
        patterns: the content of each .gitignore, by its path.
        names: paths of files, and of folders with a slash at the end.
    """
    with _repository(patterns) as folder:
        # A folder has to be there to be one; with its slash, `/data/*` would match `data/` itself.
        for name in (one for one in names if one.endswith("/")):
            (folder / name).mkdir(parents=True, exist_ok=True)
        asked = "".join(f"{name.rstrip('/')}\0" for name in names)
        # Its status is 1 where nothing is ignored.
        told = git(folder, "check-ignore", "--no-index", "--stdin", "-z", stdin=asked)
    return [name for name in told.split("\0") if name]


def filtered(patterns: Mapping[str, str], names: Collection[str]) -> list[str]:
    """Return which of these files git would filter, as Git LFS does, by each .gitattributes."""
    if not any("filter=" in content for content in patterns.values()):
        return []
    with _repository(patterns) as folder:
        asked = "".join(f"{name}\0" for name in names)
        told = git(folder, "check-attr", "-z", "--stdin", "filter", stdin=asked).split("\0")
    return [
        name
        for name, value in zip(told[::3], told[2::3], strict=False)
        if value not in {"unspecified", "unset"}
    ]


def reopened(patterns: Mapping[str, str], names: Collection[str]) -> list[str]:
    """Return lines for the end of the root's .gitignore, by which git sees these files again.

    git does not look into a folder that is ignored, so each one on the way is opened, and what else
    is in it is ignored as before.
    """
    lines: dict[str, None] = {}
    # From the outermost on; all of them are asked about at once.
    ways = {name: [*Path(name).parents][-2::-1] for name in hidden(patterns, names)}
    shut = {*hidden(patterns, {f"{folder}/" for way in ways.values() for folder in way})}
    for name, way in ways.items():
        for folder in (str(one) for one in way):
            if folder in shut:
                lines |= dict.fromkeys([f"!/{_escaped(folder)}/", f"/{_escaped(folder)}/*"])
        lines[f"!/{_escaped(name)}"] = None
    return list(lines)


def _escaped(name: str) -> str:
    return "".join(f"\\{letter}" if letter in r"\*?[" else letter for letter in name)
