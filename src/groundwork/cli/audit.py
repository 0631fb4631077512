"""`groundwork audit` and `groundwork checks`."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from groundwork.audit import reference
from groundwork.audit.compare import compared, read
from groundwork.audit.outputs import badge, data, page, sarif, terminal
from groundwork.audit.plan import plan as plan_of
from groundwork.audit.prove.proof import Wishes
from groundwork.audit.run import Report
from groundwork.audit.run import audit as audited

from .output import write
from .progress import working
from .prove import limits, run


def audit(  # noqa: PLR0913
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="A repository's folder.")],
    *,
    select: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECK", help="Only these checks, or families: EX, LK101."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print what to do in 60 days, as Markdown.")
    ] = False,
    show_all: Annotated[
        bool, typer.Option("--all", help="Show every place, and what is not applicable.")
    ] = False,
    sarif_file: Annotated[
        Path | None, typer.Option("--sarif", metavar="FILE", help="Write SARIF 2.1.0.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with the scores.")
    ] = None,
    badge_file: Annotated[
        Path | None, typer.Option("--badge", metavar="FILE", help="Write the score as an SVG.")
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(metavar="OLD.json", help="Show what changed since an earlier --json."),
    ] = None,
    fail_under: Annotated[
        int | None,
        typer.Option(metavar="SCORE", help="Fail only under this score, not for each check."),
    ] = None,
    prove: Annotated[
        bool, typer.Option("--prove", help="Then install, test and train it twice, in a sandbox.")
    ] = False,
) -> int:
    """Check whether a repository can be rebuilt, exactly, and is tested.

    Nothing in it is run without --prove; `groundwork prove` has more options for that.
    """
    if prove and (json or plan or compare):
        raise typer.BadParameter("--prove prints text: use groundwork prove --json")
    if sum(map(bool, (json, plan, compare))) > 1:
        raise typer.BadParameter("choose one of --json, --plan and --compare")
    if len(paths) > 1 and (badge_file or compare):
        raise typer.BadParameter("--badge and --compare are of one repository")
    old = read(compare) if compare else None  # before the work, not after
    reports = []
    with working("audit", len(paths)) as work:
        for path in paths:
            work.on(f"audit {path}")
            reports.append(audited(path, select=select or (), processes=os.cpu_count() or 1))
            work.done()
    _write(reports, sarif_file, html, badge_file)
    if json:
        print(data.text(reports), end="")
    elif plan:
        print("\n".join(plan_of(one) for one in reports), end="")
    elif old is not None:
        print(compared(old, data.content(reports[0])), end="")
    else:
        _show(reports, every=show_all)
    unproven = [path for path in paths if prove and run(path, limits(), Wishes())]
    if fail_under is not None:
        return int(any(one.score < fail_under for one in reports) or bool(unproven))
    return int(any(one.failed for one in reports) or bool(unproven))


def _write(
    reports: list[Report], sarif_file: Path | None, html: Path | None, badge_file: Path | None
) -> None:
    if sarif_file:
        write(sarif_file, sarif.text(reports))
    if html:
        write(html, page.text(reports))
    if badge_file:
        write(badge_file, badge.text(reports[0].score))


def _show(reports: list[Report], *, every: bool) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    for number, report in enumerate(reports):
        console.print("\n" if number else "", end="")
        terminal.show(report, console, every=every)


def checks() -> None:
    """Print the reference of the audit's checks, as Markdown."""
    print(reference.markdown(), end="")
