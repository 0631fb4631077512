"""Whole projects on other data than the examples', made by docs/how-to/your-own-data.md alone.

data_shapes/<shape>/ has what its owner writes, data_shapes/<framework>/ the model. Each project
takes every step from `prepare` to `monitor`. Most run only with `scripts/test.sh --all`.
"""

import csv
import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfile

import pytest
import yaml

from tests.conftest import Render, commit_all, git
from tests.projects import ALONE, free_port, tools

pytestmark = [pytest.mark.slow]

HERE = Path(__file__).parent
MODEL = {
    "scikit-learn": {"C": 1.0},
    "xgboost": {"rounds": 60, "max_depth": 3, "validation": 0.0},
}
# What is answered, by the name of the case.
ANSWERS = {
    "scikit-learn": {},
    "xgboost": {},
    "xgboost-dvc-wandb": {"data": "dvc", "tracking": "wandb"},
}
# What the service says of each class, where there are more than two.
CLASSES = {"penguins": ["Adelie", "Chinstrap", "Gentoo", "King", "Emperor"]}
# A number is predicted, so scikit-learn's model has another parameter.
NUMBERS = {"deliveries", "tall"}
SHAPES = ["penguins", "deliveries", "wide", "tall", "words", "fraud"]
# These run always: between them they have text, missing values, names, dates and categories.
ALWAYS = {("penguins", "scikit-learn"), ("deliveries", "xgboost-dvc-wandb")}


@dataclass
class Project:
    """A project, and what its commands took."""

    root: Path
    port: str
    seconds: dict[str, float] = field(default_factory=dict)
    peak: int = 0  # MiB

    def run(self, *command: str) -> str:
        """Run a command in the project, which must succeed; return what it printed."""
        environment = {**os.environ, "ML_PORT": self.port, "ML_CANARY_SECONDS": "0"}
        environment |= ALONE
        started = time.monotonic()
        with subprocess.Popen(
            command,
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout
            said = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        name = next(one for one in command if not one.startswith((".venv", "-", "scripts/deploy")))
        self.seconds[Path(name).name] = time.monotonic() - started
        self.peak = max(self.peak, usage.ru_maxrss // 1024)
        assert process.returncode == 0, f"{' '.join(command)}\n{said[-6000:]}"
        return said

    def cli(self, *arguments: str) -> str:
        return self.run(".venv/bin/my-ml-project", *arguments)


def own(root: Path, shape: str, framework: str) -> str:
    """Do what the page asks of an owner; return how much that changed."""
    source, package, yours = HERE / shape, root / "src/my_ml_project", root / "tests/yours"
    for name in ("data.py", "schema.py", "features.py"):
        copyfile(source / name, package / name)
    copyfile(HERE / framework.replace("-", "_") / "model.py", package / "model.py")
    copyfile(source / "features_test.py", yours / "test_features.py")
    copyfile(HERE / "shared/behaviour.py", yours / "test_behaviour.py")
    for name in ("tests/yours/test_rules.py", "notebooks/explore.ipynb"):
        (root / name).unlink()
    params = yaml.safe_load((root / "params.yaml").read_text("utf-8"))
    is_number = framework == "scikit-learn" and shape in NUMBERS
    params["model"] = {"alpha": 1.0} if is_number else MODEL[framework]
    params["gate"] |= {"metric": "quality", "minimum": 0.5, "baseline_margin": 0.01}
    params["gate"] |= {"slices": {"minimum": 0.0, "rows": 20}}
    params["gate"] |= {"fairness": {"metric": "quality", "max_gap": 1.0}}
    params["gate"]["importance_margin"] = -0.05
    params["budgets"]["feature_ms"] = 500  # whatever else runs on this machine
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), "utf-8")
    git(root, "add", "--all")
    return git(root, "diff", "--cached", "--shortstat").strip()


@pytest.fixture
def begin(render: Render) -> Callable[[str, str], tuple[Project, str]]:
    """Render a project, set it up and put its owner's files into it."""

    def make(shape: str, case: str) -> tuple[Project, str]:
        framework = case.removesuffix("-dvc-wandb")
        root = render(framework=framework, **ANSWERS[case])
        git(root, "init", "--quiet", "--initial-branch", "main")
        commit_all(root, "Start")
        project = Project(root, free_port())
        project.run("scripts/setup.sh", "--quiet")
        return project, own(root, shape, framework)

    return make


def some_inputs(root: Path) -> tuple[Path, list[str]]:
    """Write rows of the holdout, of rare classes too, as a caller has them.

    Returns the file and the identifiers.
    """
    target, key = (
        next(
            line.split('"')[1]
            for line in (root / "src/my_ml_project/schema.py").read_text("utf-8").splitlines()
            if line.startswith(f"{name} = ")
        )
        for name in ("TARGET", "IDENTIFIER")
    )
    with (root / "data/holdout.csv").open(encoding="utf-8", newline="") as table:
        rows = [row for row, _ in zip(csv.DictReader(table), range(400), strict=False)]
    path = root / "var/ask.csv"
    with path.open("w", encoding="utf-8", newline="") as table:
        writer = csv.DictWriter(table, [name for name in rows[0] if name != target])
        writer.writeheader()
        writer.writerows({name: row[name] for name in row if name != target} for row in rows)
    return path, [row[key] for row in rows]


@pytest.fixture(scope="session")
def schemathesis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install it apart, once for each worker: its packages differ from a project's."""
    return tools(tmp_path_factory.mktemp("tools") / "own", "schemathesis==4.32.5") / "schemathesis"


@pytest.mark.parametrize(
    ("shape", "case"),
    [
        pytest.param(shape, case, marks=[] if (shape, case) in ALWAYS else pytest.mark.rare)
        for shape in SHAPES
        for case in ANSWERS
    ],
)
def test_a_project_on_its_own_data_goes_all_the_way(
    begin: Callable[[str, str], tuple[Project, str]],
    schemathesis: Path,
    shape: str,
    case: str,
    record_property: Callable[[str, object], None],
) -> None:
    project, touched = begin(shape, case)
    root, cli = project.root, project.cli
    cli("prepare", "--accept")
    cli("prepare")
    cli("tune")
    cli("bench", "--record")
    commit_all(root, "Our own data")
    with_dvc = ANSWERS[case].get("data") == "dvc"
    trained = project.run(".venv/bin/dvc", "repro") if with_dvc else cli("train")
    assert "registered: version 1" in trained
    assert any((root / "var").glob("wandb/**/*.wandb")) is ("wandb" in case)
    cli("evaluate", "challenger", "--record")
    project.run("scripts/test.sh")
    commit_all(root, "Record the quality that must not fall")
    assert "reproduced: exact" in cli("reproduce")
    cli("promote")

    asked, identifiers = some_inputs(root)
    cli("predict", str(asked), "var/out.csv")
    with (root / "var/out.csv").open(encoding="utf-8", newline="") as table:
        answers = list(csv.DictReader(table))
    assert [next(iter(row.values())) for row in answers] == identifiers

    project.run("scripts/deploy.sh", "local")
    try:
        url = f"http://127.0.0.1:{project.port}"
        said = project.run(
            ".venv/bin/python", str(HERE / "shared/ask.py"), url, str(asked), "var/labels.csv"
        )
    finally:
        project.run("scripts/deploy.sh", "local", "stop")
    served = json.loads(said)
    assert served["nonfinite"] == 0
    assert served["classes"] == CLASSES.get(shape)
    assert [str(label) for label in served["labels"]] == [row["label"] for row in answers]
    columns = [f"score_{name}" for name in served["classes"] or []]
    scores = [[float(row[name]) for name in columns] or float(row["score"]) for row in answers]
    assert served["scores"] == scores

    assert "run " in cli("explain", str(asked))
    assert "run " in cli("explain", "--prediction", served["first"])
    assert "report: " in cli("drift", str(asked))
    assert "report: " in cli("drift", "--logged")
    matched = f"{len(answers)} of {len(answers)} are of logged predictions"
    assert matched in cli("monitor", "--labels", "var/labels.csv")
    # Last, as what it asks is logged. Whatever fits the description, or does not, gets an answer
    # that the description has; not all that fits is accepted, as it has no rule over columns.
    project.run("scripts/deploy.sh", "local")
    try:
        fuzz = ["run", f"{url}/openapi.json", "--exclude-checks", "positive_data_acceptance"]
        told = project.run(str(schemathesis), *fuzz, "--max-examples", "100", "--no-color")
    finally:
        project.run("scripts/deploy.sh", "local", "stop")
    assert re.search(r"(\d{2,}) generated, \1 passed", told), told
    record_property(
        "told",
        f"{shape} with {case}:{touched.partition('changed,')[2]}; "
        + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in project.seconds.items())
        + f"; at most {project.peak} MiB",
    )
