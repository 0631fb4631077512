"""A report as data: what `--json` writes and `--compare` reads."""

import json
from typing import Any

from groundwork.audit.model import Finding, Result
from groundwork.audit.run import Report

FORMAT = 1


def _place(finding: Finding) -> dict[str, Any]:
    return {"path": finding.path, "line": finding.line, "message": finding.message}


def _check(result: Result) -> dict[str, Any]:
    return {
        "id": result.check.id,
        "family": result.check.family,
        "title": result.check.title,
        "status": result.status.value,
        "findings": [_place(one) for one in result.findings],
        "excepted": [_place(one) for one in result.excepted],
        "note": result.note,
        "command": result.command,
    }


def content(report: Report) -> dict[str, Any]:
    """Return a report as JSON's types."""
    return {
        "format": FORMAT,
        "name": report.name,
        "day": report.day.isoformat(),
        "score": report.score,
        "files": report.files,
        "unread": report.unread,
        "checks": [_check(one) for one in report.results],
    }


def text(reports: list[Report]) -> str:
    """Return reports as JSON: an object for one, a list for several."""
    listed = [content(one) for one in reports]
    chosen = listed[0] if len(listed) == 1 else listed
    return json.dumps(chosen, indent=2, ensure_ascii=False) + "\n"
