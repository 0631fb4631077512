"""What is asked, what is refused, and what follows from the answers."""

import keyword
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import copier
import pytest
from copier._template import DEFAULT_EXCLUDE
from copier._user_data import Question
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from groundwork import template
from groundwork.locks.pins import pins
from tests.conftest import ROOT, copy_template

SETTINGS, QUESTIONS = template.load(ROOT)
JINJA = template.environment(ROOT)
ASKED = {
    name: question for name, question in QUESTIONS.items() if question.get("when") is not False
}
TEXTS = [name for name, question in ASKED.items() if "choices" not in question]
EVERYTHING = st.text(st.characters(), max_size=60)


def verdict(name: str, value: str) -> str:
    """Return what the question's validator says: nothing if the value is good."""
    return JINJA.from_string(QUESTIONS[name]["validator"]).render({name: value}).strip()


def derived_package(project_name: str) -> str:
    return JINJA.from_string(QUESTIONS["package_name"]["default"]).render(project_name=project_name)


# Copier passes over a key that it does not know: a misspelt one would do nothing and say nothing.


def test_every_question_uses_only_keys_that_copier_knows() -> None:
    known = {field.name for field in fields(Question)}  # type: ignore[arg-type]
    for name, question in QUESTIONS.items():
        assert not set(question) - known, name


def test_every_setting_is_one_that_copier_knows() -> None:
    documented = {
        "answers_file",
        "envops",
        "exclude",
        "external_data",
        "jinja_extensions",
        "message_after_copy",
        "message_after_update",
        "message_before_copy",
        "message_before_update",
        "migrations",
        "min_copier_version",
        "preserve_symlinks",
        "secret_questions",
        "skip_if_exists",
        "subdirectory",
        "tasks",
        "templates_suffix",
    }
    assert not set(SETTINGS) - documented


def test_nothing_in_the_settings_needs_trust() -> None:
    assert not set(SETTINGS) & {"tasks", "migrations", "jinja_extensions"}


def test_what_copier_leaves_out_by_default_is_left_out() -> None:
    """With a subdirectory Copier's own list is empty."""
    assert {".git", "__pycache__", ".DS_Store"} <= set(SETTINGS["exclude"])
    assert {"*.py[co]"} <= set(SETTINGS["exclude"]) & set(DEFAULT_EXCLUDE)


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_has_a_type_and_a_default(name: str) -> None:
    assert QUESTIONS[name]["type"] == "str", "an untyped answer is read as YAML, 3.10 as 3.1"
    assert isinstance(QUESTIONS[name]["default"], str)


@pytest.mark.parametrize("name", ASKED)
def test_every_question_says_why_it_is_asked(name: str) -> None:
    text = ASKED[name]["help"]
    assert "?" in text
    assert len(text) > 60


@pytest.mark.parametrize("name", TEXTS)
def test_every_free_text_is_checked(name: str) -> None:
    assert "check." in QUESTIONS[name]["validator"]


GOOD = {
    "project_name": [
        "Churn",
        "Prédiction №1",
        "🚀 Lift-off",
        'it\'s "quoted"',
        "a\\b",
        "$(touch x) `y`",
        "{x}",
        "日本語",
    ],
    "package_name": ["churn", "churn_2", "a", "x" * 40],
    "description": [
        "One line.",
        "# not a comment",
        "'",
        "- item: value",
        "%s {0} !!python",
        "&a *a |",
    ],
    "author_name": ["The team", "Ada Lovelace", "O'Brien, Flann", "张伟", 'Ann "A" Other'],
    "author_email": ["a@b.co", "first.last+tag@sub.example.com"],
    "repository_url": ["", "https://example.com", "https://git.example.com:8443/team/project.git"],
}
HIDDEN = [
    "\n",
    "\r",
    "\t",
    "\0",
    "\x1b[31m",
    "\x7f",
    "\x85",
    "\u2028",
    "\u202e",
    "\u2066",
    "\u200f",
    "\ufeff",
    "\ud800",
    "\uffff",
]
BAD = {
    "project_name": [
        "",
        " ",
        "\u3000",
        " x",
        "x ",
        "x" * 300,
        "{{ x }}",
        "{% raw %}",
        "${{ secrets.TOKEN }}",
    ],
    "package_name": [
        "",
        "Churn",
        "1churn",
        "_x",
        "x_",
        "a__b",
        "a-b",
        "a.b",
        "../x",
        ".git",
        "naïve",
        "x" * 41,
        "class",
        "None",
        "match",
        "json",
        "test",
        "con",
        "lpt1",
        "numpy",
        "sklearn",
        "yaml",
        "mlflow",
        "src",
        "tests",
        "docs",
        "ops",
        "python",
        "git",
        "churn\n",
        "$(x)",
        "a b",
        "🚀",
    ],
    "description": ["", "x" * 201, "a\nb", "{# x #}"],
    "author_name": ["", "A <a@b.co>", "x" * 81],
    "author_email": [
        "",
        "team",
        "a@b",
        "a@b.co\n",
        "a b@c.de",
        "a@@b.co",
        ".a@b.co",
        "a.@b.co",
        "a..b@c.de",
        "a@-b.co",
        "<a@b.co>",
        "ä@b.co",
        "x" * 260 + "@b.co",
    ],
    "repository_url": [
        "git@example.com:a/b",
        "http://example.com",
        "https://",
        "https://a b",
        "https://e.com/\n",
        "https://e.com/?q='",
        "javascript:x",
        "https://e.com/" + "x" * 200,
    ],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in GOOD for value in GOOD[name]]
)
def test_good_answers_are_accepted(name: str, value: str) -> None:
    assert verdict(name, value) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in BAD for value in BAD[name]]
    + [(name, f"x{hidden}y") for name in TEXTS for hidden in HIDDEN],
)
def test_bad_answers_are_refused_in_one_line(name: str, value: str) -> None:
    message = verdict(name, value)
    assert message
    assert "\n" not in message
    assert message.isprintable()


@given(st.sampled_from(TEXTS), EVERYTHING)
def test_whatever_is_answered_the_verdict_is_nothing_or_one_line(name: str, value: str) -> None:
    message = verdict(name, value)
    assert message == "" or message.isprintable()


@given(st.text(st.characters(exclude_categories=()), max_size=90))
def test_the_derived_package_name_is_always_a_good_one(project_name: str) -> None:
    assert verdict("package_name", derived_package(project_name)) == ""


@pytest.mark.parametrize(
    ("project_name", "package_name"),
    [
        ("My ML Project", "my_ml_project"),
        ("Überraschung in Łódź!", "ueberraschung_in_lodz"),
        ("2nd try", "ml_2nd_try"),
        ("日本語", "ml_project"),
        ("Pandas", "pandas_project"),
        ("class", "class_project"),
        ("C++ -- (new)", "c_new"),
    ],
)
def test_the_package_name_follows_the_project_name(project_name: str, package_name: str) -> None:
    assert derived_package(project_name) == package_name


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"package_name": "class"}, "Validation error for question 'package_name': is taken"),
        ({"project_name": "a\nb"}, "must be one line of visible text"),
        ({"license": "GPL"}, "Invalid choice for 'license'"),
        ({"python_version": "3.10"}, "Invalid choice for 'python_version'"),
        ({"cli_name": "rm"}, "is derived from package_name"),
        ({"framework": "../../etc"}, "Invalid choice for 'framework'"),
        ({"deploy": ["compose", "moon"]}, "Invalid choice for 'deploy'"),
        ({"deploy": "[moon]"}, "Invalid choice for 'deploy'"),
        ({"accelerator": "cuda"}, "'accelerator': scikit-learn cannot use"),
        ({"framework": "tensorflow", "scale": "ray"}, "'scale': Keras 3 does not support"),
    ],
)
def test_copier_refuses_in_one_line_and_leaves_nothing(
    template: Path, tmp_path: Path, answers: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as refusal:
        copy_template(template, tmp_path / "rendered", **answers)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "rendered").exists()


def test_prompts_show_the_reason_and_ask_again(template: Path, tmp_path: Path) -> None:
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        # A project name; a package name refused, then corrected; the defaults from there on.
        keys.send_text("\x01\x0bChurn\r")
        keys.send_text("\x01\x0bclass\r" + "_model\r")
        keys.send_text("\r" * (len(ASKED) - 2))
        worker = copier.run_copy(
            str(template), tmp_path / "p", quiet=True, vcs_ref="HEAD", unsafe=False
        )
    assert worker.answers.combined["project_name"] == "Churn"
    assert worker.answers.combined["package_name"] == "class_model"
    assert (tmp_path / "p/src/class_model/model.py").is_file()


# The lists of reserved names, against what is real.


def words(name: str) -> set[str]:
    return set(JINJA.get_template(f"includes/{name}.txt").render().split())


def possible(names: Any) -> set[str]:  # noqa: ANN401
    """Return those of `names` that the shape of a package name admits."""
    shape = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
    return {name.lower() for name in names if shape.fullmatch(name.lower())}


def test_keywords_and_the_standard_library_are_reserved() -> None:
    real = {*sys.stdlib_module_names, *keyword.kwlist, *keyword.softkwlist}
    assert possible(real) - words("reserved") == set()


def test_all_that_the_locks_hold_is_reserved_and_no_more() -> None:
    real = {
        package.replace("-", "_")
        for name in template.frameworks(ROOT)
        for package in pins(ROOT / "frameworks" / name / "poetry.lock")
    }
    assert words("dependencies") == real, "run `groundwork lock`"


def test_every_folder_of_a_project_is_reserved(project: Path) -> None:
    folders = possible(path.name for path in project.iterdir() if path.is_dir())
    assert folders - words("reserved") == set()


def test_new_projects_offer_the_pythons_that_the_dependencies_allow(project: Path) -> None:
    assert 'requires-python = ">=3.11,<3.14"' in (project / "pyproject.toml").read_text("utf-8")
    assert QUESTIONS["python_version"]["choices"] == ["3.11", "3.12", "3.13"]
