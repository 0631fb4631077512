"""Code is clean under the tools that its readers use: what is rendered, and the template's own."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest
import yaml

from tests.conftest import ROOT, Render, files, git

BIN = Path(sys.executable).parent


def run(tool: str, *arguments: object, cwd: Path) -> str:
    done = subprocess.run(
        [BIN / tool, *map(str, arguments)], cwd=cwd, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def scripts(folder: Path) -> list[Path]:
    return [path for path in files(folder) if path.suffix == ".sh"]


@pytest.fixture(scope="module")
def repository(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A render that is a git repository, as some tools want it."""
    folder = copytree(project, tmp_path_factory.mktemp("lint") / "p", symlinks=True)
    git(folder, "init", "--quiet")
    return folder


def test_rendered_python_passes_ruff(repository: Path) -> None:
    run("ruff", "check", "--no-cache", ".", cwd=repository)


def test_rendered_python_is_formatted(repository: Path) -> None:
    run("ruff", "format", "--no-cache", "--check", "--diff", ".", cwd=repository)


def test_rendered_scripts_pass_shellcheck(repository: Path) -> None:
    assert scripts(repository)
    run(
        "shellcheck",
        "--external-sources",
        "--source-path=SCRIPTDIR",
        *scripts(repository),
        cwd=repository,
    )


def test_rendered_yaml_passes_yamllint(repository: Path) -> None:
    run("yamllint", "--strict", ".", cwd=repository)


@pytest.mark.parametrize(
    "answers",
    [
        {"framework": "scikit-learn", "scale": "ray"},
        {"framework": "xgboost", "scale": "ray", "data": "dvc", "tracking": "wandb"},
        {"framework": "pytorch", "scale": "ray"},
        {"framework": "tensorflow"},
    ],
    ids=lambda answers: answers["framework"],
)
def test_the_layers_import_downwards(render: Render, answers: dict[str, str]) -> None:
    contract_holds(render(**answers))


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("ops/training/gate.py", "from ..serving import app", "imports only those below it"),
        ("ops/core/errors.py", "from ..data import dataset", "imports only those below it"),
        ("ops/serving/app.py", "from ... import schema as s", "by ops.core.project alone"),
        ("features.py", "from .ops.core import settings", "by its public surface alone"),
    ],
)
def test_an_import_that_breaks_the_contract_is_found(
    render: Render, file: str, line: str, broken: str
) -> None:
    project = render()
    with (project / "src/my_ml_project" / file).open("a", encoding="utf-8") as code:
        code.write(f"\n{line}\n")
    with pytest.raises(AssertionError, match=f"{broken}( |\n)BROKEN"):
        contract_holds(project)


def contract_holds(project: Path) -> None:
    done = subprocess.run(
        [BIN / "lint-imports", "--no-cache", Path(__file__).with_name("imports.ini")],
        cwd=project,
        env=os.environ | {"PYTHONPATH": "src", "COLUMNS": "200"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def workflows(folder: Path) -> list[Path]:
    found = sorted((folder / ".github/workflows").glob("*.yml"))
    assert found
    return found


def test_rendered_workflows_pass_actionlint(repository: Path) -> None:
    run("actionlint", *workflows(repository), cwd=repository)


def test_rendered_workflows_pass_zizmor(repository: Path) -> None:
    run("zizmor", "--offline", "--no-progress", ".github", cwd=repository)


def test_rendered_workflows_follow_the_schema(repository: Path) -> None:
    run(
        "check-jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        *workflows(repository),
        cwd=repository,
    )


def test_own_python_passes_ruff() -> None:
    run("ruff", "check", "--no-cache", ".", cwd=ROOT)


def test_own_python_is_formatted() -> None:
    run("ruff", "format", "--no-cache", "--check", "--diff", ".", cwd=ROOT)


def test_own_package_passes_mypy(tmp_path: Path) -> None:
    run("mypy", "--cache-dir", tmp_path, cwd=ROOT)


def test_own_scripts_pass_shellcheck() -> None:
    run(
        "shellcheck",
        "--external-sources",
        "--source-path=SCRIPTDIR",
        *(ROOT / "scripts").glob("*.sh"),
        ROOT / ".ci/run",
        cwd=ROOT,
    )


def test_own_files_have_no_secret() -> None:
    """By what projects have, which checks their files in test_matrix.py."""
    config = yaml.safe_load((ROOT / "template/.pre-commit-config.yaml").read_text("utf-8"))
    (hook,) = (one for one in config["repos"][0]["hooks"] if one["id"] == "secrets")
    names = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    # Locks and their exports; what a scanner finds of a lock of DVC's are the digests of rows.
    known = r"(.*/)?(poetry\.lock|dvc\.lock(\.jinja)?|requirements/.*|scripts/tools\.txt)"
    scanned = [name for name in names if not re.fullmatch(known, name) and (ROOT / name).is_file()]
    run(*scan(hook), *scanned, cwd=ROOT)


def scan(hook: dict[str, str]) -> list[str]:
    """Return the command of a project's hook, as the template's own environment has the program."""
    program, *options = shlex.split(hook["entry"])
    return [Path(program).name, *options]


def test_own_yaml_passes_yamllint() -> None:
    names = git(
        ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "*.yml", "*.yaml"
    ).splitlines()
    run(
        "yamllint",
        "--strict",
        *(name for name in names if not name.startswith("template/")),
        cwd=ROOT,
    )
