"""Imports of the project's own code that a newer standard breaks, read without running it."""

import ast
from collections.abc import Iterator

from .repository import Repository


def broken(repository: Repository, before: str, after: str, standard: str) -> list[str]:
    """Return the imports in a merged tree that were right before, as `file:line: module`.

    A file that is as the new standard's tree has it is not the project's to mend.
    """
    then, now = (_Modules(repository, tree) for tree in (before, after))
    shipped = repository.files(standard)
    return [
        f"{path}:{line}: {'.'.join(filter(None, [module.replace('/', '.'), name]))}"
        for path, entry in now.files.items()
        if path.endswith(".py") and shipped.get(path) != entry
        for line, module, name in _imports(path, now.parsed(path))
        if then.has(module, name) and not now.has(module, name)
    ]


class _Modules:
    """The modules in a tree."""

    def __init__(self, repository: Repository, tree: str) -> None:
        self.repository = repository
        self.files = repository.files(tree)
        self.names: dict[str, set[str]] = {}

    def parsed(self, path: str) -> ast.Module:
        """Return a file's syntax; nothing of one that is no Python."""
        try:
            return ast.parse(self.repository.text(self.files[path]))
        except (SyntaxError, ValueError):
            return ast.Module([], [])

    def has(self, module: str, name: str) -> bool:
        """Whether there is a module, and that name in it."""
        for path in (f"{module}.py", f"{module}/__init__.py"):
            if path in self.files:
                if path not in self.names:
                    self.names[path] = _names(self.parsed(path))
                there = self.names[path]
                return not name or bool({name, "*"} & there) or self.has(f"{module}/{name}", "")
        return any(path.startswith(f"{module}/{name}") for path in self.files)


def _imports(path: str, module: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Yield the line, the module as a path and the name of each import that may be of a file here.

    Absolute ones are looked for in src/.
    """
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, f"src/{alias.name.replace('.', '/')}", ""
        elif isinstance(node, ast.ImportFrom):
            folder = ["src"]
            if node.level:
                folder = path.split("/")[: -node.level]
            within = node.module.split(".") if node.module else []
            for alias in node.names:
                name = "" if alias.name == "*" else alias.name
                yield node.lineno, "/".join([*folder, *within]), name


def _names(module: ast.Module) -> set[str]:
    """Return the names that a module may have, "*" among them where any may be."""
    found: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name.split(".")[0])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)  # as in a table that __getattr__ looks names up in
    return found
