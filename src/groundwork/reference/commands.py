"""docs/reference/project.md: the commands and scripts that every project has."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from .source import NOTE, cell, first_line, literal, parse

_INTRO = """\
# A project's commands

{note}

## The command line

`.venv/bin/NAME`, where NAME is the package with dashes. `--help` after a command shows its options
and what they mean.

| command | arguments and options | what it does |
| --- | --- | --- |
"""
_SCRIPTS = """
## Scripts

Each prints its usage with `--help`. They work on Linux and macOS, under bash 3.2 and newer. A
command that fails prints one line that says what is wrong and what to do, and exits with a status
other than 0.

"""
# Called by other scripts alone.
_INTERNAL = {"lib", "image-packages"}


def markdown(root: Path) -> str:
    """Return the page for the template in `root`."""
    rows = "".join(f"| {' | '.join(row)} |\n" for row in commands(root))
    shown = "\n".join(
        f"### `scripts/{name}`\n\n```text\n{text}\n```\n" for name, text in scripts(root)
    )
    note = NOTE.format("`ops/cli/commands.py` and the scripts' first lines")
    return f"{_INTRO.format(note=note)}{rows}{_SCRIPTS}{shown}"


def commands(root: Path) -> Iterator[tuple[str, str, str]]:
    """Yield name, parameters and purpose of each command, hidden ones left out."""
    tree = parse(root, "cli/commands.py")
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for mark in node.decorator_list:
            if not isinstance(mark, ast.Call) or ast.unparse(mark.func) != "app.command":
                continue
            if any(one.arg == "hidden" for one in mark.keywords):
                continue
            name = literal(mark.args[0]) if mark.args else node.name
            yield f"`{name}`", cell(" ".join(_parameters(tree, node))), cell(first_line(node))


def scripts(root: Path) -> Iterator[tuple[str, str]]:
    """Yield name and usage of each script: the comment that it begins with."""
    for path in sorted((root / "template/scripts").glob("*.sh*"), key=lambda path: path.name):
        name = path.name.removesuffix(".jinja")
        if "{%" in name or name.removesuffix(".sh") in _INTERNAL:
            continue
        head = re.match(r"#!.*\n((?:#.*\n)+)", path.read_text("utf-8"))
        if head:
            lines = [line.removeprefix("#").removeprefix(" ") for line in head[1].splitlines()]
            yield name, "\n".join(line for line in lines if not line.startswith("shellcheck"))


def _parameters(tree: ast.Module, node: ast.FunctionDef) -> Iterator[str]:
    aliases = {
        one.targets[0].id: one.value
        for one in tree.body
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name)
    }
    arguments = node.args.args
    required = len(arguments) - len(node.args.defaults)
    for place, argument in enumerate(arguments):
        kind = argument.annotation
        if isinstance(kind, ast.Name):
            kind = aliases.get(kind.id, kind)
        text = ast.unparse(kind) if kind else ""
        if "typer.Argument" in text:
            name = argument.arg.upper()
            yield f"`{name}`" if place < required else f"`[{name}]`"
        else:
            flag = re.search(r"typer\.Option\('(--[\w-]+)'", text)
            given = flag[1] if flag else f"--{argument.arg.replace('_', '-')}"
            default = literal(node.args.defaults[place - required]) if place >= required else None
            yield f"`{given.replace('--', '--no-', 1) if default is True else given}`"
