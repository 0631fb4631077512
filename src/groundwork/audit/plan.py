"""A repository's own plan for 60 days: what to mend in which week, and how."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from .catalogue import checks
from .model import Finding, Result, Status

if TYPE_CHECKING:
    from .run import Report

# Eight weeks of work, and a last one to look back: 60 days.
WEEKS = 8
# Days of work that a week has at least, so that a short plan ends early.
LEAST = 2.0
# Places that an item lists; the report has the others.
LISTED = 5


def ordered(results: list[Result]) -> list[Result]:
    """Return what failed, in the order that closes the most for the least work.

    What other checks come after counts for those too. A check comes after those that it requires.
    """
    failed = {one.check.id: one for one in results if one.status is Status.FAILED}
    later = {
        name: sum(name in one.requires for one in checks().values())
        + min(len(result.findings), LISTED) / LISTED
        for name, result in failed.items()
    }
    left = sorted(failed, key=lambda name: (-(1 + later[name]) / failed[name].check.days, name))
    found: list[Result] = []
    while left:
        done = {one.check.id for one in found}
        name = next(one for one in left if not (failed[one].check.requires & set(left)) - done)
        left.remove(name)
        found.append(failed[name])
    return found


def weeks(results: list[Result]) -> list[list[Result]]:
    """Return the items of each week, with about the same work in each that has any."""
    items = ordered(results)
    found: list[list[Result]] = [[] for _ in range(WEEKS)]
    a_week = max(sum(one.check.days for one in items) / WEEKS, LEAST)
    spent = 0.0
    for one in items:
        # By the middle of an item, so that rounding pushes nothing past the end.
        week = int((spent + one.check.days / 2) / a_week)
        found[min(week, WEEKS - 1)].append(one)
        spent += one.check.days
    return found


def plan(report: Report) -> str:
    """Return the plan as Markdown."""
    planned = weeks(report.results)
    failed = sum(map(len, planned))
    days = sum(one.check.days for week in planned for one in week)
    end = report.day + timedelta(days=60)
    lines = [
        f"# {report.name}: 60 days, from {report.day} to {end}",
        "",
        f"The audit gives {report.score} of 100; {failed} checks fail: about {days:g} days of work.",  # noqa: E501
        "The order closes the most for the least work, and what others build on comes first.",
        "",
    ]
    counted = report.score
    for number, week in enumerate(planned):
        start = report.day + timedelta(weeks=number)
        lines += [f"## Week {number + 1}, from {start}", ""]
        if not week:
            lines += ["Nothing is left to mend: use it for what took longer.", ""]
        for one in week:
            lines += _item(one)
    lines += [
        f"## Week {WEEKS + 1}, from {report.day + timedelta(weeks=WEEKS)}",
        "",
        f"- [ ] Audit again and compare: from {counted} to 100 with everything above done.",
        "  `groundwork audit . --compare OLD.json`",
        "- [ ] Let CI audit every change: `groundwork audit .`",
    ]
    excepted = [one for one in report.results if one.status is Status.EXCEPTED]
    lines += [f"- [ ] Renew or end the exception of {one.check.id}, {one.note}" for one in excepted]
    return "\n".join(lines) + "\n"


def _item(result: Result) -> list[str]:
    check = result.check
    shown = result.findings[:LISTED]
    more = len(result.findings) - len(shown)
    lines = [
        f"- [ ] **{check.id} {check.title}** ({check.days:g} d). {check.mend}",
        f"  `{result.command}`",
        *(f"  - {_place(one)}" for one in shown),
    ]
    return [*lines, *([f"  - and {more} more"] if more else []), ""]


def _place(finding: Finding) -> str:
    return str(finding)
