"""Files that a command is asked to write."""

from pathlib import Path

from groundwork import files
from groundwork.errors import UserError


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all. Raises UserError where that cannot be."""
    try:
        files.replace(path, text.encode())
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None
