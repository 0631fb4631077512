"""`groundwork lock`."""

from typing import Annotated

import typer

from groundwork import template
from groundwork.locks.check import check as problems
from groundwork.locks.resolve import targets, update

from .progress import working


def lock(
    context: typer.Context,
    name: Annotated[
        list[str] | None,
        typer.Argument(help="A framework, or groundwork for the template's own lock."),
    ] = None,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; fail where a lock or export is stale.")
    ] = False,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Let every package move to its newest version.")
    ] = False,
) -> int:
    """Resolve and export the locks that the template ships, and say what moved."""
    if check and upgrade:
        raise typer.BadParameter("choose --check or --upgrade, not both")
    root = template.find_root(context.obj)
    names = targets(root, name or [])
    checked = ((one, problems(root, one)) for one in names)
    updated = update(root, names, upgrade=upgrade)
    fine = "locked, hashed and exported as it should be" if check else "nothing moved"
    failed = False
    with working("check locks" if check else "resolve and export", len(names)) as work:
        for one, lines in checked if check else updated:
            failed |= check and bool(lines)
            report = [f"{one}:", *(f"  {line}" for line in lines)] if lines else [f"{one}: {fine}"]
            work.done()
            with work.paused():
                print("\n".join(report), flush=True)
    return int(failed)
