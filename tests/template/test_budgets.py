"""How big a project may be: a budget asks of each addition whether a library does that already."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from groundwork.template import frameworks
from tests.conftest import ROOT, Render, files

# What a default render may have, and where it is above that, what it may have until it is not.
# A bound is lowered as soon as the figure is.
PROJECT = {  # name: (budget, bound)
    "files": (95, 161),
    "lines of ops/ without optional drivers": (3500, 8367),
    "lines of tests/": (1200, 1200),
    "lines of scripts/": (700, 1040),
}
# Lines of the owner's files, for every framework.
OWNER = {"model.py": 150, "schema.py": 100, "test_behaviour.py": 80}


def lines(paths: Iterable[Path]) -> int:
    return sum(path.read_bytes().count(b"\n") for path in paths)


def test_a_default_project_is_within_its_budgets(
    render: Render,
    project: Path,
    record_property: Any,  # noqa: ANN401
) -> None:
    without_drivers = render(deploy=[])
    found = {
        "files": len(files(project)),
        "lines of ops/ without optional drivers": lines(
            (without_drivers / "src/my_ml_project/ops").rglob("*.py")
        ),
        "lines of tests/": lines((project / "tests").rglob("*.py")),
        "lines of scripts/": lines((project / "scripts").glob("*.sh")),
    }
    for name, (budget, _) in PROJECT.items():
        record_property("told", f"{name}: {found[name]}, budget {budget}")
    above = [
        f"{name}: {found[name]}"
        for name, (budget, bound) in PROJECT.items()
        if found[name] > max(budget, bound)
    ]
    assert not above


@pytest.mark.parametrize("framework", frameworks(ROOT))
def test_the_owners_files_are_within_their_budgets(
    render: Render,
    framework: str,
    record_property: Any,  # noqa: ANN401
) -> None:
    project = render(framework=framework)
    places = {
        "model.py": "src/my_ml_project/model.py",
        "schema.py": "src/my_ml_project/schema.py",
        "test_behaviour.py": "tests/yours/test_behaviour.py",
    }
    found = {name: lines([project / place]) for name, place in places.items()}
    figures = ", ".join(f"{name} {found[name]} of {OWNER[name]}" for name in OWNER)
    record_property("told", f"{framework}: {figures}")
    assert not [name for name, budget in OWNER.items() if found[name] > budget]
