"""`groundwork fleet`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from groundwork.errors import UserError
from groundwork.fleet.report import Row, page, table
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
    jobs: Annotated[
        int | None, typer.Option(help="How many at a time; one a processor if not given.")
    ] = None,
) -> int:
    """Show how many projects stand to the standard, or update them all on branches."""
    names = list(dict.fromkeys([*(projects or []), *(_lines(file) if file else [])]))
    if not names:
        raise UserError("there is no project to look at; name some, or a --file that does")
    if jobs is not None and jobs < 1:
        raise UserError("--jobs must be at least 1")
    if html:  # before the work, not after
        _try_to_write(html)
    rows: dict[str, Row] = {}
    with working("look at projects", len(names)) as work:
        for row in survey(names, update=update, to=to, jobs=jobs):
            rows[row.name] = row
            work.on(f"{row.name}: {row.state}")
            work.done()
            if not sys.stderr.isatty():
                line = f"[{len(rows)}/{len(names)}] {row.name}: {row.state}"
                print(line, file=sys.stderr, flush=True)
    ordered = [rows[name] for name in names]
    print(table(ordered))
    if html:
        write(html, page(ordered))
    return int(any(row.state in {"failed", "conflict"} for row in ordered))


def _lines(path: Path) -> list[str]:
    try:
        lines = [line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    return [line for line in lines if line]


def _try_to_write(path: Path) -> None:
    try:
        path.open("a").close()
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None
