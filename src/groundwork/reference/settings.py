"""docs/reference/settings.md: what a machine sets, and what a model sets."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from .source import NOTE, cell, keywords, literal, parse

_EXAMPLE = Path("template/.env.example.jinja")
_PARAMS = Path("frameworks/scikit-learn/params.yaml")
_INTRO = """\
# Settings

Two kinds of values shape a project. What differs between machines is a setting: an environment
variable, a line in `.env`, or a default of the project under `[tool.groundwork]` in
`pyproject.toml`, in this order. What differs between models is in `params.yaml`, which each run
records.

{note}

## Settings of a machine

Names under `[tool.groundwork]` are lower case and without `ML_`.

| variable | values | default | meaning |
| --- | --- | --- | --- |
"""
_COMPOSE = """
## Settings of compose.yaml

Read from `.env` by Docker Compose, in projects with the deploy target `compose`. Passwords are not
among them: `deploy/up.sh` makes them, as files in `deploy/secrets`.

| variable | default | meaning |
| --- | --- | --- |
"""
_MODEL = """
## params.yaml

Yours, in each project. This is the one of scikit-learn; the other frameworks have other keys under
`model`.

"""


def markdown(root: Path) -> str:
    """Return the page for the template in `root`."""
    rows = "".join(f"| {' | '.join(row)} |\n" for row in fields(root))
    compose = "".join(f"| {' | '.join(row)} |\n" for row in compose_variables(root))
    params = (root / _PARAMS).read_text("utf-8")
    note = NOTE.format("`ops/core/settings.py`, `.env.example` and `params.yaml`")
    intro = _INTRO.format(note=note)
    return f"{intro}{rows}{_COMPOSE}{compose}{_MODEL}```yaml\n{params}```\n"


def fields(root: Path) -> Iterator[tuple[str, str, str, str]]:
    """Yield variable, values, default and meaning of each setting."""
    (settings,) = (
        node
        for node in parse(root, "core/settings.py").body
        if isinstance(node, ast.ClassDef) and node.name == "Settings"
    )
    for node in settings.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        if not isinstance(node.value, ast.Call):
            continue
        given = keywords(node.value)
        alias = given.get("validation_alias")
        variable = literal(alias.args[0]) if isinstance(alias, ast.Call) else None
        default = node.value.args[0] if node.value.args else given.get("default")
        yield (
            f"`{variable or f'ML_{node.target.id.upper()}'}`",
            _values(ast.unparse(node.annotation), given),
            _default(default),
            cell(literal(given["description"])),
        )


def compose_variables(root: Path) -> Iterator[tuple[str, str, str]]:
    """Yield variable, default and meaning of what only compose.yaml reads."""
    text = (root / _EXAMPLE).read_text("utf-8")
    _, _, part = text.partition("# For compose.yaml. ")
    meaning: list[str] = []
    follows = False  # whether the line above named a variable
    for line in part.partition("{%")[0].splitlines():
        said = line.removeprefix("# ")
        if found := re.fullmatch(r"([A-Z_]+)=(.*)", said):
            yield f"`{found[1]}`", f"`{found[2]}`" if found[2] else "", cell(" ".join(meaning))
            follows = True
        elif said.strip():
            meaning = [said] if follows else [*meaning, said]
            follows = False


def _values(annotation: str, given: dict[str, ast.expr]) -> str:
    if found := re.search(r"Literal\[(.+?)\]", annotation):
        return ", ".join(f"`{value.strip()[1:-1]}`" for value in found[1].split(","))
    kind = {"str": "text", "Path": "path", "bool": "`true`, `false`", "int": "whole number"}.get(
        annotation, "JSON" if annotation.startswith("dict") else "number"
    )
    limits = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    between = [f"{limits[name]} {literal(given[name])}" for name in limits if name in given]
    return " ".join([kind, *between])


def _default(node: ast.expr | None) -> str:
    if isinstance(node, ast.Name):  # NAME
        return "the project's name"
    if isinstance(node, ast.Call):  # Path("data")
        return f"`{literal(node.args[0])}`"
    value = literal(node)
    if value is None or value == "":
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
