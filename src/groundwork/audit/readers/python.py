"""Python code as syntax trees, from modules and from the cells of notebooks."""

import ast
import json
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import PurePosixPath
from typing import Any, TypeVar

Node = TypeVar("Node", bound=ast.AST)
# Kinds of what is read: a notebook may be read, and a cell of it not be Python.
PYTHON, NOTEBOOK, CELLS = "Python", "notebook", "code of a notebook"


# Fields that hold no node: names, and operators and contexts, which are one object in all places.
LEAVES = {
    "id",
    "ctx",
    "op",
    "ops",
    "attr",
    "kind",
    "type_comment",
    "name",
    "module",
    "level",
    "arg",
}


@cache
def _children(kind: type[ast.AST]) -> tuple[str, ...]:
    """Return the fields of a type of node in which there are others."""
    if kind is ast.Constant:
        return ()
    return tuple(name for name in kind._fields if name not in LEAVES)


@dataclass
class Module:
    """A file of Python, which is parsed when its tree is asked for."""

    path: str
    source: bytes | str
    # The line in the file of each line of code, where these are not the same.
    lines: list[int] | None = None
    # What was found in it, by the name of what looked.
    facts: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree. Raises ValueError where there is none."""
        return parse(self.source)

    @property
    def is_test(self) -> bool:
        """Whether it is a test, or helps tests."""
        return is_test(self.path)

    def line(self, node: ast.AST) -> int:
        """Return the line of a node in the file."""
        line: int = getattr(node, "lineno", 1)
        return self.lines[line - 1] if self.lines else line

    @cached_property
    def _indexed(self) -> tuple[dict[ast.AST, ast.AST], dict[type[ast.AST], list[ast.AST]]]:
        """The node above each node, and the nodes of each type: one walk for all checks."""
        parents: dict[ast.AST, ast.AST] = {}
        kinds: defaultdict[type[ast.AST], list[ast.AST]] = defaultdict(list)
        ahead: list[ast.AST] = [self.tree]
        for node in ahead:  # it grows meanwhile
            kind = type(node)
            kinds[kind].append(node)
            for name in _children(kind):  # type: ignore[arg-type]
                value = getattr(node, name, None)
                if isinstance(value, ast.AST):
                    parents[value] = node
                    ahead.append(value)
                elif value.__class__ is list:
                    for one in value:
                        if isinstance(one, ast.AST):
                            parents[one] = node
                            ahead.append(one)
        return parents, kinds

    def of(self, *types: type[Node]) -> list[Node]:
        """Return all nodes of these types, in the order of `ast.walk` for each."""
        return [node for one in types for node in self._indexed[1].get(one, [])]  # type: ignore[misc]

    @property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """The node above each node."""
        return self._indexed[0]

    @cached_property
    def names(self) -> dict[str, str]:
        """What each imported name stands for: `np` for numpy."""
        found: dict[str, str] = {}
        for node in self.of(ast.Import):
            for one in node.names:
                first = one.name if one.asname else one.name.partition(".")[0]
                found[one.asname or first] = first
        for origin in self.of(ast.ImportFrom):
            base = "." * origin.level + (origin.module or "")
            for one in origin.names:
                found[one.asname or one.name] = f"{base}.{one.name}"
        return found

    @cached_property
    def calls(self) -> list[tuple[str, ast.Call]]:
        """Every call with the dotted name of what is called, imports resolved."""
        return [(self.dotted(node.func), node) for node in self.of(ast.Call)]

    @cached_property
    def called(self) -> set[str]:
        """The dotted names of all that is called."""
        return {name for name, _ in self.calls}

    def dotted(self, node: ast.AST) -> str:
        """Return `numpy.random.rand` for `np.random.rand`; `?` stands for an expression."""
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        first = self.names.get(node.id, node.id) if isinstance(node, ast.Name) else "?"
        return ".".join([first, *reversed(parts)])

    @cached_property
    def uses(self) -> dict[str, list[ast.Name]]:
        """Where each name is read."""
        found: defaultdict[str, list[ast.Name]] = defaultdict(list)
        for node in self.of(ast.Name):
            if isinstance(node.ctx, ast.Load):
                found[node.id].append(node)
        return found

    def within(self, node: ast.expr, scope: ast.AST) -> bool:
        """Return whether an expression is in the lines of a function, or anywhere in the module."""
        if not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
            return True
        return scope.lineno <= node.lineno <= (scope.end_lineno or scope.lineno)

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the nodes around a node, from the inside."""
        while (parent := self.parents.get(node)) is not None:
            yield parent
            node = parent

    def scope(self, node: ast.AST) -> ast.AST:
        """Return the function or module that a node is in."""
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        return next((one for one in self.above(node) if isinstance(one, functions)), self.tree)


def is_test(path: str) -> bool:
    """Return whether a path is one of tests or of what helps them."""
    parts = PurePosixPath(path).parts
    name = parts[-1]
    return (
        bool({"test", "tests", "testing"} & set(parts[:-1]))
        or name.startswith("test_")
        or name.endswith("_test.py")
        or name in {"conftest.py", "tests.py", "test.py"}
    )


def parse(source: bytes | str) -> ast.Module:
    """Return the syntax tree of code, which is never run. Raises ValueError where it has none."""
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = compile(source, "<audited>", "exec", flags, dont_inherit=True)
    except SyntaxError as error:
        raise ValueError(f"line {error.lineno}: {error.msg}") from None
    except (RecursionError, MemoryError):
        raise ValueError("it is nested too deeply") from None
    assert isinstance(tree, ast.Module)  # noqa: S101
    return tree


@dataclass
class Notebook:
    """A notebook's code cells as they were saved."""

    path: str
    cells: list[dict[str, Any]]
    # Where each cell's lines are in the file.
    lines: list[int]
    module: Module
    # Cells that are not Python, with the reason.
    broken: list[str]


def notebook(path: str, text: str) -> Notebook:
    """Read a notebook. Raises ValueError where it is none."""
    content = json.loads(text)
    cells = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(cells, list):
        raise ValueError("it has no list of cells: not a notebook of format 4")  # noqa: TRY004
    code = [one for one in cells if isinstance(one, dict) and one.get("cell_type") == "code"]
    raw = text.splitlines()
    at, starts, joined, lines, broken = 0, [], [], [], []
    for number, cell in enumerate(code, 1):
        said = cell.get("source", "")
        source = "".join(said) if isinstance(said, list) else str(said)
        outputs, metadata = cell.get("outputs"), cell.get("metadata")
        listed = outputs if isinstance(outputs, list) else []
        cell["source"] = source
        cell["outputs"] = [one for one in listed if isinstance(one, dict)]
        cell["metadata"] = metadata if isinstance(metadata, dict) else {}
        at = start = _found(raw, source, at)
        starts.append(start + 1)
        python = [] if source.lstrip().startswith("%%") else _without_magics(source)
        try:
            parse("\n".join(python))
        except ValueError as error:
            broken.append(f"code cell {number}, {error}")
            continue
        joined += python
        lines += [min(start + 1 + offset, len(raw)) for offset in range(len(python))]
    module = Module(path, "\n".join(joined), lines or [1])
    return Notebook(path, code, starts, module, broken)


def _found(raw: list[str], source: str, at: int) -> int:
    """Return the index of the line that holds a cell's first line, at or after `at`."""
    first = next(iter(source.splitlines(keepends=True)), "")
    wanted = json.dumps(first, ensure_ascii=False)[1:-1].removesuffix("\\n")
    escaped = json.dumps(first)[1:-1].removesuffix("\\n")
    for index in range(at, len(raw)):
        if wanted and (wanted in raw[index] or escaped in raw[index]):
            return index
    return at


MAGIC = re.compile(r"^(\s*)([%!].*|[\w, ]+\s*=\s*[%!].*|\?.*|[\w.]+\?{1,2}\s*)$")


def _without_magics(source: str) -> list[str]:
    """Return a cell's lines with IPython's own syntax replaced by `pass`."""
    found, goes_on = [], False
    for line in source.splitlines():
        magic = MAGIC.match(line)
        found.append("" if goes_on else f"{magic[1]}pass" if magic else line)
        goes_on = line.rstrip().endswith("\\") and (goes_on or magic is not None)
    return found
