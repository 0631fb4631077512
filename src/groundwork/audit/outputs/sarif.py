"""Reports as SARIF 2.1.0, which code hosts show beside the lines."""

import json
from typing import Any
from urllib.parse import quote

from groundwork.audit.catalogue import checks
from groundwork.audit.model import Check, Finding, Result, Status
from groundwork.audit.run import Report

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def _rule(check: Check) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "id": check.id,
        "name": type(check).__name__,
        "shortDescription": {"text": check.title},
        "fullDescription": {"text": check.reason},
        "help": {"text": f"{check.mend}\n{check.command}"},
        "properties": {"tags": [check.family]},
    }
    return rule | ({"helpUri": check.link} if check.link else {})


def _found(result: Result, finding: Finding, rules: list[str]) -> dict[str, Any]:
    """Return a result. One of the repository as a whole is put on its README: a place is needed."""
    place: dict[str, Any] = {
        "artifactLocation": {"uri": quote(finding.path or "README.md"), "uriBaseId": "%SRCROOT%"}
    }
    place["region"] = {"startLine": max(finding.line, 1)}
    found: dict[str, Any] = {
        "ruleId": result.check.id,
        "ruleIndex": rules.index(result.check.id),
        "level": "error",
        "message": {"text": f"{result.check.title}: {finding.message}. {result.check.mend}"},
        "locations": [{"physicalLocation": place}],
    }
    if finding in result.excepted:
        found["suppressions"] = [{"kind": "external", "justification": result.note}]
    return found


def _run(report: Report) -> dict[str, Any]:
    rules = sorted(checks())
    known = checks()
    told = [{"level": "warning", "message": {"text": f"not read: {one}"}} for one in report.unread]
    return {
        "tool": {"driver": {"name": "groundwork audit", "rules": [_rule(known[x]) for x in rules]}},
        "automationDetails": {"id": f"groundwork-audit/{report.name}"},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"%SRCROOT%": {"description": {"text": "The repository's root."}}},
        "invocations": [
            {"executionSuccessful": True, "toolExecutionNotifications": told},
        ],
        "results": [
            _found(result, finding, rules)
            for result in report.results
            if result.status in {Status.FAILED, Status.EXCEPTED}
            for finding in [*result.findings, *result.excepted]
        ],
    }


def text(reports: list[Report]) -> str:
    """Return reports as SARIF, a run for each."""
    runs = [_run(one) for one in reports]
    content = {"$schema": SCHEMA, "version": "2.1.0", "runs": runs}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
