"""What setup.py hands to setup(), read without running it."""

import ast
from collections.abc import Iterator
from typing import Any

_CHANGE = {"append", "extend", "insert", "remove"}


def setup_call(tree: ast.Module) -> dict[str, Any]:
    """Return the arguments of setup() that are literals, sums of them, or names of either.

    The value is None where an argument is computed, or is a list that the code changes.
    """
    constants: dict[str, Any] = {}
    changed = {*_changed(tree)}
    for one in tree.body:
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name):
            name, value = one.targets[0].id, _literal(one.value, constants)
            constants[name] = None if name in changed and isinstance(value, list) else value
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "setup":
            for keyword in node.keywords:
                found[keyword.arg or ""] = _literal(keyword.value, constants)
    return found


def _changed(tree: ast.Module) -> Iterator[str]:
    """Yield the names that are assigned again or appended to."""
    assigned: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            if node.id in assigned:
                yield node.id
            assigned.add(node.id)
        elif isinstance(node, ast.Attribute) and node.attr in _CHANGE:
            yield ast.unparse(node.value)


def _literal(node: ast.expr, constants: dict[str, Any]) -> Any:  # noqa: ANN401 - any literal
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _literal(node.left, constants), _literal(node.right, constants)
        return left + right if type(left) is type(right) and isinstance(left, list | str) else None
    if isinstance(node, ast.Dict) and all(node.keys):
        return {
            _literal(key, constants): _literal(value, constants)
            for key, value in zip(node.keys, node.values, strict=True)
            if key
        }
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError):
        return None


def listed(said: list[str] | tuple[str, ...] | str | None) -> list[str]:
    """Return requirements that setuptools takes as a list or as the lines of a text."""
    lines = said.splitlines() if isinstance(said, str) else list(said or [])
    bare = (line.partition(" #")[0].strip() for line in lines)
    return [line for line in bare if line and not line.startswith(("#", "file:"))]
