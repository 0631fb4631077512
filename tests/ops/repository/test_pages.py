"""Every command, error and score that the pages tell of is really there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import typer.main

from ..conftest import ROOT
from ..project import commands, package

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SCORE = ROOT / "docs" / "ml-test-score.md"
RUNBOOK = ROOT / "docs" / "runbook.md"
NAME = package.__name__.replace("_", "-")
SECTIONS = ["data", "model", "infrastructure", "monitoring"]
COMMAND = re.compile(rf"(?:\.venv/bin/|`){re.escape(NAME)} ([^`#\n]+)")
SCRIPT = re.compile(r"(scripts/[a-z_]+\.sh)([^`#\n]*)")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables(text: str) -> dict[str, list[list[str]]]:
    """The rows of the first table under each heading, by the heading in lower case."""
    found = {}
    for part in re.split(r"(?m)^##? ", text)[1:]:
        heading, _, body = part.partition("\n")
        rows = [cells(line) for line in body.splitlines() if line.startswith("|")]
        found[heading.lower()] = rows[2:]
    return found


@cache
def named_in(path: Path) -> set[str]:
    """The names of a file's tests, those of classes as Class::name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = [("", tree), *((f"{node.name}::", node) for node in tree.body
                            if isinstance(node, ast.ClassDef))]  # fmt: skip
    return {
        prefix + node.name
        for prefix, scope in inside
        for node in scope.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


@cache
def known_commands() -> dict[str, set[str]]:
    """The command line's commands and what options each has."""
    group = typer.main.get_command(commands.app)
    return {
        name: {"--help", *(option for parameter in command.params
                           for option in (*parameter.opts, *parameter.secondary_opts))}
        for name, command in group.commands.items()
    }  # fmt: skip


def wrong_commands(text: str) -> list[str]:
    """The commands and scripts in `text` that are not there, or have no such option."""
    known, wrong = known_commands(), []
    for line in COMMAND.findall(text):
        name, *words = line.split()
        options = {word.split("=")[0] for word in words if word.startswith("--")}
        if name != "--help" and not (name in known and options <= known[name]):
            wrong.append(f"{NAME} {line.strip()}")
    for script, rest in SCRIPT.findall(text):
        path = ROOT / script
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        usage = text.partition("\n\n")[0]
        words = re.findall(r"(?<=\s)(--?[a-z]+|rollback|status|history|stop)\b", rest)
        if not usage or any(word not in usage for word in words):
            wrong.append(script + rest)
    return wrong


def wrong_answers(text: str) -> list[str]:
    """What is wrong with a table of the score: rows, answers, points or sums."""
    found, wrong, sums = tables(text), [], {}
    for section in SECTIONS:
        rows = found.get(section, [])
        if [row[0] for row in rows] != [str(number) for number in range(1, 8)]:
            wrong.append(f"{section} has not the rows 1 to 7")
        for number, _, answer, points in rows:
            named = re.findall(r"`(tests/[^`]+|-m \w+)`", answer)
            lost = [test for test in named if test.startswith("tests/") and not exists(test)]
            wrong += [f"{section} {number}: there is no {test}" for test in lost]
            weekly = re.findall(rf"weekly by `({NAME} [a-z]+)`", answer)
            wrong += [f"{section} {number}: {run} does not run weekly" for run in weekly
                      if not re.search(rf"\.venv/bin/{run}\b", by_itself("retrain"))]  # fmt: skip
            by_hand = "someone, or a scheduler, runs" in answer
            due = "0.5" if by_hand and named else "1" if named else "0"
            if points != due or (points != "1") != ("not yet" in answer):
                wrong.append(f"{section} {number}: {points} points, {due} are due")
        sums[section] = sum(float(row[3]) for row in rows)
    sums["**score**"] = min(sums.values())
    told = {row[0]: float(row[1].strip("*")) for row in found.get("ml test score", [])}
    if told != sums:
        wrong.append(f"told are {told}, but the rows give {sums}")
    return wrong


@cache
def by_itself(job: str) -> str:
    """What the CI service that was chosen runs; without one, what the runbook tells to schedule."""
    files = [ROOT / ".github" / "workflows" / f"{job}.yml", ROOT / ".gitlab-ci.yml"]
    (found,) = [path.read_text(encoding="utf-8") for path in files if path.exists()] or [
        RUNBOOK.read_text("utf-8").partition("## What runs by itself\n")[2].partition("\n## ")[0]
    ]
    return found


def exists(test: str) -> bool:
    path, _, name = test.partition("::")
    return (ROOT / path).is_file() and name in named_in(ROOT / path)


@cache
def messages() -> list[str]:
    """Every text of the standard's code and scripts, with … for what is filled in."""
    found = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "…"
                         for part in node.values)  # fmt: skip
                found.append("".join(map(str, parts)).replace("`", ""))
    return found + [path.read_text(encoding="utf-8") for path in (ROOT / "scripts").iterdir()]


def unsaid(text: str) -> list[str]:
    """The errors in the runbook's table that no code says."""
    said = messages()
    errors = [row[0].strip("`") for row in tables(text)["errors"]]
    assert errors
    return [
        error
        for error in errors
        if not any(re.search(".*".join(map(re.escape, error.split("…"))), one) for one in said)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_tells_to_run_is_there(page):
    assert wrong_commands(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        f".venv/bin/{NAME} trian",
        f"`{NAME} train --fast`",
        f".venv/bin/{NAME} monitor --label x.csv",
        "scripts/gone.sh",
        "scripts/test.sh --gone",
        "scripts/setup.sh rollback",
    ],
)
def test_a_command_that_is_not_there_is_found(line):
    assert len(wrong_commands(f"Run\n{line}\n")) == 1


def test_the_pages_do_tell_what_to_run():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    told = {line.split()[0] for line in COMMAND.findall(text)}
    in_scripts = {"deploy", "docs", "lock-check"}
    assert set(known_commands()) - in_scripts <= told


def test_every_answer_of_the_score_exists_and_the_points_add_up():
    assert wrong_answers(SCORE.read_text(encoding="utf-8")) == []
    assert re.search(r"scripts/test\.sh\b", by_itself("ci"))


def test_28_of_28_run_by_themselves():
    rows = [row for name, part in tables(SCORE.read_text("utf-8")).items()
            if name in SECTIONS for row in part]  # fmt: skip
    assert len(rows) == 28
    assert sum(row[3] == "1" for row in rows) == 28


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("::test_a_value_out_of_range_is_found", "::test_gone"),
        ("training/test_gate.py::", "training/test_gone.py::"),
        ("| **score** | **7** |", "| **score** | **6** |"),
        ("| data | 7 |", "| data | 6 |"),
        ("late: `tests/ops", "late, not yet: `tests/ops"),
        ("| 3 | no feature", "| 4 | no feature"),
        ("| 7 | the model is tested for inclusion", "- the model is tested for inclusion"),
        (f"weekly by `{NAME} bench`", f"weekly by `{NAME} tune`"),
    ],
)
def test_a_score_that_is_not_so_is_found(old, new):
    text = SCORE.read_text(encoding="utf-8")
    assert old in text
    assert wrong_answers(text.replace(old, new, 1))


def test_every_error_in_the_runbook_is_one_that_the_code_says():
    assert unsaid(RUNBOOK.read_text(encoding="utf-8")) == []


def test_an_error_that_nothing_says_is_found():
    text = RUNBOOK.read_text(encoding="utf-8")
    assert unsaid(f"{text}| `nobody … says this` | nothing |\n") == ["nobody … says this"]
    assert unsaid(text.replace("another training is", "another deer is")) == [
        "another deer is running here"
    ]
