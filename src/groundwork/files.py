"""Files written whole or not at all."""

from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or an interruption, sees the old one or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)
