"""`groundwork fleet`."""

import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from groundwork.errors import UserError
from groundwork.fleet.advisories import load, matches
from groundwork.fleet.hosts import configured, without_secrets
from groundwork.fleet.look import Task
from groundwork.fleet.records import figures
from groundwork.fleet.report import WRONG, Row, as_csv, as_json, ordered, page, table, work
from groundwork.fleet.since import compare, earlier, summary
from groundwork.fleet.survey import survey

from .output import write
from .progress import working


def fleet(  # noqa: PLR0913 - options of a command
    projects: Annotated[
        list[str] | None, typer.Argument(help="A repository's folder or address.")
    ] = None,
    *,
    file: Annotated[Path | None, typer.Option(help="Take more from it, one a line.")] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Make a branch with the newest standard in each.")
    ] = False,
    to: Annotated[
        str, typer.Option(metavar="VERSION", help="That version and not the newest.")
    ] = "",
    html: Annotated[
        Path | None, typer.Option(metavar="PAGE", help="Write what is shown as a page, too.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it as JSON, too.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as CSV, too.")] = None,
    uses: Annotated[
        str, typer.Option(metavar="PACKAGE", help="Show the version that each one's lock has.")
    ] = "",
    advisories: Annotated[
        Path | None,
        typer.Option(metavar="OSV", help="Count known vulnerabilities by a zip file or folder."),
    ] = None,
    since: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Show what changed since an earlier --json."),
    ] = None,
    wave: Annotated[
        int, typer.Option(help="Update so many first, and the others if all of those could be.")
    ] = 0,
    timeout: Annotated[int, typer.Option(help="Give a project so many seconds.")] = 600,
    jobs: Annotated[
        int | None, typer.Option(help="How many at a time; one a processor if not given.")
    ] = None,
) -> int:
    """Show how many projects stand to the standard, or update them all on branches."""
    names = list(dict.fromkeys([*(projects or []), *(_lines(file) if file else [])]))
    shown = [without_secrets(name, os.environ) for name in names]
    configured(os.environ)  # before the work, not after
    if not names:
        raise UserError("there is no project to look at; name some, or a --file that does")
    _check(jobs, timeout, wave, update=update)
    old = earlier(since) if since else None
    database = load(advisories) if advisories else {}
    for place in filter(None, (html, json, csv)):
        _try_to_write(place)
    rows: list[Row] = []
    task = Task(update=update, to=to, uses=uses, locked=bool(database), seconds=timeout)
    try:
        _survey(rows, names, task, jobs, wave)
    except KeyboardInterrupt:
        print(table(ordered(rows)))
        raise
    for row in rows:
        if database and row.locked is not None:
            row.advisories = matches(row.locked, database)
    found = sorted(rows, key=lambda row: shown.index(row.name))
    found = ordered(found if old is None else compare(found, old))
    changes = "" if old is None else summary(found, old)
    goes = figures(row.records for row in found)
    print("\n\n".join(filter(None, [table(found), changes, work(goes)])))
    if html is not None:
        write(html, page(found, goes, changes))
    if json is not None:
        write(json, as_json(found))
    if csv is not None:
        write(csv, as_csv(found))
    return int(any(row.state in WRONG for row in found))


def _survey(rows: list[Row], names: list[str], task: Task, jobs: int | None, wave: int) -> None:
    """Add a row for each project as it comes; progress on stderr says only what was added."""
    with working("look at projects", len(names)) as progress:
        for row in survey(names, task, jobs=jobs, wave=wave):
            rows.append(row)
            progress.on(f"{row.name}: {row.state}")
            progress.done()
            if not sys.stderr.isatty():
                line = f"[{len(rows)}/{len(names)}] {row.name}: {row.state}"
                print(line, file=sys.stderr, flush=True)


def _check(jobs: int | None, timeout: int, wave: int, *, update: bool) -> None:
    for option, number in (("--jobs", jobs), ("--timeout", timeout)):
        if number is not None and number < 1:
            raise UserError(f"{option} must be at least 1")
    if wave < 0 or (wave and not update):
        raise UserError("--wave needs --update, and a number of projects")


def _lines(path: Path) -> list[str]:
    try:
        # A hash within an address, such as #subdirectory=, is none that begins a comment.
        lines = re.sub(r"(?m)(?:^|\s)#.*", "", path.read_text("utf-8")).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    return [line.strip() for line in lines if line.strip()]


def _try_to_write(path: Path) -> None:
    try:
        path.open("a").close()
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None
