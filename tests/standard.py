"""The standard's own tests, run inside a project of each framework, by its own environment.

tests/ops/ is laid over a render as its tests/ops/. With scikit-learn all of it runs; with the other
frameworks what depends on the framework.
"""

import os
import re
import subprocess
from pathlib import Path
from shutil import copytree, ignore_patterns, rmtree, which
from xml.etree import ElementTree as ET

from .conftest import ROOT

# Which of tests/ops each framework runs beside its own: what depends on the framework or on the
# kind of label. Rows, monitoring and the schema do not; tests/data_shapes has them with other
# labels.
# With PyTorch and TensorFlow a process takes ten seconds to start, and a training starts several:
# their own tests have what a training must keep.
# TensorFlow serves the labels that PyTorch does: the contract's way from data to answers will do.
RUNS = {
    "scikit-learn": ["."],
    "xgboost": [
        "provenance/test_digest.py",
        "serving/test_serving.py",
        "training/test_training.py",
    ],
    "pytorch": [
        "provenance/test_digest.py",
        "serving/test_serving.py",
        "training/test_plots.py",
        "../contract",
        "../yours",
    ],
    "tensorflow": ["provenance/test_digest.py", "../contract", "../yours"],
}
# The tests of each answer that brings code or pipelines of its own.
OPTIONS = {
    ("ci", "gitlab"): "options/test_gitlab.py",
    ("data", "dvc"): "options/test_dvc.py",
    ("deploy", "kubernetes"): "options/test_kubernetes.py",
    ("scale", "ray"): "options/test_ray.py",
    ("tracking", "wandb"): "options/test_wandb.py",
}


# Tests of files that most answers have a part in.
EVERYWHERE = (
    "provenance/test_lock.py",
    "repository/test_docs.py",
    "repository/test_pages.py",
)


def of_options(answers: dict[str, str]) -> list[str]:
    """Return the tests of the options that these answers choose."""
    found = [
        path
        for (name, value), path in OPTIONS.items()
        if value in re.findall(r"[\w-]+", answers[name])
    ]
    if not which("kubectl") and os.environ.get("CI") != "true":  # there, nothing is left out
        found = [path for path in found if path != OPTIONS["deploy", "kubernetes"]]
    if answers["scale"] == "ray" and answers["framework"] != "scikit-learn":
        found.append("options/test_ray_training.py")
    return found


def overlay(project: Path) -> Path:
    """Lay tests/ops over a project; return the folder."""
    hidden = ignore_patterns("__pycache__")
    return copytree(ROOT / "tests/ops", project / "tests/ops", ignore=hidden)


def run_inside(project: Path, paths: list[Path], *options: str) -> str:
    """Run tests of tests/ops by the project's own pytest; return its summary line.

    Fails with the name and the message of each test that failed.
    """
    report = project / "var/ops.xml"
    command = [".venv/bin/python", "-m", "pytest", "-q", "--junitxml", report, *options, *paths]
    done = subprocess.run(
        list(map(str, command)), cwd=project, check=False, capture_output=True, text=True
    )
    assert report.exists(), done.stdout[-4000:] + done.stderr[-4000:]
    suite = ET.parse(report).getroot()  # noqa: S314 - written by pytest just now
    wrong = [
        f"{case.get('classname')}::{case.get('name')}\n{part.text or part.get('message')}"
        for case in suite.iter("testcase")
        for part in case
        if part.tag in {"failure", "error"}
    ]
    assert not wrong, "\n\n".join(wrong)[-30000:]
    skipped = [
        case.get("name") for case in suite.iter("testcase") if case.find("skipped") is not None
    ]
    assert not skipped, skipped
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout.strip().splitlines()[-1]


def run_standard(project: Path, framework: str) -> str:
    """Run the standard's tests in a project of a framework; return their summary line."""
    tests = overlay(project)
    others = [name.replace("-", "_") for name in RUNS if name != framework]
    mine = [(tests / path).resolve() for path in RUNS[framework]]
    if framework != "scikit-learn":
        mine.append(tests / f"frameworks/test_{framework.replace('-', '_')}.py")
    left_out = [f"--ignore=tests/ops/frameworks/test_{name}.py" for name in others]
    # A second process of a network's library costs more than it saves beside other tests.
    processes = "2" if framework in {"scikit-learn", "xgboost"} else "0"
    shared = ("-n", processes, "--dist", "loadgroup")
    summary = run_inside(project, mine, *shared, "--ignore=tests/ops/options", *left_out)
    rmtree(tests)
    return summary.strip("= ")


def run_options(project: Path, answers: dict[str, str]) -> None:
    """Run the standard's tests of what these answers choose, and of what all have a part in."""
    tests = overlay(project)
    run_inside(project, [tests / path for path in (*EVERYWHERE, *of_options(answers))], "-n", "2")
    rmtree(tests)
