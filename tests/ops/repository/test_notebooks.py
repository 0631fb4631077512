"""The notebooks run, and show what they show."""

import copy
import re

import nbformat
import pytest

from ...contract.test_repository import NOTEBOOKS, outputs
from ..project import schema

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)


@each
def test_it_was_run_from_top_to_bottom_without_an_error(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert kinds <= {"execute_result", "display_data"}


@each
def test_it_shows_no_path_and_nothing_personal(path, split):
    notebook = nbformat.read(path, as_version=4)
    text = "\n".join(outputs(notebook))
    assert not re.search(r"(^|[\s'\"])/(\w+/)+", text)
    personal = {str(value) for name in schema.PERSONAL for value in split.train[name]}
    assert not any(re.search(rf"\b{re.escape(value)}\b", text) for value in personal)


def test_there_is_one_and_another_output_would_be_seen():
    assert NOTEBOOKS
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    other = copy.deepcopy(notebook)
    output = next(cell for cell in other.cells if cell.get("outputs")).outputs[0]
    output.data["text/plain"] += " and more"
    assert outputs(other) != outputs(notebook)
