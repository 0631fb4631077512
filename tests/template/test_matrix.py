"""Combinations of answers, rendered: their own files and no other, clean, locked.

Always every pair of answers, and each answer beside its default; with --all every combination.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
import yaml
from cleo.io.inputs.argv_input import ArgvInput
from cleo.io.outputs.buffered_output import BufferedOutput
from jinja2 import Environment
from plumbum import local
from poetry.console.application import Application

from tests import combinations
from tests.combinations import (
    ALONE,
    COMBINATIONS,
    DEFAULTS,
    OPTIONS,
    PRODUCT,
    QUESTIONS,
    Answers,
    parsed,
    rendered_names,
)
from tests.conftest import ROOT, copy_template, files, git
from tests.delivery.test_compose_file import RULES

from .test_lint import run, scan
from .test_render import parse, show_no_trace

pytestmark = pytest.mark.xdist_group("matrix")

ANSWERS = ".copier-answers.yml"
EVERY = [*COMBINATIONS, *ALONE]
# What has no CUDA and what has it, with at most one answer more that is not the default.
NEAR = [
    answers
    for answers in COMBINATIONS
    for framework in ("scikit-learn", "xgboost")
    if answers["framework"] == framework
    and len(answers.items() - (DEFAULTS | {"framework": framework}).items()) <= 1
]
PAIRS = combinations.covering([*NEAR, *ALONE], COMBINATIONS)


@dataclass(frozen=True)
class Rendered:
    """One combination: the hash of each file by name, and what was stored; or why it failed."""

    answers: Answers
    digests: dict[str, str] = field(default_factory=dict)
    stored: dict[str, str | list[str]] = field(default_factory=dict)
    error: str = ""

    @property
    def content(self) -> dict[str, str]:
        return {name: digest for name, digest in self.digests.items() if name != ANSWERS}


@dataclass(frozen=True)
class Matrix:
    """All of them; the folders, and in each the files that no folder before it has like that."""

    rendered: list[Rendered]
    errors: set[str]
    new: dict[Path, list[str]]
    seconds: float

    def files(self, *endings: str) -> Iterator[tuple[Path, list[str]]]:
        """Yield folders with those of their new files that end so: every content once."""
        found = False
        for folder, names in self.new.items():
            if chosen := [name for name in names if name.endswith(endings)]:
                found = True
                yield folder, chosen
        assert found, f"nothing ends in {endings}"


def quicken() -> None:
    """Have a process render in a third of the time, and give the same files.

    Copier asks git about each file that it writes, which has no answer outside of a repository; and
    it compiles each text again for each render, though the same text always gives the same code.
    """
    local.env["PATH"] = ""
    compile_text, known = Environment.compile, {}

    def compile_once(self: Environment, *text: Any, **options: Any) -> Any:  # noqa: ANN401
        key = (text, tuple(options.items()))
        if key not in known:
            known[key] = compile_text(self, *text, **options)
        return known[key]

    Environment.compile = compile_once  # type: ignore[method-assign]


def render(source: Path, folder: Path, answers: Answers) -> Rendered:
    try:
        copy_template(source, folder, **answers)
    except Exception as error:  # noqa: BLE001 -- told by a test, for all combinations at once
        return Rendered(answers, error=f"{type(error).__name__}: {error}")
    digests = {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in files(folder)
    }
    return Rendered(answers, digests, yaml.safe_load((folder / ANSWERS).read_text("utf-8")))


@pytest.fixture(scope="module", params=["pairs", pytest.param("every", marks=[pytest.mark.rare])])
def chosen(request: pytest.FixtureRequest) -> list[Answers]:
    """The combinations to render."""
    return PAIRS if request.param == "pairs" else EVERY


@pytest.fixture(scope="module")
def matrix(
    source: Path, chosen: list[Answers], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Matrix]:
    base = tmp_path_factory.mktemp("matrix")
    begun = time.monotonic()
    folders = [base / str(number) for number in range(len(chosen))]
    rendered, errors, new, seen = [], set(), {}, set()
    with ProcessPoolExecutor(
        len(os.sched_getaffinity(0)), mp_context=get_context("spawn"), initializer=quicken
    ) as pool:
        done = pool.map(render, repeat(source), folders, chosen)
        for folder, one in zip(folders, done, strict=True):
            if one.error:
                errors.add(one.error)
                continue
            rendered.append(one)
            names = [name for name, digest in one.content.items() if (name, digest) not in seen]
            seen |= set(one.content.items())
            if names:
                new[folder] = names
            else:
                rmtree(folder)
    yield Matrix(rendered, errors, new, time.monotonic() - begun)
    rmtree(base)


def test_only_what_cannot_work_is_refused() -> None:
    refused = [answers for answers in PRODUCT if answers not in COMBINATIONS]
    assert refused
    for answers in refused:
        assert (answers["framework"], answers["accelerator"]) == ("scikit-learn", "cuda") or (
            answers["framework"],
            answers["scale"],
        ) == ("tensorflow", "ray")


def test_every_combination_renders(
    matrix: Matrix,
    chosen: list[Answers],
    record_property: Any,  # noqa: ANN401
) -> None:
    assert matrix.errors == set()
    assert len(matrix.rendered) == len(chosen)
    different = sum(map(len, matrix.new.values()))
    told = f"{len(chosen)} combinations of answers, {different} different files"
    record_property("told", f"{told}, rendered in {matrix.seconds:.0f} s")


def test_short_cuts_change_nothing(matrix: Matrix, project: Path) -> None:
    (same,) = (one for one in matrix.rendered if one.answers == DEFAULTS)
    names = {str(path.relative_to(project)) for path in files(project)}
    assert names == same.digests.keys()
    for name in names - {ANSWERS}:
        assert sha256((project / name).read_bytes()).hexdigest() == same.digests[name], name


def test_each_has_the_files_of_its_answers_and_no_other(matrix: Matrix, source: Path) -> None:
    for one in matrix.rendered:
        wanted = rendered_names(source, one.answers)
        assert len(set(wanted)) == len(wanted), "two files of the template are rendered to one"
        assert one.digests.keys() == set(wanted), combinations.name(one.answers)


@pytest.mark.parametrize("option", OPTIONS)
def test_no_choice_does_nothing(matrix: Matrix, option: str) -> None:
    """Whatever else is answered, another answer to a question gives another project."""
    by_answers = {tuple(one.answers.values()): one for one in matrix.rendered}
    compared = 0
    for one in matrix.rendered:
        default = by_answers.get(tuple((one.answers | {option: DEFAULTS[option]}).values()))
        if default and default != one:
            compared += 1
            assert one.content != default.content, combinations.name(one.answers)
    assert compared


def test_what_is_stored_is_what_was_answered(matrix: Matrix) -> None:
    defaults = {
        name: QUESTIONS.rendered(question["default"], {"project_name": "My ML Project"})
        for name, question in QUESTIONS.by_name.items()
        if question.get("when") is not False
    }
    for one in matrix.rendered:
        answered = defaults | one.answers
        asked = {name: answered[name] for name in defaults if QUESTIONS.asked(name, answered)}
        wanted = parsed(asked)
        stored = {name: value for name, value in one.stored.items() if not name.startswith("_")}
        assert stored == wanted


def test_the_lock_and_its_exports_are_the_frameworks(matrix: Matrix) -> None:
    for one in matrix.rendered:
        home = ROOT / "frameworks" / one.answers["framework"]
        shipped = {
            str(path.relative_to(home)): sha256(path.read_bytes()).hexdigest()
            for path in (home / "poetry.lock", *(home / "requirements").iterdir())
        }
        exported = {name for name in one.digests if name.startswith("requirements/")}
        assert {"poetry.lock", *exported} == shipped.keys()
        assert shipped.items() <= one.digests.items()


def test_poetry_accepts_every_lock(matrix: Matrix) -> None:
    for folder, _ in matrix.files("pyproject.toml", "poetry.lock"):
        application, told = Application(), BufferedOutput()
        application.auto_exits(False)  # noqa: FBT003
        command = ["poetry", "--no-ansi", "-C", str(folder), "check", "--lock", "--strict"]
        assert application.run(ArgvInput(command), told, told) == 0, told.fetch()


def test_every_export_agrees_with_its_lock(matrix: Matrix) -> None:
    script = (
        "import pathlib; from my_ml_project.ops.provenance import lock\n"
        "raise SystemExit('; '.join(lock.problems(pathlib.Path())) or 0)"
    )
    for folder, _ in matrix.files("poetry.lock", "requirements/main.txt"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder / "src")},
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


def test_every_file_parses_and_shows_no_trace_of_the_template(matrix: Matrix) -> None:
    for folder, names in matrix.new.items():
        parse([folder / name for name in names])
        show_no_trace([folder / name for name in names])


def test_all_python_passes_ruff(matrix: Matrix) -> None:
    for folder, names in matrix.files(".py", ".ipynb", "pyproject.toml"):
        run("ruff", "check", "--no-cache", *names, cwd=folder)


def test_all_python_is_formatted(matrix: Matrix) -> None:
    for folder, names in matrix.files(".py", ".ipynb"):
        run("ruff", "format", "--no-cache", "--check", "--diff", *names, cwd=folder)


def test_all_scripts_pass_shellcheck(matrix: Matrix) -> None:
    for folder, names in matrix.files(".sh"):
        run("shellcheck", "--external-sources", "--source-path=SCRIPTDIR", *names, cwd=folder)


def test_all_dockerfiles_pass_hadolint(matrix: Matrix) -> None:
    for folder, names in matrix.files("Dockerfile"):
        run("hadolint", "--failure-threshold", "style", *names, cwd=folder)


def test_all_yaml_passes_yamllint(matrix: Matrix) -> None:
    for folder, names in matrix.files(".yml", ".yaml"):
        run("yamllint", "--strict", *names, cwd=folder)


def test_no_file_has_a_secret(matrix: Matrix) -> None:
    first = next(iter(matrix.new))  # the hook is the same in all
    config = yaml.safe_load((first / ".pre-commit-config.yaml").read_text("utf-8"))
    (hook,) = (one for one in config["repos"][0]["hooks"] if one["id"] == "secrets")
    run(
        *scan(hook),
        *(
            folder / name
            for folder, names in matrix.files("")
            for name in names
            if not re.search(hook["exclude"], name)
        ),
        cwd=ROOT,
    )


def test_all_workflows_pass_actionlint_and_zizmor(matrix: Matrix) -> None:
    for folder, names in matrix.files(".yml"):
        if workflows := [name for name in names if name.startswith(".github/")]:
            git(folder, "init", "--quiet")
            run("actionlint", *workflows, cwd=folder)
            run("zizmor", "--offline", "--no-progress", *workflows, cwd=folder)


def test_all_pipelines_follow_gitlabs_schema(matrix: Matrix) -> None:
    pipelines = [folder / name for folder, (name,) in matrix.files(".gitlab-ci.yml")]
    schema = ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci")
    run("check-jsonschema", *schema, *pipelines, cwd=ROOT)


def test_every_platform_is_one_that_compose_knows(matrix: Matrix) -> None:
    """By its schema, and as Docker Compose itself reads it, with the services of a release."""
    platforms = [folder / name for folder, (name,) in matrix.files("compose.yaml")]
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", *platforms, cwd=ROOT)
    on_gpus = set()
    for platform in platforms:
        command = ("--file", platform, "--profile", "release", "config")
        told = json.loads(run("docker-compose", *command, "--format", "json", cwd=ROOT))
        limits = {name: one["deploy"]["resources"] for name, one in told["services"].items()}
        assert {"blue", "green", "gateway", "database", "tracking"} <= limits.keys()
        assert not [line for rule in RULES for line in rule(told)]
        on_gpus.add(tuple(sorted(name for name, one in limits.items() if "reservations" in one)))
    assert on_gpus == {(), ("blue", "green")}
