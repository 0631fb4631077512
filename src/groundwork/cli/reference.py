"""`groundwork reference`: write the pages that are made from the template's files."""

import typer

from groundwork import reference, template


def write_reference(context: typer.Context) -> None:
    """Rewrite the generated pages of docs/reference."""
    root = template.find_root(context.obj)
    for path in reference.write(root):
        print(f"wrote {path.relative_to(root)}")
