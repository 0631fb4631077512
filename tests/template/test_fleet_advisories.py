"""Known vulnerabilities of what a project has locked, by a database in OSV's format."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from groundwork.errors import UserError
from groundwork.fleet.advisories import load, matches
from groundwork.fleet.report import Row, as_csv, as_json, page, table


def advisory(name: str, package: str, *, events: object = (), **more: object) -> dict[str, Any]:
    affected: dict[str, object] = {"package": {"ecosystem": "PyPI", "name": package}}
    affected["versions"] = more.pop("versions", [])
    affected["ranges"] = [{"type": "ECOSYSTEM", "events": events}] if events else []
    return {"id": name, "affected": [affected], **more}


def write(folder: Path, *advisories: dict[str, Any]) -> Path:
    folder.mkdir()
    for one in advisories:
        (folder / f"{one['id']}.json").write_text(json.dumps(one), "utf-8")
    return folder


def found(tmp_path: Path, version: str, *advisories: dict[str, Any]) -> list[str]:
    database = load(write(tmp_path / "osv", *advisories))
    return [one.rpartition(" ")[2] for one in matches({"some-package": (version,)}, database)]


@pytest.mark.parametrize(
    ("version", "events", "affected"),
    [
        ("1.9", [{"introduced": "0"}, {"fixed": "1.10"}], True),
        ("1.10", [{"introduced": "0"}, {"fixed": "1.10"}], False),
        ("1.10rc1", [{"introduced": "0"}, {"fixed": "1.10"}], True),
        ("1.0", [{"introduced": "1.1"}, {"fixed": "1.10"}], False),
        ("2.0", [{"introduced": "0"}, {"last_affected": "2.0"}], True),
        ("2.0.1", [{"introduced": "0"}, {"last_affected": "2.0"}], False),
        ("3", [{"introduced": "3"}, {"fixed": "2"}, {"introduced": "1"}], True),
        ("2.5", [{"introduced": "3"}, {"fixed": "2"}, {"introduced": "1"}], False),
        ("9", [{"introduced": "0"}], True),
        ("9", [{"introduced": "no version"}], True),
    ],
)
def test_a_range_is_read_as_the_format_says(
    tmp_path: Path,
    version: str,
    events: list[dict[str, str]],
    affected: bool,  # noqa: FBT001
) -> None:
    told = found(tmp_path, version, advisory("GHSA-1", "Some_Package", events=events))
    assert told == (["GHSA-1"] if affected else [])


def test_listed_versions_count_and_withdrawn_other_and_same_advisories_do_not(
    tmp_path: Path,
) -> None:
    listed = advisory("PYSEC-1", "some-package", versions=["1.0.0", "as-it-was"], aliases=["CVE-1"])
    again = advisory("GHSA-9", "some-package", versions=["1.0"], aliases=["CVE-1"])
    drawn = advisory("GHSA-2", "some-package", versions=["1.0"], withdrawn="2026-01-01T00:00:00Z")
    elsewhere = advisory("GHSA-3", "some-package", versions=["1.0"])
    elsewhere["affected"][0]["package"]["ecosystem"] = "npm"
    assert found(tmp_path, "1.0", listed, again, drawn, elsewhere) == ["GHSA-9"]


def test_a_zip_file_says_what_a_folder_does(tmp_path: Path) -> None:
    folder = write(tmp_path / "osv", advisory("GHSA-1", "a", versions=["1"]))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(folder / "GHSA-1.json", "GHSA-1.json")
    assert load(tmp_path / "all.zip") == load(folder)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        ("text", "is neither a folder nor a zip file"),
        ({}, "has no advisory for a package of PyPI"),
        ({"a.json": "[1"}, "a.json in .* is no advisory in OSV's format"),
        ({"a.json": '{"affected": []}'}, "a.json in .* is no advisory in OSV's format"),
    ],
)
def test_what_is_no_database_is_one_line(
    tmp_path: Path, content: dict[str, str] | str | None, words: str
) -> None:
    path = tmp_path / "osv"
    if isinstance(content, str):
        path.write_text(content, "utf-8")
    elif content is not None:
        path.mkdir()
        for name, text in content.items():
            (path / name).write_text(text, "utf-8")
    with pytest.raises(UserError, match=words):
        load(path)


def test_the_table_counts_them_and_the_page_names_them() -> None:
    rows = [Row("a", advisories=["numpy 1.0: GHSA-1"], locked={"numpy": ("1.0",)}), Row("b")]
    assert "advisories" in table(rows)
    assert "numpy 1.0: GHSA-1" in page(rows)
    assert json.loads(as_json(rows))[0]["advisories"] == ["numpy 1.0: GHSA-1"]
    assert '"locked"' not in as_json(rows)
    assert "locked" not in as_csv(rows).splitlines()[0].split(",")
    assert "advisories" not in table([Row("b")])
