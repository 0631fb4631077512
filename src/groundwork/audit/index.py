"""Which files git tracks, read from its index.

git itself is not asked: a repository's own configuration can make `git ls-files` run a program
(`core.fsmonitor`, a remote's `uploadpack`), and what is audited is never run.
"""

import re
from pathlib import Path

HEADER, EXTENDED, BEFORE_HASH = 12, 0x4000, 40
# Modes of an entry, and the version whose names share their beginnings.
TYPE, FILE, LINK, FOLDER = 0o170000, 0o100000, 0o120000, 0o040000
COMPRESSED = 4


def tracked(folder: Path) -> list[str] | None:
    """Return the paths below `folder` that git tracks, None where no index says so."""
    for top in (folder, *folder.parents):
        if (git_dir := _git_dir(top / ".git")) is not None:
            break
    else:
        return None
    try:
        names = _names((git_dir / "index").read_bytes(), _hash_size(git_dir))
    except (OSError, ValueError, IndexError):
        return None
    prefix = folder.relative_to(top).as_posix()
    prefix = "" if prefix == "." else f"{prefix}/"
    found = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
    return found or None  # in a folder that git knows nothing of, everything counts


def _git_dir(path: Path) -> Path | None:
    if path.is_dir():
        return path
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    linked = text.startswith("gitdir:")
    return path.parent / text.removeprefix("gitdir:").strip() if linked else None


def _hash_size(git_dir: Path) -> int:
    """Return how many bytes an object's name has: SHA-1 or SHA-256."""
    common = git_dir / "commondir"  # of a linked work tree
    if common.is_file():
        git_dir /= common.read_text("utf-8").strip()
    config = git_dir / "config"
    text = config.read_text("utf-8", "replace") if config.is_file() else ""
    return 32 if re.search(r"(?i)objectformat\s*=\s*sha256", text) else 20


def _names(content: bytes, hash_size: int) -> list[str]:
    """Return the files' names in an index. Raises ValueError where it has another form."""
    version = int.from_bytes(content[4:8], "big")
    if content[:4] != b"DIRC" or version not in {2, 3, COMPRESSED}:
        raise ValueError("not an index of version 2, 3 or 4")
    names, last, at = set(), b"", HEADER
    for _ in range(int.from_bytes(content[8:12], "big")):
        start, mode = at, int.from_bytes(content[at + 24 : at + 28], "big") & TYPE
        at += BEFORE_HASH + hash_size
        at += 4 if int.from_bytes(content[at : at + 2], "big") & EXTENDED else 2
        kept = b""
        if version == COMPRESSED:
            dropped, at = _varint(content, at)
            kept = last[: len(last) - dropped]
        end = content.index(b"\0", at)
        last = kept + content[at:end]
        at = end + 1 if version == COMPRESSED else start + (end - start + 8) // 8 * 8
        if mode == FOLDER:
            raise ValueError("a sparse index")
        if mode in {FILE, LINK}:
            names.add(last.decode("utf-8", "surrogateescape"))
    if content[at : at + 4] == b"link":
        raise ValueError("a split index")
    return sorted(names)


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """Return a number of variable length and where it ends."""
    byte = content[at]
    value = byte & 0x7F
    while byte & 0x80:
        at += 1
        byte = content[at]
        value = ((value + 1) << 7) | (byte & 0x7F)
    return value, at + 1
