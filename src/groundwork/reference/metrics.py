"""docs/reference/metrics.md: what a service measures, and which alerts look at it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from .source import NOTE, cell, keywords, literal, parse

_SHARED = Path("includes/alerts.jinja")
_INTRO = """\
# Metrics and alerts

Each service shows its metrics at `/metrics`, in the text format of Prometheus. With `compose.yaml`,
Prometheus scrapes them every 15 seconds; on Kubernetes, the Prometheus Operator does.

{note}

## Metrics

| metric | type | labels | meaning |
| --- | --- | --- | --- |
"""
_ALERTS = """
## Alerts

`page` means act now, `ticket` the next working day. The project's `docs/runbook.md` has a section
for each, named in the last column. The limits of drift, age and quality are those of `params.yaml`.

| alert | severity | after | says | section |
| --- | --- | --- | --- | --- |
"""
_GATEWAY = """
## Alerts of the gateway

Only with the deploy target `compose`, which has two slots behind HAProxy.

| alert | severity | after | says | section |
| --- | --- | --- | --- | --- |
"""


def markdown(root: Path) -> str:
    """Return the page for the template in `root`."""
    note = NOTE.format("`ops/serving/metrics.py` and the alerts' own files")
    shared, gateway = alerts(root)
    return (
        _INTRO.format(note=note)
        + "".join(f"| {' | '.join(row)} |\n" for row in measured(root))
        + _ALERTS
        + "".join(map(_row, shared))
        + _GATEWAY
        + "".join(map(_row, gateway))
    )


def measured(root: Path) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, type, labels and meaning of each metric, as /metrics names it."""
    for node in ast.walk(parse(root, "serving/metrics.py")):
        if not isinstance(node, ast.Call):
            continue
        # As `prometheus.Counter` has it, or a function of that name with the registry filled in.
        kind = ast.unparse(node.func).rpartition(".")[2].capitalize()
        if kind not in {"Counter", "Gauge", "Histogram"}:
            continue
        name, meaning, *rest = node.args
        labels = literal(rest[0]) if rest else literal(keywords(node).get("labelnames"))
        suffix = "_total" if kind == "Counter" else ""
        yield (
            f"`{literal(name)}{suffix}`",
            kind.lower(),
            ", ".join(f"`{label}`" for label in labels or ()),
            cell(literal(meaning) or _words(meaning)),
        )


def alerts(root: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the alerts of every target, and those of the gateway."""
    shared = re.sub(r"{%.*?%}", "", (root / _SHARED).read_text("utf-8"))
    (path,) = root.glob("template/*compose*/monitoring/alerts.yml.jinja")
    _, _, gateway = path.read_text("utf-8").partition("- name: gateway\n    rules:\n")
    return yaml.safe_load(shared), [one for one in yaml.safe_load(gateway) if "alert" in one]


def _words(node: ast.expr) -> str:
    """Return an f-string's text. The one value that is inserted is the project's name."""
    parts = node.values if isinstance(node, ast.JoinedStr) else []
    return "".join(literal(part) if isinstance(part, ast.Constant) else "NAME" for part in parts)


def _row(alert: dict[str, Any]) -> str:
    about = alert["annotations"]
    section = about["runbook"].partition("#")[2].replace("-", " ")
    cells = (f"`{alert['alert']}`", alert["labels"]["severity"], alert.get("for", "at once"))
    return f"| {' | '.join(cells)} | {cell(about['description'])} | {section} |\n"
