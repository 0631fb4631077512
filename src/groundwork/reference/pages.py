"""Which page is written from what."""

from collections.abc import Callable
from pathlib import Path

from groundwork.template import reference as questions

from . import commands, files, metrics, settings

FOLDER = Path("docs/reference")
# Each page by its name, and what returns its text for the template in a folder.
PAGES: dict[str, Callable[[Path], str]] = {
    "questions": questions.markdown,
    "files": files.markdown,
    "project": commands.markdown,
    "settings": settings.markdown,
    "metrics": metrics.markdown,
}


def render(root: Path) -> dict[Path, str]:
    """Return the text of each page by its path."""
    return {root / FOLDER / f"{name}.md": page(root) for name, page in PAGES.items()}


def write(root: Path) -> list[Path]:
    """Write each page that differs and return the paths of those."""
    changed = []
    for path, text in render(root).items():
        if not path.is_file() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            changed.append(path)
    return changed
