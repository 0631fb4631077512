"""The notebooks run, and show what they show."""

import copy
import re

import nbformat
import pytest

from ..conftest import ROOT
from ..project import schema

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)


def shown(notebook) -> list[str]:
    """The text that each output of a notebook shows; of a picture, that there is one."""
    texts = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            text = "a picture" if "image/png" in data else data.get("text/plain")
            texts.append(f"{output.output_type}: {text or output.get('text', '')}".strip())
    return texts


@each
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Jupyter's own
def test_running_it_again_shows_the_same(path, monkeypatch, tmp_path):
    from nbclient import NotebookClient

    monkeypatch.setenv("ML_ROOT", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    before = nbformat.read(path, as_version=4)
    again = copy.deepcopy(before)
    place = {"metadata": {"path": str(path.parent)}}
    NotebookClient(again, timeout=300, kernel_name="python3", resources=place).execute()
    assert shown(again) == shown(before)


@each
def test_it_was_run_from_top_to_bottom_without_an_error(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert kinds <= {"execute_result", "display_data"}


@each
def test_it_shows_no_path_and_nothing_personal(path, split):
    notebook = nbformat.read(path, as_version=4)
    text = "\n".join(shown(notebook))
    assert not re.search(r"(^|[\s'\"])/(\w+/)+", text)
    personal = {str(value) for name in schema.PERSONAL for value in split.train[name]}
    assert not any(re.search(rf"\b{re.escape(value)}\b", text) for value in personal)


def test_there_is_one_and_another_output_would_be_seen():
    assert NOTEBOOKS
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    other = copy.deepcopy(notebook)
    output = next(cell for cell in other.cells if cell.get("outputs")).outputs[0]
    output.data["text/plain"] += " and more"
    assert shown(other) != shown(notebook)
