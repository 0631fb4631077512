"""The command line: what keeps the template, and what keeps projects on it."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from groundwork.errors import UserError
from groundwork.update.git import OF_HOOKS, GitError

from .adopt import adopt
from .audit import audit, checks
from .catalog import catalog, questions
from .checksums import write_checksums
from .fleet import fleet
from .lock import lock
from .prove import prove_repository
from .reference import write_reference

app = typer.Typer(
    name="groundwork",
    help="Tools that keep the Groundwork template, and projects on it.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (adopt, audit, catalog, checks, fleet, lock, questions):
    app.command()(command)
app.command("checksums")(write_checksums)
app.command("reference")(write_reference)
app.command("prove")(prove_repository)


@app.callback()
def root(
    context: typer.Context,
    template: Annotated[
        Path, typer.Option(metavar="PATH", help="A folder in the template's checkout.")
    ] = Path(),
) -> None:
    """Tools that keep the Groundwork template, and projects on it."""
    context.obj = template


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status; an error is one line on stderr.

    The status is 1 after an error, and 2 where the command was typed wrongly.
    """
    for name in OF_HOOKS:  # Copier runs git by itself
        os.environ.pop(name, None)
    words = sys.argv[1:] if arguments is None else list(arguments)
    group = typer.main.get_command(app)
    try:
        # Typer's own way to run says errors in several lines.
        with group.make_context("groundwork", words) as context:
            return group.invoke(context) or 0
    except typer.Exit as end:
        return end.exit_code
    except TyperException as error:
        message = " ".join(error.format_message().split()).removesuffix(".")
        return _failed(f"{message}; see groundwork --help", error.exit_code)
    except (UserError, GitError, OSError) as error:
        return _failed(str(error), 1)
    except KeyboardInterrupt:
        return _failed("interrupted; nothing is half-written, run it again", 130)


def _failed(message: str, status: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return status
