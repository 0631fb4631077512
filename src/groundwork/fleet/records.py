"""How the work goes in a fleet: what the projects' own records say, summed up.

A project records in `var/`, which git ignores, so only a checkout has records. They are counted as
the project's `report` command counts them.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

# What a team should reach, as the `report` of each project has it.
FIRST_TIME, REPRODUCED, SETUP_SECONDS = 0.95, 1.0, 600.0
UNRECORDED = "not recorded here"
VERDICTS = {None: "", True: "reached", False: "missed"}

Entry = dict[str, Any]
# What was recorded, by measure: seconds, or whether something succeeded.
Records = dict[str, list[float]]


@dataclass(frozen=True)
class Figure:
    """One measure over all projects that recorded it, its target, and whether that is reached."""

    name: str
    meaning: str
    found: str
    target: str
    verdict: str


def records(checkout: Path) -> Records | None:
    """Return what a checkout has recorded, or None where it has no records at all."""
    var = checkout / "var"
    histories = sorted((var / "deploy").glob("*/history.jsonl"))
    if not histories and not (var / "events.jsonl").is_file():
        return None
    events = list(_lines(var / "events.jsonl"))
    attempts = [
        entry | {"environment": path.parent.name}
        for path in histories
        for entry in _lines(path)
        if entry.get("action") in {"deploy", "rollback"}
    ]
    attempts.sort(key=lambda entry: str(entry.get("time", "")))
    return {
        "setup_seconds": [float(one["seconds"]) for one in events if one.get("action") == "setup"],
        "first_deployments": list(map(float, first_times(attempts))),
        "restore_seconds": list(restored(attempts)),
        "reproduced": list(map(float, reproduced(events))),
    }


def first_times(attempts: Iterable[Entry]) -> list[bool]:
    """Say of each version in each environment whether its first deployment succeeded."""
    first: dict[tuple[str, str], bool] = {}
    for one in attempts:
        if one["action"] == "deploy":
            where = (one["environment"], str(one.get("version")))
            first.setdefault(where, one.get("outcome") == "ok")
    return list(first.values())


def restored(attempts: Iterable[Entry]) -> Iterator[float]:
    """Yield the seconds from each failed attempt to the end of the next that succeeded there."""
    failed: dict[str, datetime] = {}
    for one in attempts:
        where, begun = one["environment"], datetime.fromisoformat(one["time"])
        if one.get("outcome") != "ok":
            failed.setdefault(where, begun)
        elif since := failed.pop(where, None):
            yield (begun - since).total_seconds() + float(one["seconds"])


def reproduced(events: Iterable[Entry]) -> list[bool]:
    """Say of each run that was reproduced whether it was exact the last time."""
    again = (one for one in events if one.get("action") == "reproduce")
    return list({one["run"]: bool(one["exact"]) for one in again}.values())


def figures(projects: Iterable[Records | None]) -> list[Figure]:
    """Return the measures over all projects; nothing where none has records."""
    found = [one for one in projects if one is not None]
    if not found:
        return []
    setup, first, restore, again = (
        [one[name] for one in found if one[name]]
        for name in ("setup_seconds", "first_deployments", "restore_seconds", "reproduced")
    )
    return [
        _seconds("set-up", "how long scripts/setup.sh took", setup, SETUP_SECONDS),
        _share(
            "first-time deployments",
            "versions whose first deployment to an environment succeeded",
            first,
            FIRST_TIME,
        ),
        _seconds(
            "time to restore",
            "from a failed deployment to the end of the next that succeeded there",
            restore,
            None,
        ),
        _share(
            "runs reproduced", "runs whose last reproduce was exact, bit for bit", again, REPRODUCED
        ),
    ]


def _lines(path: Path) -> Iterator[Entry]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:  # a line that was cut short, as the project's report skips it too
            continue
        if isinstance(entry, dict):
            yield entry


def _of(values: list[list[float]]) -> str:
    return f"{sum(map(len, values))} in {len(values)} project{'s' * (len(values) != 1)}"


def _share(name: str, meaning: str, values: list[list[float]], target: float) -> Figure:
    wanted = "all" if target == 1 else f"at least {target:.0%}"
    outcomes = [one for each in values for one in each]
    if not outcomes:
        return Figure(name, meaning, "none yet", wanted, "")
    share = sum(outcomes) / len(outcomes)
    found = f"{share:.0%}, {sum(outcomes):.0f} of {_of(values)}"
    return Figure(name, meaning, found, wanted, VERDICTS[share >= target])


def _seconds(name: str, meaning: str, values: list[list[float]], target: float | None) -> Figure:
    wanted = f"at most {_time(target)}" if target else ""
    every = [one for each in values for one in each]
    if not every:
        return Figure(name, meaning, "none yet", wanted, "")
    reached = None if target is None else median(every) <= target
    found = f"{_time(median(every))}, median of {_of(values)}"
    return Figure(name, meaning, found, wanted, VERDICTS[reached])


def _time(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
