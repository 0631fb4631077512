"""What the command prints and writes, and its exit status."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
import yaml

from groundwork.cli.main import main
from tests.audit.good import GOOD, Change, write
from tests.conftest import ROOT

BAD: dict[str, Change] = {
    "src/demo/data.py": (", random_state=seed", ""),
    "Dockerfile": ("USER 10001\n", ""),
    "<b> & more.py": "import os\nX = list(os.listdir('.'))\nf(X)\n",
}
# What SARIF 2.1.0 requires of the parts that are written here.
TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
PLACE = {
    "type": "object",
    "required": ["physicalLocation"],
    "properties": {
        "physicalLocation": {
            "type": "object",
            "required": ["artifactLocation", "region"],
            "properties": {
                "artifactLocation": {
                    "type": "object",
                    "properties": {"uri": {"type": "string", "pattern": r"^[^\s\\<>]+$"}},
                },
                "region": {"properties": {"startLine": {"type": "integer", "minimum": 1}}},
            },
        }
    },
}
SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "properties": {
                    "tool": {
                        "required": ["driver"],
                        "properties": {"driver": {"type": "object", "required": ["name", "rules"]}},
                    },
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "invocations": {"items": {"required": ["executionSuccessful"]}},
                    "results": {
                        "type": "array",
                        "items": {
                            "required": ["ruleId", "message", "locations"],
                            "properties": {
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": TEXT,
                                "locations": {"type": "array", "items": PLACE},
                            },
                        },
                    },
                },
            },
        },
    },
}


@pytest.fixture
def good(tmp_path: Path) -> str:
    return str(write(tmp_path / "good", GOOD))


@pytest.fixture
def bad(tmp_path: Path) -> str:
    return str(write(tmp_path / "bad", GOOD, BAD))


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = main(["audit", *arguments])
    return status, capsys.readouterr().out


def test_the_exit_status_is_1_where_a_check_fails(
    good: str, bad: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed(capsys, good)[0] == 0
    status, out = printed(capsys, bad)
    assert status == 1
    assert "src/demo/data.py:10: train_test_split() has no random_state" in out
    assert printed(capsys, good, bad)[0] == 1
    assert printed(capsys, bad, "--fail-under", "80")[0] == 0
    assert printed(capsys, bad, "--fail-under", "100")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "no folder"),
        ([".", "--select", "EX999"], "no check EX999"),
        ([".", "--compare", "nowhere.json"], "nowhere.json cannot be read"),
        ([".", "--select", "AU", "--html", "nowhere/x.html"], "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["audit", *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert words in line


def test_json_has_each_check_with_its_places(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = printed(capsys, bad, "--json")
    content = json.loads(out)
    by_id = {one["id"]: one for one in content["checks"]}
    assert status == 1
    assert by_id["EX101"]["status"] == "failed"
    assert by_id["EX101"]["findings"][0] == {
        "path": "src/demo/data.py",
        "line": 10,
        "message": "train_test_split() has no random_state",
    }
    assert by_id["EX102"]["status"] == "passed"
    assert content["score"] < 100


def test_sarif_is_valid_and_has_file_and_line(bad: str, tmp_path: Path) -> None:
    file = tmp_path / "audit.sarif"
    assert main(["audit", bad, "--sarif", str(file)]) == 1
    content: dict[str, Any] = json.loads(file.read_text("utf-8"))
    jsonschema.validate(content, SARIF)
    (run,) = content["runs"]
    rules = [one["id"] for one in run["tool"]["driver"]["rules"]]
    places = {
        (
            one["ruleId"],
            one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            one["locations"][0]["physicalLocation"]["region"]["startLine"],
        )
        for one in run["results"]
    }
    assert ("EX101", "src/demo/data.py", 10) in places
    assert ("EX107", "%3Cb%3E%20%26%20more.py", 2) in places
    assert all(rules[one["ruleIndex"]] == one["ruleId"] for one in run["results"])


class Page(HTMLParser):
    """The texts and what a browser would load."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_else_and_shows_names_as_they_are(bad: str, tmp_path: Path) -> None:
    file = tmp_path / "audit.html"
    main(["audit", bad, "--html", str(file)])
    source = file.read_text("utf-8")
    page = Page()
    page.feed(source)
    assert page.loads
    assert all(one.startswith("#") for one in page.loads)
    assert "script" not in page.tags
    assert "<b> & more.py:2" in page.text
    assert "url(" not in source
    assert "prefers-color-scheme: dark" in source
    assert "@media print" in source


@pytest.mark.parametrize(("name", "colour"), [("good", "#17692b"), ("bad", "#17692b")])
def test_the_badge_is_an_svg_with_the_score(
    name: str, colour: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file = tmp_path / "badge.svg"
    main(["audit", request.getfixturevalue(name), "--badge", str(file)])
    text = file.read_text("utf-8")
    score = ET.fromstring(text).findall(".//{*}text")[-1].text  # noqa: S314 - ours
    assert score == "100" if name == "good" else int(score or 0) < 100
    assert colour in text


def test_compare_tells_what_is_better_worse_and_new(
    good: str, bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "old.json"
    _, out = printed(capsys, good, "--json")
    content = json.loads(out)
    content["checks"] = [one for one in content["checks"] if one["id"] != "EX102"]
    old.write_text(json.dumps(content), "utf-8")
    _, out = printed(capsys, bad, "--compare", str(old))
    groups = dict(re.findall(r"(?m)^(\w+):\n((?:  .*\n)+)", out))
    assert "EX101 Splits, folds and samples have a seed: passed, now failed" in groups["worse"]
    assert groups["new"].strip().startswith("EX102")
    assert groups.keys() == {"worse", "new"}
    _, out = printed(capsys, bad, "--json")
    old.write_text(out, "utf-8")
    _, out = printed(capsys, good, "--compare", str(old))
    assert "CN104 An image does not run as root: failed, now passed" in out
    assert "worse:" not in out
    _, out = printed(capsys, bad, "--compare", str(old))
    assert out.endswith("no check changed\n")


def test_the_plan_has_each_failure_once_with_its_command_in_nine_weeks(
    bad: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out = printed(capsys, bad, "--plan")
    weeks = re.split(r"(?m)^## Week (\d), from (\d{4}-\d\d-\d\d)\n", out)[1:]
    assert weeks[::3] == [str(number) for number in range(1, 10)]
    assert sorted(re.findall(r"\*\*(\w+) ", out)) == ["CN104", "EX101", "EX107"]
    assert out.index("CN104") < out.index("EX101")  # half the work closes as much
    assert "`printf 'USER 10001\\n' >> Dockerfile`" in out


def test_what_others_come_after_is_planned_before_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes: dict[str, Change] = {"tests": None, ".github": None, "uv.lock": None}
    folder = write(tmp_path / "x", GOOD, changes | {"requirements.txt": None})
    _, out = printed(capsys, str(folder), "--plan")
    planned = re.findall(r"\*\*(\w+) ", out)
    assert set(planned) == {"TS101", "CI101", "LK101"}
    assert len(re.findall(r"Nothing is left to mend", out)) == 8 - 2


def test_repo_review_runs_the_same_checks(bad: str) -> None:
    from repo_review.processor import process  # noqa: PLC0415

    found = {one.name: one for one in process(Path(bad)).results}
    assert found["EX101"].result is False
    assert "src/demo/data.py:10" in found["EX101"].err_msg
    assert found["EX102"].result is True
    assert found["EX109"].result is None
    assert found["EX101"].family == "exactness"


@pytest.mark.parametrize(("name", "status"), [("good", 0), ("bad", 1)])
def test_the_hook_of_pre_commit_audits_the_folder_that_it_runs_in(
    name: str, status: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(request.getfixturevalue(name))
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    assert (hook["language"], hook["pass_filenames"]) == ("python", False)
    program, *arguments = hook["entry"].split()
    assert program == "groundwork"
    assert main(arguments) == status
