"""What of two trainings counts as the same, and what is read of files that may be anything."""

import gzip
import json
import os
import pickle
import sqlite3
import subprocess
import sys
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from groundwork.audit.prove import copy, digests, outputs
from groundwork.audit.prove.compare import Comparison, compare, listed
from groundwork.audit.prove.declared import Declared

RUNS = ("0123456789abcdef" * 2, "fedcba9876543210" * 2)  # pragma: allowlist secret


def archive(path: Path, run: int, text: str) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(zipfile.ZipInfo("weights", (2000 + run, 1, 1, 0, 0, 0)), text)
        file.writestr("other", "other")


def compressed(path: Path, run: int, text: str) -> None:
    with gzip.GzipFile(path, "wb", mtime=run) as file:
        file.write(text.encode())


def packed(path: Path, run: int, text: str) -> None:
    with tarfile.open(path, "w") as file:
        info = tarfile.TarInfo("weights")
        info.mtime, info.size = run, len(text)
        file.addfile(info, BytesIO(text.encode()))


def tracked(path: Path, run: int, text: str) -> None:
    """Write a database like MLflow's, whose runs have ids and times."""
    with sqlite3.connect(path) as database:
        database.execute("create table runs (run_uuid, start_time)")
        database.execute("create table experiments (name)")
        database.execute("create table metrics (key, value, step, is_nan, timestamp, run_uuid)")
        database.execute("insert into runs values (?, ?)", (RUNS[run], run))
        for key, value in (("loss", text), ("seconds", run), ("system/memory", run)):
            row = (key, value, 0, 0, run, RUNS[run])
            database.execute("insert into metrics values (?, ?, ?, ?, ?, ?)", row)
    database.close()


def database(path: Path, run: int, text: str) -> None:
    rows = [(1, text), (2, "other")]
    with sqlite3.connect(path) as file:
        file.execute("create table 'a \"table\"' (id, value)")
        file.executemany("insert into 'a \"table\"' values (?, ?)", rows[:: 1 - 2 * run])
    file.close()


def metric(path: Path, run: int, text: str) -> None:
    path.write_text(f"170000000{run} {text} 0\n", "utf-8")


def description(path: Path, run: int, text: str) -> None:
    path.write_text(f"run_id: {RUNS[run]}\nutc_time_created: '{run}'\nsignature: {text}\n", "utf-8")


def plain(path: Path, _: int, text: str) -> None:
    path.write_bytes(pickle.dumps(text))


KINDS = [
    ("model.npz", archive, "times in the archive", "weights"),
    ("model.json.gz", compressed, "times in the archive", ""),
    ("model.tar", packed, "times in the archive", "weights"),
    ("mlflow.db", tracked, "all but its metrics", "metric loss"),
    ("other.db", database, "the order of rows", 'table a "table"'),
    ("mlruns/0/{run}/metrics/loss", metric, "the times of metrics", "metric loss"),
    ("mlruns/0/{run}/artifacts/MLmodel", description, "the run's id and time", ""),
    ("model.pkl", plain, "", ""),
]


def both(tmp_path: Path, name: str, write: object, texts: tuple[str, str]) -> Comparison:
    found = []
    for run, text in enumerate(texts):
        key = name.format(run=RUNS[run])
        path = tmp_path / str(run) / key
        path.parent.mkdir(parents=True)
        write(path, run, text)  # type: ignore[operator]
        found.append({key: digests.digests(path)})
    return compare(*found, volatile_metrics=("sec*",))


@pytest.mark.parametrize(("name", "write", "left_out", "part"), KINDS)
def test_only_times_and_ids_may_differ(
    tmp_path: Path, name: str, write: object, left_out: str, part: str
) -> None:
    shown = name.format(run="*")
    same = both(tmp_path / "same", name, write, ("1", "1"))
    assert (same.same, same.different) == ([shown], [])
    assert same.left_out == ({shown: left_out} if left_out else {})
    other = both(tmp_path / "other", name, write, ("1", "2"))
    assert other.different == [f"{shown} ({part})" if part else shown]


def test_a_metric_that_differs_each_time_must_be_declared(tmp_path: Path) -> None:
    for run in range(2):
        tracked(tmp_path / str(run), run, "1")
    one, other = ({"mlflow.db": digests.digests(tmp_path / str(run))} for run in range(2))
    assert compare(one, other).different == ["mlflow.db (metric seconds)"]
    assert compare(one, other, ("weights", "loss")).different == ["mlflow.db (metric seconds)"]
    assert compare(one, other, ("sec*",)).different == []


def test_a_file_that_one_run_alone_wrote_is_a_difference(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("1", "utf-8")
    found = {"model": digests.digests(tmp_path / "model")}
    assert compare(found, {}).different == ["model (only the first run wrote it)"]
    assert compare({}, found).different == ["model (only the second run wrote it)"]


def test_anything_can_be_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret", "utf-8")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(secret)
    os.mkfifo(folder / "pipe")
    (folder / "bad.zip").write_bytes(b"PK\x03\x04 no archive")
    (folder / "bad.gz").write_bytes(b"\x1f\x8b no archive")
    (folder / "bad.db").write_bytes(b"SQLite format 3\0 no database")
    names = sorted(path.name for path in folder.iterdir())
    assert [*outputs.snapshot(folder)] and sorted(outputs.snapshot(folder)) == names  # noqa: PT018
    (tmp_path / "names").write_text(json.dumps(names), "utf-8")
    words = [sys.executable, "-I", digests.__file__, folder, tmp_path / "names", tmp_path / "found"]
    subprocess.run(words, check=True, timeout=20)
    found = json.loads((tmp_path / "found").read_text("utf-8"))
    assert sorted(found) == names
    assert found["link"] != digests.digests(secret)
    assert all(not one["left_out"] for one in found.values())
    copied = copy.again(folder, tmp_path / "copied")
    assert sorted(path.name for path in copied.iterdir()) == [n for n in names if n != "pipe"]
    (copied / "closed").mkdir(mode=0)
    copy.remove(copied)
    assert secret.read_text("utf-8") == "secret"


@pytest.mark.parametrize(
    ("name", "patterns", "expected"),
    [
        ("models/a/b.pkl", ["models/**"], True),
        ("models/a/b.pkl", ["**/*.pkl"], True),
        ("b.pkl", ["**/*.pkl"], True),
        ("models/a/b.pkl", ["models/*"], False),
        ("models/a/b.pkl", ["./models/?/b.*"], True),
        ("models.pkl", ["models/**"], False),
        ("a+b", ["a+b"], True),
        ("aab", ["a+b"], False),
    ],
)
def test_patterns_are_of_paths(name: str, patterns: list[str], *, expected: bool) -> None:
    assert outputs.matches(name, patterns) == expected


def test_what_tools_keep_for_themselves_is_no_output(tmp_path: Path) -> None:
    names = ["model.pkl", "a/__pycache__/x.pyc", ".git/HEAD", ".venv/x", "src/x.egg-info/PKG-INFO"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    before = outputs.snapshot(tmp_path)
    assert [*before] == ["model.pkl"]
    (tmp_path / "model.pkl").write_bytes(b"")  # the same content, and written
    (tmp_path / "new").symlink_to("nowhere")
    assert outputs.written(before, outputs.snapshot(tmp_path)) == ["model.pkl", "new"]
    records = ["mlruns/0/meta.yaml", "mlruns/0/1/params/a", "mlruns/0/1/tags/mlflow.user"]
    kept = ["mlruns/0/1/metrics/loss", "mlruns/0/1/artifacts/model.pkl", "params/a"]
    chosen = outputs.choose([*records, *kept], Declared())
    assert (chosen.compared, [*chosen.skipped]) == (kept, records)


def test_of_many_names_the_first_are_shown() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed([*"abcdef"]) == "a, b, c, d and 2 more"
