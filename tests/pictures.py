"""What the pictures of docs/pictures show: a hash of the text that their pages are made of."""

import ast
import hashlib
from pathlib import Path

OPS = "template/src/{{ package_name }}/ops"
# Each picture by the modules that write what it shows.
MADE_OF = {
    "report": [f"{OPS}/delivery/report.py"],
    "drift": [f"{OPS}/monitoring/drift.py"],
    "run": [f"{OPS}/tracking/runs.py"],
}


def inputs(root: Path, name: str) -> str:
    """Return the SHA-256 of every text in those modules, docstrings left out.

    A change of code that shows the same text does not make a picture old.
    """
    texts: list[str] = []
    for module in MADE_OF[name]:
        tree = ast.parse((root / module).read_text("utf-8"))
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and isinstance(node.body[0], ast.Expr)
        }
        texts += [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docstrings
        ]
    return hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()
