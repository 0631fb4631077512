"""Projects of every framework with every pair of answers, built for real and used."""

import json
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import pytest

from groundwork.catalog.presets import preset, presets
from groundwork.locks.check import check
from groundwork.locks.resolve import targets
from tests.combinations import (
    COMBINATIONS,
    DEFAULTS,
    QUESTIONS,
    Answers,
    covering,
    name,
    pairs,
    parsed,
    rendered_names,
)
from tests.conftest import ROOT, Render, commit_all, git
from tests.projects import COMMAND, Project, install, replace
from tests.standard import run_options, run_standard

from .test_update import update

pytestmark = pytest.mark.slow

FRAMEWORKS = [DEFAULTS | {"framework": framework} for framework in QUESTIONS.choices("framework")]
PRESETS = [DEFAULTS | preset(path)[2] for path in presets(ROOT)]
GIVEN = [*FRAMEWORKS, *(answers for answers in PRESETS if answers not in FRAMEWORKS)]
COVERING = covering(GIVEN, COMBINATIONS)
# Built on every change: each framework as it comes, and one with many options.
CHOSEN = [*FRAMEWORKS, COVERING[len(GIVEN)]]
# Whose lint other tests of every change run: test_project.py and tests/data_shapes.
LINTED = [DEFAULTS | {"framework": framework} for framework in ("scikit-learn", "xgboost")]
ON_CUDA = next(answers for answers in COVERING if answers["accelerator"] == "cuda")
# Writes rows as a caller has them, without label and identifier: as a table and as a request.
INPUTS = """
import json
from my_ml_project import schema
from my_ml_project.ops.core import settings
from my_ml_project.ops.data import dataset
rows = dataset.read(settings.settings()).holdout.head(5)
rows = rows.drop(columns=[schema.IDENTIFIER, schema.TARGET])
rows.to_csv("var/in.csv", index=False)
print(json.dumps({"rows": json.loads(rows.to_json(orient="records"))}))
"""


def own(template: Path, answers: Answers) -> set[str]:
    """Return the Python files that these answers bring to a project of their framework."""
    usual = rendered_names(template, DEFAULTS | {"framework": answers["framework"]})
    return {
        file for file in {*rendered_names(template, answers)} - {*usual} if file.endswith(".py")
    }


def test_every_pair_of_answers_is_built() -> None:
    built = set().union(*map(pairs, COVERING))
    assert all(pairs(answers) <= built for answers in COMBINATIONS)
    assert len(COVERING) < 25, "each takes minutes"


def built(render: Render, answers: Answers) -> Project:
    # What is not asked cannot be answered: only what differs from the defaults is.
    given = {key: value for key, value in answers.items() if value != DEFAULTS[key]}
    return install(render(**parsed(given)), answers["python_version"])


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(
            answers, id=name(answers), marks=[] if answers in CHOSEN else [pytest.mark.rare]
        )
        for answers in COVERING
    ],
)
def test_the_standard_holds(
    template: Path,
    render: Render,
    answers: Answers,
    record_property: Callable[[str, object], None],
) -> None:
    project = built(render, answers)
    if answers in FRAMEWORKS:
        if answers not in LINTED:
            project.ok("scripts/test.sh", "--layer", "lint")
        summary = run_standard(project.root, answers["framework"])
        record_property("told", f"tests/ops with {answers['framework']}: {summary}")
    else:  # only what these answers change
        brought = own(template, answers)
        checked = (
            own(template, earlier)
            for earlier in COVERING[: COVERING.index(answers)]
            if earlier["framework"] == answers["framework"]
        )
        if brought.difference(*checked):
            project.ok("scripts/test.sh", "--layer", "lint")
        run_options(project.root, answers)
    rmtree(project.root)  # gigabytes, for some


@pytest.mark.rare  # the same by other tests of every change: test_project.py and tests/data_shapes
@pytest.mark.parametrize("answers", [pytest.param(one, id=name(one)) for one in COVERING])
def test_a_project_is_built_and_used(render: Render, answers: Answers) -> None:
    project = built(render, answers)
    root = project.root
    if answers in FRAMEWORKS:
        project.ok("scripts/test.sh", "--fast")  # it trains below
    if answers == ON_CUDA:
        project.ok(COMMAND, "prepare")
        done = project.run(COMMAND, "train", ML_DEVICE="cuda", CUDA_VISIBLE_DEVICES="")
        assert done.returncode == 1
        assert re.fullmatch(r"error: CUDA was asked for .+\n", done.stderr), done.stderr
    digest = project.train()
    project.ok(COMMAND, "promote")
    request = project.ok(".venv/bin/python", "-c", INPUTS)
    assert "predicted: 5 rows" in project.ok(COMMAND, "predict", "var/in.csv", "var/out.csv")
    with project.serving() as address:
        asked = urllib.request.Request(f"{address}/predict", request.encode())  # noqa: S310
        with urllib.request.urlopen(asked, timeout=60) as told:  # noqa: S310
            answer: dict[str, Any] = json.load(told)
    assert len(answer["predictions"]) == 5
    assert answer["model_digest"] == digest
    assert git(root, "status", "--porcelain") == ""
    rmtree(root)  # gigabytes, for some


@pytest.mark.rare
def test_a_cluster_is_switched_on_and_off_again(render: Render) -> None:
    """By `copier update` on a project that is in use; the lock stays, so no resolver is needed."""
    root = render()
    project = install(root, DEFAULTS["python_version"])
    digest = project.train()
    shipped = (root / "poetry.lock").read_bytes()
    for scale in ("ray", "none"):
        update(root, scale=scale)
        assert git(root, "ls-files", "--unmerged") == ""
        commit_all(root, f"Scale: {scale}")
        project.ok("scripts/setup.sh")
        project.ok("scripts/lock.sh", "--check")
        if scale == "ray":  # without it all is as it was before, see below
            project.ok("scripts/test.sh", "--fast")
        assert project.train() == digest
        assert git(root, "status", "--porcelain") == ""
        assert (root / "poetry.lock").read_bytes() == shipped
    assert git(root, "diff", "HEAD~2") == ""
    rmtree(root)


# Makes of scikit-learn's example one with another model.
ANOTHER = {
    "src/model.py": {
        "from sklearn.linear_model import": "from sklearn.ensemble import",
        "(max_iter=1000, random_state=": "(random_state=",
        "LogisticRegression": "RandomForestClassifier",
        '"C": [0.01, 0.03, 0.1, 0.3, 1.0, 3.0]': '"max_depth": [2, 3, 4]',
    },
    "params.yaml": {"  C: 0.1\n": "  max_depth: 3\n"},
}


@pytest.fixture
def extended(template: Path, tmp_path: Path) -> Path:
    """A template with one framework more, and what that took uncommitted."""
    root = copytree(template, tmp_path / "template", symlinks=True)
    home = copytree(root / "frameworks/scikit-learn", root / "frameworks/dummy")
    replace(root / "questions/stack.yml", {": pytorch\n": ": pytorch\n    dummy: dummy\n"})
    for file, changes in ANOTHER.items():
        replace(home / file, changes)
    return root


def test_a_framework_is_a_folder_a_choice_and_a_lock(extended: Path, render: Render) -> None:
    touched = git(extended, "status", "--porcelain").splitlines()
    assert touched == [" M questions/stack.yml", "?? frameworks/dummy/"]
    assert git(extended, "diff", "--numstat").split()[:2] == ["1", "0"]
    assert "dummy" in targets(extended, [])
    assert check(extended, "dummy") == []

    commit_all(extended, "One framework more")
    root = render(of=extended, framework="dummy")
    assert "framework: dummy\n" in (root / ".copier-answers.yml").read_text("utf-8")
    project = install(root, DEFAULTS["python_version"])
    project.ok(".venv/bin/ruff", "check", ".")
    tests = ("tests/yours/test_features.py", "tests/yours/test_rules.py")
    project.ok(".venv/bin/python", "-m", "pytest", *tests)
    project.ok(COMMAND, "prepare")
    assert "registered: version 1, challenger" in project.ok(COMMAND, "train")
