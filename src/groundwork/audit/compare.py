"""Two audits of one repository: what got better, what got worse, what is new."""

import json
from pathlib import Path
from typing import Any

from groundwork.errors import UserError

from .outputs.data import FORMAT

GOOD = {"passed", "excepted"}


def read(path: Path) -> dict[str, Any]:
    """Return what an earlier `--json` wrote. Raises UserError where it is something else."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path} is no report of one repository; groundwork audit PATH --json")
    return content


def _places(check: dict[str, Any]) -> set[tuple[str, str]]:
    """Return what was found, without lines: code that moved is no change."""
    return {(one["path"], one["message"]) for one in check["findings"]}


def compared(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Return what changed between two reports, as lines of text."""
    before = {one["id"]: one for one in old["checks"]}
    groups: dict[str, list[str]] = {"worse": [], "better": [], "new": [], "gone": []}
    for check in new["checks"]:
        name, now = f"{check['id']} {check['title']}", check["status"]
        was = before.pop(check["id"], None)
        if was is None:
            groups["new"].append(f"{name}: {now}")
            continue
        more = _places(check) - _places(was)
        fewer = _places(was) - _places(check)
        if now == "failed" and (was["status"] != "failed" or more):
            groups["worse"].append(f"{name}: {was['status']}, now {now}")
            groups["worse"] += [f"  {path}: {message}" for path, message in sorted(more)]
        elif was["status"] in {"failed", "incomplete"} and (now in GOOD or fewer):
            left = f", {len(check['findings'])} left" if now == "failed" else ""
            groups["better"].append(f"{name}: {was['status']}, now {now}{left}")
        elif was["status"] in GOOD and now == "incomplete":
            groups["worse"].append(f"{name}: {was['status']}, now {now}")
    groups["gone"] += [f"{one['id']} {one['title']}" for one in before.values()]
    lines = [f"score: {old['score']} on {old['day']}, {new['score']} on {new['day']}"]
    for title, listed in groups.items():
        lines += ["", f"{title}:", *(f"  {one}" for one in listed)] if listed else []
    return "\n".join(lines if len(lines) > 1 else [*lines, "no check changed"]) + "\n"
