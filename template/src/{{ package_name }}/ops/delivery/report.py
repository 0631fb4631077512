"""How the work goes: set-up, deployments, restoring, reproduction, from what was recorded."""

import html
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
        verdict = {None: "", True: "  reached", False: "  missed"}[self.reached]
        return f"{self.name:<24}{self.found:<36}{self.target}{verdict}".rstrip()


def figures(settings: Settings) -> tuple[list[Figure], list[Entry]]:
    """Return the measures, and the attempts to deploy in all environments, oldest first."""
    events = read_lines(settings.var_dir / EVENTS)
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
    """Return the measures and the attempts as one HTML page that needs no other file."""
    rows = "".join(
        f"<tr><th>{html.escape(one.name)}<td>{html.escape(one.found)}<td>{html.escape(one.target)}"
        f"<td class='{'ok' if one.reached else 'no'}'>"
        f"{ {None: '', True: '✓ reached', False: '✗ missed'}[one.reached] }"
        for one in found
    )
    last = "".join(
        f"<tr><td>{str(one.get('time', ''))[:16].replace('T', ' ')}<td>{one['environment']}"
        f"<td>{one.get('action')} {one.get('release') or ''}"
        f"<td class='{'ok' if one.get('outcome') == 'ok' else 'no'}'>{one.get('outcome')}"
        f"<td>{one.get('seconds', 0)} s<td>{one.get('reason') or ''}"
        for one in ({k: html.escape(str(v)) if v else v for k, v in entry.items()}
                    for entry in reversed(attempts[-20:]))
    )  # fmt: skip
    return (
        f"<!doctype html><meta charset='utf-8'><title>{NAME}</title><style>"
        "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .6rem;"
        "border-bottom:1px solid #ddd;vertical-align:top;white-space:nowrap}"
        "td:last-child{white-space:normal}.ok{color:#17803d}.no{color:#b42318}"
        f"</style><h1>{NAME}: how the work goes</h1>{_bars(attempts)}"
        f"<table><tr><th>measure<th>found here<th>target<th>{rows}</table>"
        f"<h2>Last attempts to deploy</h2><table>{last}</table>\n"
    )


def _bars(attempts: list[Entry], height: int = 90, width: int = 12) -> str:
    """Draw the last attempts as bars: how long each took, green where it succeeded."""
    shown = attempts[-60:]
    most = max([1.0, *(float(one.get("seconds", 0)) for one in shown)])
    bars = "".join(
        f"<rect x='{i * width}' width='{width - 3}' y='{height - tall}' height='{tall}' "
        f"fill='{'#17803d' if one.get('outcome') == 'ok' else '#b42318'}'>"
        f"<title>{html.escape(one['environment'])}: {one.get('seconds')} s</title></rect>"
        for i, one in enumerate(shown)
        for tall in [max(3, round(height * float(one.get("seconds", 0)) / most))]
    )
    if not shown:
        return ""
    return (
        f"<svg role='img' aria-label='seconds of the last deployments' height='{height}' "
        f"width='{len(shown) * width}'>{bars}</svg><p>The last {len(shown)} deployments. "
        f"Green bars succeeded, red bars failed. The longest took {most:.0f} s.</p>"
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
