"""`groundwork catalog` and `groundwork questions`: what is written out of the questions."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from groundwork import template
from groundwork.catalog.catalog import write
from groundwork.catalog.offer import Offer
from groundwork.template.reference import markdown


def catalog(  # noqa: PLR0913 - options of a command
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where the catalog is kept.")],
    *,
    url: Annotated[str, typer.Option(help="Where everybody clones the template from.")],
    version: Annotated[str, typer.Option(help="The tag that new projects start from.")],
    owner: Annotated[str, typer.Option(help="Who answers for it.")] = "platform",
    host: Annotated[
        Literal["github", "gitlab"], typer.Option(help="Where repositories are.")
    ] = "github",
) -> None:
    """Write forms for Backstage and a stub for cookiecutter."""
    with template.at_version(template.find_root(context.obj), version) as root:
        for path in write(Offer(root, url, version, owner, host), folder):
            print(f"wrote {folder / path}")


def questions(context: typer.Context) -> None:
    """Print the reference of the questions, as Markdown."""
    print(markdown(template.find_root(context.obj)), end="")
