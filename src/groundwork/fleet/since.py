"""What changed in a fleet since an earlier result."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from groundwork.errors import UserError

from .report import Row

# What a change begins with, as it is counted.
KINDS = ("updated", "fell behind", "failed", "works again", "new", "gone")

Old = dict[str, dict[str, Any]]


def earlier(path: Path) -> Old:
    """Return the rows of an earlier result by project, without those that were gone by then.

    Raises:
        UserError: the file is not there, or no such result.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {str(one["name"]): one for one in rows if one["state"] != "gone"}
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{path} is no result that groundwork fleet --json wrote") from None


def compare(rows: list[Row], old: Old) -> list[Row]:
    """Write into each row what changed, and return them with a row for each that is gone."""
    for row in rows:
        row.since = _changed(row, old[row.name]) if row.name in old else "new"
    note = "not among those given"
    return rows + [
        Row(name, "gone", note, version=_text(old[name], "version"), since="gone")
        for name in sorted(old.keys() - {row.name for row in rows})
    ]


def summary(rows: list[Row], old: Old) -> str:
    """Return in one line how many changed, and since when."""
    counted = Counter(kind for row in rows for kind in KINDS if row.since.startswith(kind))
    changes = ", ".join(f"{counted[kind]} {kind}" for kind in KINDS if counted[kind])
    # A result from before that was recorded has no time.
    last = max((_text(one, "at") for one in old.values()), default="")
    when = f" {last[:16].replace('T', ' ')} UTC" if last else " the earlier result"
    return f"since{when}: {changes or 'no change'}"


def _changed(row: Row, old: dict[str, Any]) -> str:
    if row.state == "failed":
        return "failed since" if old["state"] != "failed" else ""
    if old["state"] == "failed" and not old.get("version"):
        return "works again"
    if row.version != old.get("version"):
        return f"updated from {_text(old, 'version')}"
    more = (row.behind or 0) - int(old.get("behind") or 0)
    return f"fell behind by {more}" if more > 0 else ""


def _text(old: dict[str, Any], key: str) -> str:
    return str(old.get(key) or "")
