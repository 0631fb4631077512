"""`groundwork checksums`: write the list of what a render's ops/ must be."""

import typer

from groundwork import template
from groundwork.template.checksums import LIST, checksums


def write_checksums(context: typer.Context) -> None:
    """Rewrite the checksums of ops/ after its files were changed."""
    root = template.find_root(context.obj)
    (root / LIST).write_text(checksums(root), "utf-8")
    print(f"wrote {LIST}")
