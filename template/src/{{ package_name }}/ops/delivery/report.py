"""How the work goes: set-up, deployments, restoring, reproduction, from what was recorded."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from ..core.files import read_lines, write_file
from ..core.settings import EVENTS, NAME, Settings
from .deploy import HISTORY

# What a team should reach: see docs/runbook.md.
FIRST_TIME, REPRODUCED, SETUP_SECONDS = 0.95, 1.0, 600.0
# The attempts that the page lists, and what it says of each.
SHOWN = 20
COLUMNS = ["time", "environment", "action", "release", "outcome", "seconds", "reason"]
VERDICTS = {None: "", True: "reached", False: "missed"}

Entry = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """One measure: what it came to, what it should, and whether it does; None where nothing was."""

    name: str
    found: str
    target: str
    reached: bool | None

    def __str__(self) -> str:
        """Return one line."""
        line = f"{self.name:<24}{self.found:<36}{self.target}  {VERDICTS[self.reached]}"
        return line.rstrip()


def figures(settings: Settings) -> tuple[list[Figure], list[Entry]]:
    """Return the measures, and the attempts to deploy in all environments, oldest first."""
    events = list(read_lines(settings.var_dir / EVENTS))
    attempts = [
        entry | {"environment": path.parent.name}
        for path in sorted((settings.var_dir / "deploy").glob(f"*/{HISTORY}"))
        for entry in read_lines(path)
        if entry.get("action") in {"deploy", "rollback"}
    ]
    attempts.sort(key=lambda entry: str(entry.get("time", "")))
    setups = [float(one["seconds"]) for one in events if one.get("action") == "setup"]
    good = [float(one["seconds"]) for one in attempts if one.get("outcome") == "ok"]
    return [
        _seconds("set-up", setups, SETUP_SECONDS),
        _share("first-time deployments", _first_times(attempts), FIRST_TIME),
        _share("all deployments", [one.get("outcome") == "ok" for one in attempts], None),
        _seconds("time to deploy", good, None),
        _seconds("time to restore", list(_restored(attempts)), None),
        _share("runs reproduced", _reproduced(events), REPRODUCED),
    ], attempts


def write(settings: Settings) -> tuple[list[Figure], Path]:
    """Write the page to var/reports/report.html; return the measures and its path."""
    found, attempts = figures(settings)
    path = settings.var_dir / "reports" / "report.html"
    write_file(path, page(found, attempts).encode())
    return found, path


def page(found: list[Figure], attempts: list[Entry]) -> str:
    """Return the measures and the last attempts as one HTML page that needs no other file."""
    import pandas as pd  # only here: the other commands of this layer answer sooner without it

    measures = [(one.name, one.found, one.target, VERDICTS[one.reached]) for one in found]
    named = pd.DataFrame(measures, columns=["measure", "found here", "target", "verdict"])
    last = pd.DataFrame(attempts[: -SHOWN - 1 : -1], columns=COLUMNS).astype(object)
    how: Any = {"index": False, "border": 0, "justify": "left", "na_rep": ""}
    return (
        f"<!doctype html><meta charset='utf-8'><title>{NAME}</title>"
        "<style>body{font:15px/1.5 sans-serif;margin:2rem}td,th{padding:.3rem .6rem}</style>"
        f"<h1>{NAME}: how the work goes</h1>{named.to_html(**how)}"
        f"<h2>Last attempts to deploy</h2>{last.to_html(**how)}\n"
    )


def _first_times(attempts: Iterable[Entry]) -> list[bool]:
    """Say of each version in each environment whether its first deployment succeeded."""
    first: dict[tuple[str, str], bool] = {}
    for one in attempts:
        if one["action"] == "deploy":
            what = (one["environment"], str(one.get("version")))
            first.setdefault(what, one.get("outcome") == "ok")
    return list(first.values())


def _restored(attempts: Iterable[Entry]) -> Iterable[float]:
    """Yield the seconds from each failed attempt to the end of the next that succeeded there."""
    failed: dict[str, datetime] = {}
    for one in attempts:
        where, begun = one["environment"], datetime.fromisoformat(one["time"])
        if one.get("outcome") != "ok":
            failed.setdefault(where, begun)
        elif since := failed.pop(where, None):
            yield (begun - since).total_seconds() + float(one["seconds"])


def _reproduced(events: Iterable[Entry]) -> list[bool]:
    """Say of each run that was reproduced whether it was exact the last time."""
    again = (one for one in events if one.get("action") == "reproduce")
    return list({one["run"]: bool(one["exact"]) for one in again}.values())


def _share(name: str, outcomes: list[bool], target: float | None) -> Figure:
    wanted = {None: "", 1.0: "all"}.get(target, f"at least {target or 0:.0%}")
    if not outcomes:
        return Figure(name, "none yet", wanted, None)
    reached = sum(outcomes) / len(outcomes)
    found = f"{reached:.0%}, {sum(outcomes)} of {len(outcomes)}"
    return Figure(name, found, wanted, None if target is None else reached >= target)


def _seconds(name: str, values: list[float], target: float | None) -> Figure:
    wanted = f"at most {_time(target)}" if target else ""
    if not values:
        return Figure(name, "none yet", wanted, None)
    found = f"{_time(median(values))}, median of {len(values)}"
    return Figure(name, found, wanted, None if target is None else median(values) <= target)


def _time(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
