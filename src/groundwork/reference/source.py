"""What the reference reads from the standard's Python files, without importing them."""

import ast
from pathlib import Path
from typing import Any

from groundwork.template.checksums import OPS

NOTE = "*Written by `groundwork reference` from {}; a test fails when this page is out of date.*"


def parse(root: Path, module: str) -> ast.Module:
    """Return the syntax tree of a module below ops/, such as "core/settings.py"."""
    return ast.parse((root / OPS / module).read_text("utf-8"))


def literal(node: ast.AST | None) -> Any:  # noqa: ANN401 - whatever stands there
    """Return the value of a constant expression, or None where it is computed."""
    if node is None:
        return None
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def keywords(call: ast.Call) -> dict[str, ast.expr]:
    """Return the keyword arguments of a call by their names."""
    return {one.arg: one.value for one in call.keywords if one.arg}


def first_line(node: ast.FunctionDef | ast.ClassDef | ast.Module) -> str:
    """Return the first line of a docstring, or nothing."""
    return (ast.get_docstring(node) or "").partition("\n")[0]


def cell(text: str) -> str:
    """Return text as it may stand in a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")
