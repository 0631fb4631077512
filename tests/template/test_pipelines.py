"""The commands of a project's workflows, run in order on this machine, as its CI runs them."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.combinations import DEFAULTS
from tests.conftest import Render, git
from tests.projects import MINUTES, Project, install

# What an expression of GitHub's is here. An unknown one is an error.
VALUES = {
    "github.base_ref": "main",
    "github.event_name == 'pull_request'": "true",
    "github.token": "",
    "hashFiles('var/retrained.md') != ''": "",  # the rows are as recorded
    "secrets.MLFLOW_TRACKING_TOKEN": "",
    "vars.MLFLOW_TRACKING_URI": "",
    "vars.MLFLOW_TRACKING_URI != ''": "true",
    "vars.IMAGE || format('ghcr.io/{0}', github.repository)": "",
}
# Commands that need the platform, a registry or another machine, and what tests them instead.
NOT_RUN = {
    "apk add": "it is for another image",
    "apt-get": "it is for another image",
    "buildah login": "needs a registry",
    "scripts/build.sh --release": "tests/delivery/test_images.py builds and pushes",
    "sed -n": "reads what build.sh --release said",
    "touch osv-scanner.toml": "for the scanner",
    "/osv-scanner": "needs OSV's service",
    'echo "$CI_REGISTRY_PASSWORD" | cosign login': "needs a registry",
    "cosign sign": "needs Sigstore's service",
    "cosign attest": "needs Sigstore's service",
    "gh release": "needs GitHub",
}


class Command(NamedTuple):
    """A command, the variables that its step or job sets, and whether its conditions hold."""

    text: str
    variables: dict[str, str]
    wanted: bool = True


def value(text: str) -> str:
    """Return a text of a workflow with the values of its expressions."""
    return re.sub(r"\$\{\{ *(.+?) *\}\}", lambda found: VALUES[found[1]], text)


def holds(part: dict[str, str]) -> bool:
    """Tell whether the condition of a job or step is true here."""
    condition = part.get("if", "")
    return not condition or bool(VALUES[condition])


def of_github(workflow: Path) -> Iterator[Command]:
    for job in yaml.safe_load(workflow.read_text("utf-8"))["jobs"].values():
        for step in job["steps"]:
            if "run" in step:
                variables = {**job.get("env", {}), **step.get("env", {})}
                given = {name: value(str(text)) for name, text in variables.items()}
                yield Command(step["run"].strip(), given, holds(job) and holds(step))


def of_gitlab(pipeline: Path) -> Iterator[Command]:
    for job in yaml.safe_load(pipeline.read_text("utf-8")).values():
        if isinstance(job, dict) and "script" in job:
            for line in job["script"]:
                yield Command(line.strip(), {"ML_DEVICE": "cpu"})


def is_not_run(command: Command) -> bool:
    return command.text.startswith(tuple(NOT_RUN))


def run(project: Project, command: Command, scratch: Path) -> None:
    """Run a command as GitHub does: `bash -e`, with files for its output and its summary."""
    files = {name: str(scratch / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    variables = {name: text for name, text in command.variables.items() if text}
    done = subprocess.run(
        ["bash", "-e", "-c", command.text],
        cwd=project.root,
        env=project.environment | files | variables,
        check=False,
        capture_output=True,
        text=True,
        timeout=30 * MINUTES,
    )
    assert done.returncode == 0, f"{command.text}\n{done.stdout[-8000:]}\n{done.stderr[-4000:]}"


@pytest.mark.slow
def test_every_command_of_the_workflows_succeeds(render: Render, tmp_path: Path) -> None:
    """Each once: what several workflows call is the same in all of them."""
    root = render("p")
    project = install(root, DEFAULTS["python_version"])
    git(root, "update-ref", "refs/remotes/origin/main", "HEAD")
    names = ("ci", "release", "retrain", "update-check")
    commands = [
        command for name in names for command in of_github(root / f".github/workflows/{name}.yml")
    ]
    commands += of_gitlab(render("gitlab", ci="gitlab") / ".gitlab-ci.yml")
    ran = set()
    for command in commands:
        if command.wanted and not is_not_run(command) and command.text not in ran:
            run(project, command, tmp_path)
            ran.add(command.text)
    known = {"setup", "lock", "test", "build", "update"}
    assert {name for name in known if any(f"scripts/{name}.sh" in text for text in ran)} == known
    assert {".venv/bin/my-ml-project retrain", ".venv/bin/my-ml-project backtest"} <= ran
    listed = {name for name in NOT_RUN if any(c.text.startswith(name) for c in commands)}
    assert listed == {*NOT_RUN}, "no workflow has the others"
    assert git(root, "status", "--porcelain") == ""


def test_a_new_command_or_expression_is_run_or_listed(tmp_path: Path) -> None:
    workflow = tmp_path / "ci.yml"
    step = {"run": "scripts/gone.sh", "if": "github.ref == 'refs/heads/main'"}
    workflow.write_text(yaml.safe_dump({"jobs": {"test": {"steps": [step]}}}), "utf-8")
    with pytest.raises(KeyError, match=r"github\.ref"):
        list(of_github(workflow))
    del step["if"]
    workflow.write_text(yaml.safe_dump({"jobs": {"test": {"steps": [step]}}}), "utf-8")
    (command,) = of_github(workflow)
    assert not is_not_run(command)
    with pytest.raises(AssertionError, match=r"scripts/gone\.sh"):
        run(Project(tmp_path, dict(os.environ)), command, tmp_path)
