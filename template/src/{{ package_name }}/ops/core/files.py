"""Files: written whole or not at all, read as models, and hashed."""

import contextlib
import errno
import hashlib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from .errors import UserError

_Kind = TypeVar("_Kind")
RESTORE = "restore it from version control or run the command that writes it"


def read_file(path: Path) -> bytes:
    """Return a file's content. Raises UserError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def load_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises UserError where it is missing or is not one."""
    try:
        return tomllib.loads(read_file(path).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {error}") from None


def load_json(path: Path, kind: type[_Kind], mend: str = RESTORE) -> _Kind:
    """Read `path` as a `kind`. Raises UserError, with what mends it, where it is no such file."""
    try:
        return TypeAdapter(kind).validate_json(read_file(path))
    except ValidationError as error:
        raise UserError(f"{path} is damaged; {mend} ({first_problem(error)})") from None
    except UserError as error:
        raise UserError(f"{error}; {mend}") from None


def load_state(path: Path, kind: type[_Kind]) -> _Kind | None:
    """Return an environment's state.json, None before there is one; else as `load_json`."""
    mend = "delete it and deploy again, what answers goes on answering"
    return load_json(path, kind, mend) if path.exists() else None


def first_problem(error: ValidationError, prefix: str = "", style: Any = str) -> str:
    """Say the first thing that is wrong in one line; `style` writes the name of the field."""
    detail = error.errors()[0]
    where = style(".".join(map(str, detail["loc"])))
    return f"{prefix}{where}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"


def private(folder: Path) -> Path:
    """Make a folder that no other user of this machine can look into; return it.

    One that is there keeps its mode: to share it is the owner's decision.
    """
    folder.mkdir(0o700, parents=True, exist_ok=True)
    return folder


def write_file(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file whole or not at all. Raises UserError where the disk refuses."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch(mode)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(f"{path} cannot be written: {error.strerror}") from None


def write_json(path: Path, value: object) -> None:
    """Write `value` as JSON, whole or not at all. Raises UserError where the disk refuses."""
    write_file(path, (json.dumps(value, indent=2) + "\n").encode())


def sha256_text(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_files(files: list[Path], base: Path) -> str:
    """Hash files by their names relative to `base` and their contents, in hex."""
    state = hashlib.sha256()
    for file in files:
        feed_part(state, file.relative_to(base).as_posix(), file.read_bytes())
    return state.hexdigest()


def sha256_folder(folder: Path) -> str:
    """Hash every file below `folder`, by name and content, in hex."""
    return sha256_files(sorted(path for path in folder.rglob("*") if path.is_file()), folder)


def feed_part(state: Any, kind: str, content: bytes = b"") -> None:
    """Add a part to a hash with its kind and length, so that no two sequences look the same."""
    state.update(f"{kind}:{len(content)}:".encode() + content)


def append_lines(path: Path, *entries: Mapping[str, Any], mode: int = 0o666) -> None:
    """Add entries to a file of JSON lines; a new file gets the permissions `mode`. Raises OSError.

    One write on a file opened for appending: lines of two processes never mix. What a full disk or
    a kill cut short is ended first, or the next line would be lost with it.
    """
    target = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, mode)
    try:
        size = os.fstat(target).st_size
        torn = size > 0 and os.pread(target, 1, size - 1) != b"\n"
        content = "\n" * torn + "".join(json.dumps(entry) + "\n" for entry in entries)
        if os.write(target, content.encode()) < len(content.encode()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(target)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the entries of a file of JSON lines one by one, none where it is not there."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as lines:
        for line in lines:
            with contextlib.suppress(ValueError):  # a line that was cut short
                if isinstance(entry := json.loads(line), dict):
                    yield entry
