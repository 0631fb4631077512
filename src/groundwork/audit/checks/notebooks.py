"""Checks of notebooks: they run from top to bottom."""

import re
from collections.abc import Iterator

from groundwork.audit.model import Check, Finding
from groundwork.audit.readers.python import NOTEBOOK
from groundwork.audit.readers.shell import unpinned
from groundwork.audit.repository import Audited


class Notebooks(Check):
    """A check of this family."""

    family = "notebooks"
    reads = frozenset({NOTEBOOK})

    def applies(self, repo: Audited) -> bool:
        """Return whether there are notebooks."""
        return bool(repo.notebooks)


class InOrder(Notebooks):
    """Notebooks were saved after a run from top to bottom, or without outputs."""

    id = "NB101"
    reason = "Cells that ran in another order show results that nobody gets again."
    mend = "Restart the kernel, run all cells and save; or clear the outputs."
    command = "jupyter nbconvert --to notebook --inplace --execute NOTEBOOK"

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return the first cell of each notebook that was run out of order."""
        for notebook in repo.notebooks:
            last = 0
            for line, cell in zip(notebook.lines, notebook.cells, strict=True):
                count = cell.get("execution_count")
                if isinstance(count, int):
                    if count <= last:
                        told = f"a cell ran as number {count}, below one that ran as {last}"
                        yield Finding(notebook.path, line, told)
                        break
                    last = count


class NoErrors(Notebooks):
    """No notebook was saved with an error."""

    id = "NB102"
    reason = "What is below the error was never reached, or is from another run."
    mend = "Mend the cell, run all cells and save; tag it `raises-exception` if it is the point."
    command = "jupyter nbconvert --to notebook --inplace --execute NOTEBOOK"

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return cells with an error for an output, unless a tag says that it is meant."""
        for notebook in repo.notebooks:
            for line, cell in zip(notebook.lines, notebook.cells, strict=True):
                meant = "raises-exception" in (cell["metadata"].get("tags") or [])
                for output in cell["outputs"]:
                    if output.get("output_type") == "error" and not meant:
                        name = output.get("ename") or "an error"
                        yield Finding(notebook.path, line, f"was saved with {name}")


class PinnedInstalls(Notebooks):
    """A notebook that installs packages names their versions."""

    id = "NB103"
    reason = "`!pip install name` takes what is newest on the day that it runs."
    mend = "Write `%pip install name==1.2.3`, or `-r` with a locked file."
    command = "git grep -nE '[!%]pip install' -- '*.ipynb'"
    days = 0.25

    def applies(self, repo: Audited) -> bool:
        """Return whether any notebook installs."""
        return any(_installs(cell["source"]) for one in repo.notebooks for cell in one.cells)

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return installations without a version."""
        for notebook in repo.notebooks:
            for start, cell in zip(notebook.lines, notebook.cells, strict=True):
                for offset, command in _installs(cell["source"]):
                    for name in unpinned(command):
                        told = f"installs {name} without a version"
                        yield Finding(notebook.path, start + offset, told)


def _installs(source: str) -> list[tuple[int, str]]:
    """Return the commands of a cell that install, with their line in it."""
    return [
        (number, line.strip().lstrip("!%"))
        for number, line in enumerate(source.splitlines())
        if re.match(r"\s*[!%]\s*(\S*python3? -m )?(pip3?|conda|mamba|uv)\b", line)
    ]


CHECKS = (InOrder, NoErrors, PinnedInstalls)
