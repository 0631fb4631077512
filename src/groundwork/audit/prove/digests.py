"""Digests of what files say, without the times and names that differ each time they are written.

A script of the standard library only, as the sandbox runs it: the files are a repository's, which
nothing outside should open. Usage: digests.py FOLDER NAMES RESULT, with paths of JSON files.
"""

import gzip
import hashlib
import json
import os
import re
import sqlite3
import stat
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import IO, Any

# By MLflow, in what it writes beside a model.
_RECORD = re.compile(
    rb"^\s*(run_id|model_id|model_uuid|utc_time_created|artifact_path|model_size_bytes): .*\n",
    re.MULTILINE,
)


def digests(path: Path) -> dict[str, Any]:
    """Return the digest of a file and those of its parts; `left_out` says what parts leave out.

    A file without parts has one, whose name is empty. Of MLflow's metrics each is a part.
    """
    if path.is_symlink():
        return _whole(f"a link to {path.readlink()}".encode())
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return _whole(b"neither a file nor a link")
        raw = _digest(file)
        try:
            left_out, parts = _parts(path, file)
        except (OSError, EOFError, ValueError, zipfile.BadZipFile, tarfile.TarError, sqlite3.Error,
                RuntimeError, NotImplementedError):  # fmt: skip
            left_out, parts = "", {}
    return {"raw": raw, "left_out": left_out, "parts": parts or {"": raw}}


def _parts(  # noqa: PLR0911 - one for each kind of file
    path: Path, file: IO[bytes]
) -> tuple[str, dict[str, str]]:
    file.seek(0)
    start = file.read(16)
    file.seek(0)
    if start.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(file) as archive:
            return "times in the archive", {
                info.filename: _digest(archive.open(info)) for info in archive.infolist()
            }
    if start.startswith(b"\x1f\x8b"):
        with gzip.open(file) as plain:
            found = {"": _digest(plain)}
        file.seek(0)
        if path.name.endswith((".tar.gz", ".tgz")):
            found = _of_tar(file)
        return "times in the archive", found
    if path.suffix == ".tar":
        return "times in the archive", _of_tar(file)
    if start.startswith(b"SQLite format 3\0"):
        return _of_database(path)
    if path.name == "MLmodel":
        return "the run's id and time", {"": _sha256(_RECORD.sub(b"", file.read(1 << 20)))}
    if re.search(r"/metrics/.+$", path.as_posix()) and "mlruns" in path.parts:
        # Each line has a time, a value and a step.
        lines = [line.split()[1:] for line in file.read(1 << 24).decode().splitlines()]
        return "the times of metrics", {f"metric {path.name}": _sha256(repr(lines).encode())}
    return "", {}


def _of_tar(file: IO[bytes]) -> dict[str, str]:
    with tarfile.open(fileobj=file) as archive:
        found = {}
        for info in archive:
            content = archive.extractfile(info) if info.isfile() else None
            found[info.name] = _digest(content) if content else f"{info.type!r} {info.linkname}"
        return found


def _of_database(path: Path) -> tuple[str, dict[str, str]]:
    """Return the parts of a database: MLflow's metrics, or the tables of another one."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        names = [row[0] for row in connection.execute("select name from sqlite_master "
                 "where type = 'table' and name not like 'sqlite_%' order by name")]  # fmt: skip
        if {"metrics", "runs", "experiments"} <= {*names}:
            query = "select key, step, value, is_nan from metrics where key not like 'system/%'"
            metrics: dict[str, list[str]] = {}
            for key, *rest in connection.execute(query):
                metrics.setdefault(f"metric {key}", []).append(repr(rest))
            found = {key: _sha256(repr(sorted(rows)).encode()) for key, rows in metrics.items()}
            return "all but its metrics", found or {"metrics": "none"}
        parts = {}
        for name in names:
            quoted = name.replace('"', '""')
            rows = sorted(map(repr, connection.execute(f'select * from "{quoted}"')))  # noqa: S608
            parts[f"table {name}"] = _sha256(repr(rows).encode())
        return "the order of rows", parts
    finally:
        connection.close()


def _whole(content: bytes) -> dict[str, Any]:
    return {"raw": _sha256(content), "left_out": "", "parts": {"": _sha256(content)}}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest(file: "IO[bytes] | gzip.GzipFile") -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


if __name__ == "__main__":
    folder, names, result = map(Path, sys.argv[1:])
    found = {name: digests(folder / name) for name in json.loads(names.read_text("utf-8"))}
    result.write_text(json.dumps(found), "utf-8")
