"""The answers that projects differ by: every combination of them, and few that cover every pair."""

import re
from collections.abc import Callable, Iterable
from functools import cache
from itertools import combinations, product
from pathlib import Path

from groundwork.template.questions import Questions

from .conftest import ROOT, files

Answers = dict[str, str]

QUESTIONS = Questions(ROOT)
# Every question with choices but the licence, which changes one text, or leaves it out.
OPTIONS = [name for name in QUESTIONS.by_name if QUESTIONS.choices(name) and name != "license"]
DEFAULTS = {name: QUESTIONS.by_name[name]["default"] for name in OPTIONS}
SEVERAL = [name for name in OPTIONS if QUESTIONS.several(name)]
# Of a question with several choices, and of Python, the default: the others follow below.
APART = [*SEVERAL, "python_version"]
PRODUCT = [
    dict(zip(OPTIONS, values, strict=True))
    for values in product(
        *([DEFAULTS[name]] if name in APART else QUESTIONS.possible(name) for name in OPTIONS)
    )
]


def refusals(answers: Answers) -> list[str]:
    """Return what the questions say against a combination."""
    return list(filter(None, (QUESTIONS.refusal(name, answers) for name in OPTIONS)))


def parsed(answers: Answers) -> dict[str, str | list[str]]:
    """Return answers as Copier stores them: those of several choices as lists."""
    return {
        name: QUESTIONS.chosen(name, answer) if name in SEVERAL else answer
        for name, answer in answers.items()
    }


def pairs(answers: Answers) -> set[frozenset[tuple[str, str]]]:
    return set(map(frozenset, combinations(answers.items(), 2)))


def covering(start: Iterable[Answers], among: list[Answers]) -> list[Answers]:
    """Return `start` and as few more as are needed to have every pair that occurs in `among`.

    Each step takes the combination with the most new pairs: nearly the fewest, and always the same.
    """
    chosen = list(start)
    missing = set().union(*map(pairs, among)).difference(*map(pairs, chosen))
    while missing:
        best = max(among, key=lambda answers: len(pairs(answers) & missing))
        chosen.append(best)
        missing -= pairs(best)
    return chosen


COMBINATIONS = [answers for answers in PRODUCT if not refusals(answers)]


def selected(option: str) -> list[str]:
    """Return what to answer to an option that is tried apart: of several choices, all and none."""
    possible = QUESTIONS.possible(option)
    return [possible[-1], possible[0]] if option in SEVERAL else possible


# What several choices bring are files of their own, and Python's version is a value in a few files.
# So each of these meets every pair of the other answers, not every combination: that would be many
# times as many renders, and not one file more.
COMBINATIONS += [
    answers | {option: selection}
    for option in APART
    for selection in selected(option)
    if selection != DEFAULTS[option]
    for answers in covering([], COMBINATIONS)
]
# Each of several choices without the others, where that is allowed: rendered, but not built.
ALONE = [
    answers
    for option in SEVERAL
    for choice in QUESTIONS.choices(option)
    if not refusals(answers := DEFAULTS | {option: f"[{choice}]"}) and answers != DEFAULTS
]


def name(answers: Answers) -> str:
    """Return a combination's name: its framework, and what else is not the default."""
    others = (value for key, value in answers.items() if value != DEFAULTS[key])
    named = "-".join(dict.fromkeys([answers["framework"], *others]))
    for option in SEVERAL:
        none, *_, everything = QUESTIONS.possible(option)
        named = named.replace(none, f"no-{option}").replace(everything, f"{option}-all")
    return named


@cache
def _named(root: Path) -> list[tuple[list[Callable[..., object]], str]]:
    """Return each of the template's files: under which conditions it is rendered, and to what."""
    values = {"package_name": "my_ml_project", "_copier_conf.answers_file": ".copier-answers.yml"}
    found = []
    for path in files(root / "template"):
        where = str(path.relative_to(root / "template"))
        conditions = [
            QUESTIONS.jinja.compile_expression(one) for one in re.findall(r"{% if (.+?) %}", where)
        ]
        where = re.sub(r"{% if .+? %}([^{}]+){% endif %}", r"\1", where)
        where = re.sub(r"{{ (\w+(?:\.\w+)?) }}", lambda name: values[name[1]], where)
        assert "{" not in where, f"{path} has a name that this test cannot read"
        found.append((conditions, where.removesuffix(".jinja")))
    return found


def rendered_names(root: Path, answers: Answers) -> list[str]:
    """Return the files that a project with these answers has, read off the template's names."""
    values = {"license": QUESTIONS.by_name["license"]["default"]} | parsed(answers)
    return [where for conditions, where in _named(root) if all(one(**values) for one in conditions)]
