"""A report for a terminal, or as plain lines where it is none."""

from rich.console import Console
from rich.text import Text

from groundwork.audit.model import Finding, Result, Status
from groundwork.audit.run import Report

SIGNS = {
    Status.PASSED: ("✓", "green"),
    Status.FAILED: ("✗", "bold red"),
    Status.EXCEPTED: ("~", "yellow"),
    Status.INCOMPLETE: ("?", "yellow"),
    Status.SKIPPED: ("-", "dim"),
}
SHOWN = 5


def show(report: Report, console: Console, *, every: bool = False) -> None:
    """Print a report: what failed with its places, and the rest as a line a family."""
    console.print(Text(f"{report.name}: {report.score} of 100", "bold"))
    for title, _, results in report.by_family():
        passed = sum(one.status is Status.PASSED for one in results)
        counted = sum(one.status is not Status.SKIPPED for one in results)
        told = f"{passed} of {counted}" if counted else "not applicable"
        console.print(Text(f"\n{title}", "bold"), Text(told, "dim"))
        for one in results:
            _result(one, console, every=every)
    for line in report.unread:
        console.print(Text(f"not read: {line}", "yellow"))
    figures = {status: report.count(status) for status in SIGNS}
    told = ", ".join(f"{number} {status}" for status, number in figures.items() if number)
    console.print(Text(f"\n{told}; {report.files} files", "dim"))


def _result(result: Result, console: Console, *, every: bool) -> None:
    if result.status is Status.SKIPPED and not every:
        return
    sign, style = SIGNS[result.status]
    note = f" ({result.note})" if result.note else ""
    rule = Text(f"  {sign} {result.check.id} ", style) + Text(result.check.title + note)
    console.print(rule, soft_wrap=True)
    shown: list[Finding] = result.findings if every else result.findings[:SHOWN]
    for finding in shown:
        console.print(Text(f"      {finding}"), soft_wrap=True)
    if more := len(result.findings) - len(shown):
        console.print(Text(f"      and {more} more; --all shows them", "dim"))
    if result.findings:
        console.print(Text(f"      {result.check.mend}", "cyan"), soft_wrap=True)
