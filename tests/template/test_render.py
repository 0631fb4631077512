"""What a render is: the same bytes anywhere, no trace of the template, every answer intact."""

import ast
import configparser
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable
from email import message_from_bytes
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from poetry.core.masonry import api
from pytest_copie.plugin import Copie

from groundwork.template.checksums import LIST, checksums
from tests.conftest import ROOT, Render, copy_template, files, rendered

from .test_questions import QUESTIONS, verdict

VARIANTS: list[dict[str, str]] = [
    {},
    *({"license": value} for value in QUESTIONS["license"]["choices"].values() if value != "MIT"),
    *(
        {"python_version": value}
        for value in QUESTIONS["python_version"]["choices"]
        if value != "3.12"
    ),
    {"package_name": "a", "project_name": "A", "repository_url": "https://git.example.com/a/a"},
    {
        "package_name": "x" * 40,
        "project_name": "X" * 80,
        "description": "d" * 200,
        "author_name": "n" * 80,
    },
]
variants = pytest.mark.parametrize(
    "answers", VARIANTS, ids=lambda answers: "-".join(answers) or "defaults"
)


Variant = Callable[[dict[str, str]], Path]


@pytest.fixture(scope="session")
def variant(
    copie_session: Copie, source: Path, tmp_path_factory: pytest.TempPathFactory
) -> Variant:
    """Renders of the variants, each made once."""

    @cache
    def made(answers: tuple[tuple[str, str], ...]) -> Path:
        into = tmp_path_factory.mktemp("variant") / "p"
        return rendered(copie_session, source, into, **dict(answers))

    return lambda answers: made(tuple(answers.items()))


def fingerprint(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return every file's permission bits, without what the umask governs, and bytes."""
    return {
        str(path.relative_to(folder)): (
            stat.S_IMODE(path.stat().st_mode) & 0o111,
            path.read_bytes(),
        )
        for path in files(folder)
    }


def parse(paths: Iterable[Path]) -> None:
    """Parse files by what their names say that they are."""
    shell = []
    for path in paths:
        text = path.read_text("utf-8")
        match path.suffix:
            case ".toml":
                tomllib.loads(text)
            case ".yml" | ".yaml":
                list(yaml.safe_load_all(text))
            case ".json" | ".ipynb":
                json.loads(text)
            case ".py":
                ast.parse(text, path.name)
            case ".ini":
                configparser.ConfigParser(interpolation=None).read_string(text)
            case ".sh":
                shell.append(path)
        if path.name == "MLproject":
            yaml.safe_load(text)
    for path in shell:
        subprocess.run(["bash", "-n", path], check=True)


def show_no_trace(paths: Iterable[Path]) -> None:
    """Assert that nothing in the files looks as if a template had left it there."""
    for path in paths:
        if path.name == "poetry.lock":  # written by Poetry, checked by Poetry
            continue
        text = path.read_text("utf-8")
        if (
            text == "\n" and path.parent.name == "requirements"
        ):  # so is the export of an empty group
            continue
        # GitHub and Argo have expressions like Jinja's, shell such lengths, Docker such formats.
        bare = text
        for theirs in ("${{", "{{args.", "${#", "'{{.", '"{{.'):
            bare = bare.replace(theirs, "")
        # So does Ansible, in files of its own.
        traces = [".jinja"] if "ansible" in path.parts else ["{{", "{%", "{#", ".jinja"]
        for trace in traces:
            assert trace not in bare, f"{path} holds {trace}"
        assert not re.search(r"[ \t]+$", text, re.MULTILINE), f"{path} has a trailing blank"
        # Python has two blank lines between definitions, as `ruff format` wants them.
        doubled = r"\n{4}" if path.suffix == ".py" else r"\n{3}"
        assert not re.search(doubled, text), f"{path} has a doubled blank line"
        assert not text.startswith("\n"), f"{path} begins with a blank line"
        assert text == "" or (text.endswith("\n") and not text.endswith("\n\n")), (
            f"{path} ends badly"
        )
        assert "\r" not in text


def test_a_render_needs_no_trust_and_is_the_same_anywhere(template: Path, tmp_path: Path) -> None:
    """Another folder name, umask, time zone, locale and hash seed; a process of its own each."""
    rendered = []
    for name, umask, zone, language, seed in [
        ("one", 0o022, "UTC", "C.UTF-8", "0"),
        ("another place", 0o077, "Asia/Kathmandu", "tr_TR.UTF-8", "1"),
    ]:
        folder = tmp_path / name
        subprocess.run(
            [
                sys.executable,
                "-m",
                "copier",
                "copy",
                "--defaults",
                "--quiet",
                "--vcs-ref",
                "HEAD",
                template,
                folder,
            ],
            check=True,
            umask=umask,
            cwd=tmp_path,
            env=os.environ
            | {"TZ": zone, "LANG": language, "LC_ALL": language, "PYTHONHASHSEED": seed},
        )
        rendered.append(folder)
        time.sleep(1.1)  # a clock in a render would show
    assert fingerprint(rendered[0]) == fingerprint(rendered[1])
    assert subprocess.run(["diff", "-r", *rendered], check=False).returncode == 0


@variants
def test_no_rendered_file_shows_a_trace_of_the_template(
    variant: Variant, answers: dict[str, str]
) -> None:
    show_no_trace(files(variant(answers)))


@variants
def test_every_rendered_file_parses(variant: Variant, answers: dict[str, str]) -> None:
    parse(files(variant(answers)))


def test_no_name_in_a_render_is_refused_by_some_system(project: Path) -> None:
    names = [str(path.relative_to(project)) for path in files(project)]
    assert len({name.lower() for name in names}) == len(names), "two names differ only in case"
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9._/-]+", name), name
        assert len(name) < 120


def test_scripts_and_nothing_else_may_be_executed(project: Path) -> None:
    for path in files(project):
        runnable = path.read_bytes().startswith(b"#!")
        assert bool(path.stat().st_mode & 0o111) == runnable, path


def test_dot_files_that_the_template_has_too_are_said_once(project: Path) -> None:
    both = {
        path.name for path in ROOT.glob(".*") if path.is_file() and (project / path.name).exists()
    }
    assert both == {".editorconfig", ".gitattributes", ".gitignore", ".yamllint"}
    for name in both - {".gitignore"}:  # what is made here is made in other places
        assert (project / name).read_bytes() == (ROOT / name).read_bytes(), name
        assert not (ROOT / "template" / name).exists(), name


@pytest.mark.parametrize("folder", ["examples", "frameworks"])
def test_included_files_hold_nothing_that_jinja_would_read(folder: str) -> None:
    """They are included as they stand, and are plain files that tools can read."""
    for path in files(ROOT / folder):
        if "__pycache__" in path.parts or path.suffix == ".jinja":  # that suffix says what it is
            continue
        text = path.read_text("utf-8")
        for delimiter in ("{{", "{%", "{#"):
            assert delimiter not in text, path


def test_framework_files_are_rendered_byte_for_byte(project: Path) -> None:
    home = ROOT / "frameworks/scikit-learn"
    for name in ("poetry.lock", "params.yaml", "requirements/main.txt", "requirements/dev.txt"):
        assert (project / name).read_bytes() == (home / name).read_bytes()


@variants
def test_the_licence_is_the_one_chosen(variant: Variant, answers: dict[str, str]) -> None:
    licence = answers.get("license", "MIT")
    if licence == "none":
        assert not (variant(answers) / "LICENSE").exists()
        return
    text = (variant(answers) / "LICENSE").read_text("utf-8")
    opening = {
        "MIT": "MIT License",
        "BSD-3-Clause": "BSD 3-Clause License",
        "Apache-2.0": " " * 33 + "Apache License",
        "Proprietary": "Copyright (c) The team. All rights reserved.",
    }
    assert text.splitlines()[0] == opening[licence]
    assert (
        licence == "Apache-2.0" or f"Copyright (c) {answers.get('author_name', 'The team')}" in text
    )


# Hostile answers.

PLAIN = st.characters(min_codepoint=32, max_codepoint=126)
HOSTILE = st.sampled_from(
    [
        *"\"'`\\${}()[]<>&*!|#%@:;,=~?^-",
        "\\n",
        "\\u0000",
        "$(touch /tmp/x)",
        "`id`",
        "${HOME}",
        "'''",
        '"""',
        "]]>",
        "<!--",
        "../x",
        ".git",
        " #",
        ": ",
        "- ",
        "---",
        "!!python/object",
        "%(x)s",
        "{0}",
        "🚀",
        "👩‍👩‍👧",
        "é",
        "日本語",
        "\u200d",
        "\u00a0",
    ]
)


def text(limit: int) -> st.SearchStrategy[str]:
    letters = st.characters(exclude_categories=("Cs", "Cn"))
    return st.lists(st.one_of(HOSTILE, PLAIN, letters), min_size=1, max_size=limit // 2).map(
        "".join
    )


def accepted(name: str, answer: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return answer.map(lambda value: value.strip()).filter(lambda value: verdict(name, value) == "")


ANSWERS = st.fixed_dictionaries(
    {
        "project_name": accepted("project_name", text(40)),
        "package_name": accepted(
            "package_name", st.from_regex(r"\A[a-z][a-z0-9]{0,10}(_[a-z0-9]{1,9}){0,3}\Z")
        ),
        "description": accepted("description", text(100)),
        "author_name": accepted("author_name", text(40)),
        "author_email": accepted(
            "author_email",
            st.from_regex(r"\A[\w.%+-]{1,20}@[a-z0-9.-]{1,20}[.][a-z]{2,5}\Z", fullmatch=True),
        ),
        "repository_url": accepted(
            "repository_url", st.from_regex(r"\A(https://[a-z.]{1,20}(/[\w.~+-]{1,9}){0,3}/?)?\Z")
        ),
        "license": st.sampled_from(list(QUESTIONS["license"]["choices"].values())),
    }
)


# Not shrunk: every try is a whole render, and an example as found says enough.
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(answers=ANSWERS)
def test_accepted_answers_arrive_intact(
    source: Path, tmp_path_factory: pytest.TempPathFactory, answers: dict[str, str]
) -> None:
    folder = copy_template(source, tmp_path_factory.mktemp("hostile") / "p", **answers)
    parse(files(folder))
    stored = yaml.safe_load((folder / ".copier-answers.yml").read_text("utf-8"))
    assert {name: stored[name] for name in answers} == answers

    project: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))[
        "project"
    ]
    assert project["name"] == answers["package_name"].replace("_", "-")
    assert project["description"] == answers["description"]
    assert project["authors"] == [
        {"name": answers["author_name"], "email": answers["author_email"]}
    ]
    for url in project.get("urls", {}).values():
        assert answers["repository_url"]
        assert url.startswith(answers["repository_url"].rstrip("/"))
    assert (folder / "src" / answers["package_name"] / "model.py").is_file()
    assert answers["project_name"] in (folder / "README.md").read_text("utf-8")

    # What installers read must be what was answered, too.
    here = Path.cwd()
    os.chdir(folder)
    try:
        info = folder / api.prepare_metadata_for_build_wheel(str(folder))
    finally:
        os.chdir(here)
    metadata = message_from_bytes((info / "METADATA").read_bytes())
    assert metadata["Name"] == project["name"]
    assert metadata["Author-email"] or metadata["Author"]


def test_the_checksums_of_ops_are_current() -> None:
    assert (ROOT / LIST).read_text("utf-8") == checksums(ROOT), "run .venv/bin/groundwork checksums"


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"framework": "xgboost", "scale": "ray", "data": "dvc"},
        {"framework": "pytorch", "scale": "ray", "tracking": "wandb"},
        {"framework": "tensorflow"},
    ],
    ids=lambda answers: answers.get("framework", "default"),
)
def test_each_render_lists_the_checksums_of_its_own_ops(
    render: Render, answers: dict[str, str]
) -> None:
    ops = render(**answers) / "src/my_ml_project/ops"
    lines = (ops / "SHA256SUMS").read_text("utf-8").splitlines()
    listed = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert listed == {
        str(path.relative_to(ops)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in ops.rglob("*.py")
    }


def test_a_project_that_deploys_nowhere_has_and_names_nothing_of_a_target(
    render: Render, project: Path
) -> None:
    """Not its files, and no page that points at them; every code that loads them asks first."""
    bare = render(deploy=[])
    assert yaml.safe_load((bare / ".copier-answers.yml").read_text("utf-8"))["deploy"] == []
    names = [
        {str(path.relative_to(root)).partition("/")[0] for path in files(root)}
        for root in (project, bare)
    ]
    assert names[0] - names[1] == {"compose.yaml", "deploy"}
    pages = [bare / name for name in ("README.md", ".env.example", "CODEOWNERS")]
    for page in [*pages, *bare.glob("docs/**/*.md")]:
        text = page.read_text("utf-8").lower()
        for word in (
            *QUESTIONS["deploy"]["choices"].values(),
            "haproxy",
            "grafana",
            "alertmanager",
            "/deploy/monitoring",
        ):
            assert not re.search(rf"(?<!de){word}", text), (page, word)
