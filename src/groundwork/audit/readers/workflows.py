"""What CI runs: the steps of GitHub's workflows and GitLab's jobs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .documents import Mapping, line, listed, mapping

# Where other services have theirs; their text is searched, not parsed.
OTHERS = re.compile(
    r"(^|/)(\.circleci/config\.ya?ml|\.travis\.yml|azure-pipelines[^/]*\.ya?ml|Jenkinsfile|"
    r"bitbucket-pipelines\.yml|\.buildkite/[^/]*\.ya?ml|\.woodpecker[^/]*|\.drone\.yml|"
    r"\.ci/[^/]+|appveyor\.yml|cloudbuild\.ya?ml|buildspec\.ya?ml)\Z"
)


@dataclass(frozen=True)
class Step:
    """A command, or an action that is used."""

    path: str
    line: int
    run: str = ""
    uses: str = ""
    options: Mapping | None = None


@dataclass
class Workflow:
    """A file of CI."""

    path: str
    kind: str
    steps: list[Step]
    document: Mapping | None = None


def github(path: str, document: Mapping) -> Workflow:
    """Read a workflow of GitHub Actions."""
    steps: list[Step] = []
    for said in mapping(document.get("jobs")).values():
        job = mapping(said)
        if uses := job.get("uses"):
            steps.append(Step(path, line(uses), uses=str(uses)))
        for one in listed(job.get("steps")):
            step = mapping(one)
            run, uses = step.get("run"), step.get("uses")
            number = line(run or uses, line(step))
            steps.append(
                Step(path, number, str(run or ""), str(uses or ""), mapping(step.get("with")))
            )
    return Workflow(path, "GitHub", steps, document)


# Keys of .gitlab-ci.yml that are no jobs.
NO_JOB = {"include", "stages", "variables", "workflow", "image", "services", "cache", "pages:x"}


def gitlab(path: str, document: Mapping) -> Workflow:
    """Read GitLab's file."""
    steps = [
        Step(path, line(command, number), run=str(command))
        for name, said in document.items()
        if name not in NO_JOB
        for number, command in _commands(said)
    ]
    return Workflow(path, "GitLab", steps, document)


def _commands(said: object) -> Iterator[tuple[int, object]]:
    job = mapping(said)
    for key in ("before_script", "script", "after_script"):
        value = job.get(key)
        for one in [value] if isinstance(value, str) else listed(value):
            for command in one if isinstance(one, list) else [one]:
                yield line(job), command
