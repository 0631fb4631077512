"""The files of an audited repository: listed, and read within bounds."""

import os
import stat
from fnmatch import fnmatchcase
from pathlib import Path

from .index import tracked

# A file above this is not read: a lock of 500 packages is a tenth of it.
LIMIT = 8 * 1024 * 1024
# Folders that tools fill, or that hold the code of others.
NOT_OURS = {
    *(".git", ".hg", ".svn", ".venv", "venv", "env", ".env", "node_modules", "site-packages"),
    *("__pycache__", ".tox", ".nox", ".eggs", ".mypy_cache", ".ruff_cache", ".pytest_cache"),
    *(".ipynb_checkpoints", "third_party", "thirdparty", "3rdparty", "vendor", "_vendor", "extern"),
}
# Outside of git nothing says what is kept; these are built or recorded.
BUILT = {"build", "dist", "mlruns", "wandb", "outputs", "lightning_logs", "var"}


class Files:
    """Paths below a folder, and their texts."""

    def __init__(self, root: Path) -> None:
        """List the files that git tracks, or every file where it tracks none."""
        self.root = root.resolve()
        self._within = os.path.join(self.root, "")  # noqa: PTH118 - with a slash at its end
        found = tracked(self.root)
        names = found if found is not None else _walked(self.root)
        self.paths = [
            name
            for name in names
            if NOT_OURS.isdisjoint(name.split("/")[:-1]) and _is_file(f"{self._within}{name}")
        ]
        # The kind of each file that was not read, and why.
        self.unread: dict[str, tuple[str, str]] = {}

    def named(self, *patterns: str) -> list[str]:
        """Return the paths whose last part matches a pattern; templates are left out."""
        return [
            path
            for path in self.paths
            if any(fnmatchcase(path.rpartition("/")[2], one) for one in patterns)
            and not is_template(path)
        ]

    def has(self, *patterns: str) -> bool:
        """Return whether a path, as a whole, matches a pattern."""
        return any(fnmatchcase(path, one) for path in self.paths for one in patterns)

    def content(self, path: str, kind: str) -> bytes | None:
        """Return a file's bytes; None, and a note in `unread`, where that cannot be."""
        try:
            return self._content(path)
        except (ValueError, OSError, RuntimeError) as error:
            self.not_read(path, kind, str(error))
            return None

    def _content(self, path: str) -> bytes:
        """Return a file's bytes. Raises ValueError where it is not one to read."""
        place = self.root / path
        # As text: resolving a Path takes three times as long.
        real = os.path.realpath(place)
        if real != f"{self.root}" and not real.startswith(self._within):
            raise ValueError("it is a link that leaves the repository")
        size = place.stat().st_size
        if size > LIMIT:
            raise ValueError(f"it has {size >> 20} MB, above {LIMIT >> 20} MB")
        content = place.read_bytes()
        if b"\0" in content[:8000]:
            raise ValueError("it is binary")
        return content

    def text(self, path: str, kind: str) -> str | None:
        """Return a file as text, None where it is not read."""
        content = self.content(path, kind)
        if content is None:
            return None
        try:
            return content.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            self.not_read(path, kind, f"line {line} is not UTF-8")
            return None

    def not_read(self, path: str, kind: str, why: str) -> None:
        """Note that a file was not read."""
        self.unread.setdefault(path, (kind, " ".join(why.split())))


def is_template(path: str) -> bool:
    """Return whether a path is one of a cookiecutter or Copier template: no file as it stands."""
    return "{{" in path or "{%" in path or path.endswith((".jinja", ".j2", ".tmpl"))


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 - Path takes three times as long
    except (OSError, ValueError):
        return False


def _walked(root: Path) -> list[str]:
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if name not in NOT_OURS | BUILT and not (Path(folder) / name / "pyvenv.cfg").is_file()
        )
        base = Path(folder).relative_to(root)
        found += [(base / name).as_posix() for name in names]
    return sorted(found)
