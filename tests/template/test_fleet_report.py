"""What a fleet's rows come to: changes since an earlier result, and the projects' own records."""

import ast
import csv
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from groundwork.errors import UserError
from groundwork.fleet import records
from groundwork.fleet.report import COLUMNS, Row, as_csv, as_json, ordered, page, table, work
from groundwork.fleet.since import compare, earlier, summary
from groundwork.update.standard import Standard
from tests.conftest import ROOT, git

REPORT = ROOT / "template/src/{{ package_name }}/ops/delivery/report.py"


def row(name: str, state: str = "current", version: str = "v1", behind: int = 0) -> Row:
    return Row(name, state, version=version, behind=behind, at="2026-11-20T10:00:00+00:00")


def failed(name: str) -> Row:
    return Row(name, "failed", "gone")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """An earlier result."""
    path = tmp_path / "old.json"
    rows = [row("same"), row("left"), row("moved"), failed("mended"), row("broken")]
    rows += [row("behind", "behind", behind=1), Row("long gone", "gone"), failed("still")]
    path.write_text(as_json(rows), "utf-8")
    return path


def test_what_changed_since_an_earlier_result_is_shown(old: Path) -> None:
    rows = [row("same"), row("moved", version="v2"), row("mended"), failed("broken")]
    rows += [row("behind", "behind", behind=3), row("fresh"), failed("still")]
    found = compare(rows, earlier(old))
    assert {one.name: one.since for one in found} == {
        "same": "",
        "moved": "updated from v1",
        "mended": "works again",
        "broken": "failed since",
        "behind": "fell behind by 2",
        "fresh": "new",
        "still": "",
        "left": "gone",
    }
    line = summary(found, earlier(old))
    assert line == (
        "since 2026-11-20 10:00 UTC: 1 updated, 1 fell behind, 1 failed, 1 works again, "
        "1 new, 1 gone"
    )
    assert ordered(found)[-1].name == "left"
    assert "fell behind by 2" in table(found)
    assert line in page(found, changes=line)
    assert json.loads(as_json(found))[1]["since"] == "updated from v1"
    # The next comparison does not report again what is gone.
    old.write_text(as_json(found), "utf-8")
    again = compare([row(one.name) for one in found if one.name != "left"], earlier(old))
    assert "left" not in {one.name for one in again}


def test_no_change_is_said_too_and_takes_no_column(old: Path) -> None:
    rows = compare([row("same")], {"same": earlier(old)["same"]})
    assert summary(rows, {"same": {"state": "current"}}) == "since the earlier result: no change"
    assert "since" not in table(rows)


@pytest.mark.parametrize("text", ["", "{}x", "[1]", '[{"state": "current"}]', "3"])
def test_what_is_no_earlier_result_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "old.json"
    path.write_text(text, "utf-8")
    with pytest.raises(UserError, match="is no result that groundwork fleet --json wrote"):
        earlier(path)
    with pytest.raises(UserError, match="cannot be read: No such file"):
        earlier(tmp_path / "nowhere")


@pytest.fixture(scope="module")
def standard(tmp_path_factory: pytest.TempPathFactory) -> Standard:
    """A clone of a template whose repository is gone by now, so that only the clone can answer."""
    folder = tmp_path_factory.mktemp("dated")
    root = folder / "template"
    git(folder, "init", "--quiet", "--initial-branch", "main", "template")
    for tag, date in {
        "v1.0.0": "2026-01-30T23:30:00+00:00",
        "v1.1.0": "2026-03-01T00:30:00+00:00",
        "v1.0.1": "2026-04-10T12:00:00+02:00",
    }.items():
        (root / "dated").write_text(date, "utf-8")
        git(root, "add", "--all")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GIT_COMMITTER_DATE", date)
            git(root, "commit", "--quiet", "--message", tag, "--date", "2020-01-01T00:00:00")
        git(root, "tag", "--annotate", "--message", tag, tag)
    found = Standard(str(root), folder / "clone")
    rmtree(root)
    return found


@pytest.mark.parametrize(
    ("version", "to", "days"),
    [
        pytest.param("v1.0.0", "v1.1.0", 30, id="from date to date, whatever the hours"),
        pytest.param("v1.0.0", "v1.0.1", 70, id="the version that --to names"),
        pytest.param("v1.1.0", "v1.1.0", 0, id="the newest"),
        pytest.param("v1.0.1", "v1.1.0", 0, id="released after the newest"),
        pytest.param("v1.1.0", "main", 40, id="a branch"),
        pytest.param("v7.0.0", "v1.1.0", None, id="unknown"),
        pytest.param("v1.0.0", "v7.0.0", None, id="--to names an unknown version"),
        pytest.param("--output=lost", "v1.1.0", None, id="no name of a version"),
    ],
)
def test_days_between_versions_are_known_from_the_clone(
    standard: Standard, version: str, to: str, days: int | None
) -> None:
    assert standard.days(version, to) == days


def test_days_stand_beside_the_versions_wherever_rows_are_shown() -> None:
    rows = [row("late", "behind", behind=2), failed("unknown"), row("current")]
    rows[0].days, rows[2].days = 41, 0
    header, *lines = table(rows).splitlines()
    at = header.index("behind  days") + len("behind  ")
    assert [line[at : at + 4].strip() for line in lines] == ["41", "", "0"]
    assert [one.cells()["days"] for one in rows] == ["41", "", "0"]
    assert [one["days"] for one in json.loads(as_json(rows))] == [41, None, 0]
    assert [one["days"] for one in csv.DictReader(as_csv(rows).splitlines())] == ["41", "", "0"]
    text = page(rows)
    assert '<td class="number">41</td>' in text
    assert f'title="{COLUMNS["days"]}">days</th>' in text


START = datetime(2026, 11, 1, tzinfo=UTC)


def attempts(seed: int) -> list[dict[str, Any]]:
    """Make attempts to deploy, as a history has them."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    return [
        {
            "time": (START + timedelta(minutes=minute)).isoformat(),
            "action": draw.choice(["deploy", "deploy", "rollback"]),
            "version": draw.randrange(6),
            "outcome": draw.choice(["ok", "ok", "failed"]),
            "seconds": draw.randrange(1, 50),
        }
        for minute in range(40)
    ]


def runs(seed: int) -> list[dict[str, Any]]:
    """Make what else a project records."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    again = [
        {"action": "reproduce", "run": str(draw.randrange(9)), "exact": draw.random() < 0.8}
        for _ in range(20)
    ]
    return [{"action": "setup", "time": "x", "seconds": draw.randrange(5, 900)}, *again]


def write(checkout: Path, seed: int) -> None:
    for place, entries in (
        ("events.jsonl", runs(seed)),
        ("deploy/local/history.jsonl", attempts(seed)),
        ("deploy/production/history.jsonl", attempts(seed + 1)),
    ):
        path = checkout / "var" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{json.dumps(entry)}\n" for entry in entries)
        path.write_text(lines + '{"cut sho', "utf-8")


def of_projects() -> dict[str, Any]:
    """Return what the report of a project counts with, without the packages that it imports."""
    tree = ast.parse(REPORT.read_text("utf-8"))
    wanted = {"_first_times", "_restored", "_reproduced"}
    kept: list[ast.stmt] = [
        one
        for one in tree.body
        if (isinstance(one, ast.FunctionDef) and one.name in wanted)
        or (isinstance(one, ast.Assign) and "'FIRST_TIME'" in ast.dump(one))
    ]
    assert len(kept) == 4
    found: dict[str, Any] = {"datetime": datetime, "Entry": dict, "Iterable": list}
    exec(compile(ast.Module(kept, []), str(REPORT), "exec"), found)  # noqa: S102 - our own
    return found


@pytest.mark.parametrize("seed", range(5))
def test_records_are_counted_as_a_projects_report_counts_them(tmp_path: Path, seed: int) -> None:
    write(tmp_path, seed)
    theirs = of_projects()
    both = [
        one | {"environment": name}
        for name, of in (("local", seed), ("production", seed + 1))
        for one in attempts(of)
    ]
    both.sort(key=lambda one: str(one["time"]))
    assert records.records(tmp_path) == {
        "setup_seconds": [runs(seed)[0]["seconds"]],
        "first_deployments": theirs["_first_times"](both),
        "restore_seconds": list(theirs["_restored"](both)),
        "reproduced": theirs["_reproduced"](runs(seed)),
    }
    for name in ("FIRST_TIME", "REPRODUCED", "SETUP_SECONDS"):
        assert getattr(records, name) == theirs[name]


ONE = {
    "setup_seconds": [30.0, 40.0],
    "first_deployments": [1.0] * 18,
    "restore_seconds": [60.0],
    "reproduced": [1.0],
}
OTHER = {
    "setup_seconds": [50.0],
    "first_deployments": [1.0, 0.0],
    "restore_seconds": [],
    "reproduced": [1.0, 0.0],
}


def test_projects_are_summed_up_beside_the_targets(tmp_path: Path) -> None:
    assert records.records(tmp_path) is None
    assert records.figures([None]) == []
    found = records.figures([ONE, None, OTHER])
    assert [(figure.found, figure.target, figure.verdict) for figure in found] == [
        ("40.0 s, median of 3 in 2 projects", "at most 10.0 min", "reached"),
        ("95%, 19 of 20 in 2 projects", "at least 95%", "reached"),
        ("60.0 s, median of 1 in 1 project", "", ""),
        ("67%, 2 of 3 in 2 projects", "all", "missed"),
    ]
    assert "first-time deployments  95%, 19 of 20 in 2 projects" in work(found)
    rows = [row("a"), row("b"), row("c")]
    rows[0].records, rows[0].unrecorded = ONE, ""
    text = page(rows, found)
    for figure in found:
        assert figure.found in text
        assert figure.meaning in text
    assert "not recorded here" in text
    assert json.loads(as_json(rows))[0]["records"] == ONE
    assert "setup_seconds" in as_csv(rows)


def test_a_measure_that_nobody_recorded_is_none_yet() -> None:
    found = records.figures([{name: [] for name in ONE}])
    assert {(figure.found, figure.verdict) for figure in found} == {("none yet", "")}
