"""What holds for the frameworks' folders, beside what their projects' own tests say."""

import ast
import json
import subprocess
from pathlib import Path

import pytest
import yaml

from groundwork import template as checkout
from tests.conftest import ROOT, Render

FRAMEWORKS = ROOT / "frameworks"
# The two networks learn from the same pictures: their projects differ in the network alone.
PICTURES = ("pytorch", "tensorflow")
OWNED = ("data", "features", "model", "schema")


def example(framework: str) -> dict[str, str]:
    """Return which example a framework shows, and which column of it is the label."""
    shown: dict[str, str] = yaml.safe_load((FRAMEWORKS / framework / "example.yml").read_text())
    return shown


@pytest.mark.parametrize("framework", checkout.frameworks(ROOT))
def test_a_project_shows_its_framework_s_example(render: Render, framework: str) -> None:
    schema = (render(framework=framework) / "src/my_ml_project/schema.py").read_text("utf-8")
    assert f'\nTARGET = "{example(framework)["label"]}"\n' in schema


@pytest.mark.parametrize("framework", checkout.frameworks(ROOT))
def test_the_owner_s_files_use_the_public_names_of_ops_alone(
    render: Render, framework: str
) -> None:
    """What they import would otherwise break when the standard moves a module."""
    package = render(framework=framework) / "src/my_ml_project"
    book = json.loads((package.parents[1] / "notebooks/explore.ipynb").read_text("utf-8"))
    cells = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]
    sources = [(package / f"{name}.py").read_text("utf-8") for name in OWNED]
    found = [
        (node.module or "", [one.name for one in node.names])
        for source in [*sources, *cells]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and "ops" in (node.module or "").split(".")
    ]
    public = public_names(package / "ops/__init__.py")
    assert found
    for module, names in found:
        assert module in {"ops", "my_ml_project.ops"}
        assert set(names) <= public


def public_names(path: Path) -> set[str]:
    """Return what a module's `__all__` lists."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    raise AssertionError(f"{path} has no __all__")


def test_every_kind_of_label_is_shown_by_some_framework() -> None:
    """The standard's tests run against a render of each framework, and so see all kinds."""
    assert {tuple(example(name).values()) for name in checkout.frameworks(ROOT)} == {
        ("diabetes", "high_progression"),  # one of two classes
        ("diabetes", "progression"),  # a number
        ("digits", "digit"),  # one of ten classes
    }


def test_the_simpler_model_and_the_metrics_are_the_same_in_both() -> None:
    """Their models would not compare otherwise."""
    one, other = (
        (FRAMEWORKS / framework / "src" / "model.py").read_text(encoding="utf-8")
        for framework in PICTURES
    )
    for begin, end in (("def baseline(", "def predict("), ("def decide(", "")):
        part = one[one.index(begin) : one.index(end) if end else None]
        assert part in other


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "name a framework; see record.sh --help"),
        (["--into", "somewhere"], 2, "--into takes DEST and one framework; see record.sh --help"),
        (["nosuch"], 1, "there is no frameworks/nosuch"),
    ],
)
def test_a_wrong_call_of_record_is_one_line(arguments: list[str], status: int, said: str) -> None:
    script = ROOT / "scripts/record.sh"
    done = subprocess.run([script, *arguments], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", f"error: {said}\n")
