"""Measure how long images take to build, and how large they are.

Usage: images.py [FRAMEWORK…] [-- OPTION-OF-BUILD…]

The service's image of the first framework (default: scikit-learn) is built with no layer cached,
unchanged, after a change of the code and after one of the requirements. Then every image of all
frameworks named is built and weighed. The options are those of scripts/build.sh; BASE_IMAGE may
name a base, with the Python that PYTHON_VERSION names.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import FIRST, committed, copy, run, seconds, snapshot

STAGES = ("serving", "training", "tracking")


def building(project: Path, stage: str, *engine_options: str) -> Callable[[], None]:
    """Return what builds an image of a project."""
    given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    last = [] if "--" in given else ["--"]
    command = ("scripts/build.sh", "--image", stage, *given, *last, *engine_options)
    return lambda: run(*command, cwd=project)


def changed(project: Path, name: str) -> None:
    """Add a line to a file of the project, and commit it."""
    with (project / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    committed(project)


def bench_changes(project: Path) -> None:
    """Time builds of the service's image, beside one from nothing."""
    building(project, "serving")()  # what is downloaded is kept
    cold = seconds(building(project, "serving", "--no-cache"))
    print(f"image serving, no layer cached: {cold:.1f} s")
    for what, name in (
        ("unchanged", ""),
        ("the code changed", "src/my_ml_project/model.py"),
        ("the requirements changed", "requirements/main.txt"),
    ):
        if name:
            changed(project, name)
        took = seconds(building(project, "serving"))
        print(f"image serving, {what}: {took:.1f} s, {took / cold:.2f} times that")


def weigh(project: Path, framework: str) -> None:
    """Print the size of every image of a project."""
    for stage in STAGES:
        building(project, stage)()
        name = subprocess.run(
            ["docker", "images", "--format", "{{.Size}}", f"my-ml-project-{stage}"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()[0]
        print(f"image {stage}, {framework}: {name}")


def main() -> None:
    """Run the measurements."""
    own = sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    frameworks = own or [FIRST]
    python = os.environ.get("PYTHON_VERSION", f"{sys.version_info.major}.{sys.version_info.minor}")
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as name:
        template = snapshot(Path(name) / "template")
        for framework in frameworks:
            project = Path(name) / framework
            copy(template, project, framework=framework, python_version=python)
            committed(project)
            run("scripts/setup.sh", cwd=project)
            if framework == frameworks[0]:
                bench_changes(project)
            weigh(project, framework)


if __name__ == "__main__":
    main()
