"""Exceptions are valid with a check, a reason and a date that is not past; else they fail."""

from datetime import date
from pathlib import Path

import pytest

from groundwork.audit.model import Status
from groundwork.audit.run import Report, audit
from tests.audit.good import GOOD, Change, write

TODAY = date(2026, 11, 26)
UNSEEDED: dict[str, Change] = {"src/demo/data.py": (", random_state=seed", "")}
NO_TABLE = "[tool.groundwork]\naudit = 1\n"
VALID = 'check = "EX101"\nreason = "until the new loader"\nuntil = 2026-11-26\n'


def audited(folder: Path, declared: dict[str, Change], today: date = TODAY) -> Report:
    return audit(write(folder / "demo", GOOD, UNSEEDED | declared), today=today)


def statuses(report: Report) -> dict[str, Status]:
    return {one.check.id: one.status for one in report.results}


@pytest.mark.parametrize(
    "declared",
    [
        {"groundwork-audit.toml": f"[[exceptions]]\n{VALID}"},
        {".groundwork-audit.toml": f"[[exceptions]]\n{VALID}"},
        {
            "pyproject.toml": (
                "[dependency-groups]",
                f"[[tool.groundwork.audit.exceptions]]\n{VALID}\n[dependency-groups]",
            )
        },
        {"groundwork-audit.toml": f'[[exceptions]]\n{VALID}paths = ["src/*"]\n'},
    ],
    ids=["own", "hidden", "pyproject", "by path"],
)
def test_a_valid_exception_covers_its_check_until_its_day(
    declared: dict[str, Change], tmp_path: Path
) -> None:
    report = audited(tmp_path, declared)
    assert statuses(report)["EX101"] is Status.EXCEPTED
    assert statuses(report)["AU102"] is Status.PASSED
    assert not report.failed
    (result,) = (one for one in report.results if one.check.id == "EX101")
    assert result.note == "until 2026-11-26: until the new loader"
    assert report.score == 100


def test_the_day_after_it_is_a_failure_itself(tmp_path: Path) -> None:
    declared: dict[str, Change] = {"groundwork-audit.toml": f"[[exceptions]]\n{VALID}"}
    report = audited(tmp_path, declared, date(2026, 11, 27))
    assert statuses(report)["EX101"] is Status.FAILED
    assert statuses(report)["AU102"] is Status.FAILED


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('check = "EX101"\nuntil = 2027-01-01\n', "has no reason"),
        ('check = "EX101"\nreason = " "\nuntil = 2027-01-01\n', "has no reason"),
        ('check = "EX101"\nreason = "x"\n', "has no date"),
        ('check = "EX101"\nreason = "x"\nuntil = "2027-01-01"\n', "has no date"),
        ('check = "EX999"\nreason = "x"\nuntil = 2027-01-01\n', "names no check"),
        ('check = "AU102"\nreason = "x"\nuntil = 2027-01-01\n', "names no check"),
        ('reason = "x"\nuntil = 2027-01-01\n', "check is not given"),
        (f'{VALID}path = "src"\n', "has path; it may have"),
    ],
)
def test_an_exception_without_a_part_fails_and_covers_nothing(
    text: str, why: str, tmp_path: Path
) -> None:
    report = audited(tmp_path, {"groundwork-audit.toml": f"[[exceptions]]\n{text}"})
    assert statuses(report)["EX101"] is Status.FAILED
    (result,) = (one for one in report.results if one.check.id == "AU102")
    assert [why in one.message for one in result.findings] == [True]


def test_a_path_that_is_not_named_is_not_covered(tmp_path: Path) -> None:
    text = f'[[exceptions]]\n{VALID}paths = ["legacy/*"]\n'
    assert statuses(audited(tmp_path, {"groundwork-audit.toml": text}))["EX101"] is Status.FAILED


def test_an_excepted_file_that_is_not_read_hides_no_more_than_itself(tmp_path: Path) -> None:
    broken: dict[str, Change] = {"legacy/old.py": "print 'x'\n"}
    before = statuses(audit(write(tmp_path / "before", GOOD, broken), today=TODAY))
    assert before["AU101"] is Status.FAILED
    assert before["EX101"] is Status.INCOMPLETE
    text = VALID.replace("EX101", "AU101") + 'paths = ["legacy/*"]\n'
    broken["groundwork-audit.toml"] = f"[[exceptions]]\n{text}"
    after = statuses(audit(write(tmp_path / "after", GOOD, broken), today=TODAY))
    assert after["AU101"] is Status.EXCEPTED
    assert after["EX101"] is Status.PASSED


@pytest.mark.parametrize(
    ("name", "text"), [("groundwork-audit.toml", "[[exceptions\n"), ("pyproject.toml", NO_TABLE)]
)
def test_a_broken_file_of_exceptions_is_told(name: str, text: str, tmp_path: Path) -> None:
    report = audited(tmp_path, {name: text})
    assert statuses(report)["AU101"] is Status.FAILED
