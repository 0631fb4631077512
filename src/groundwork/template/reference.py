"""The reference of the questions, which cannot lag behind copier.yml."""

from pathlib import Path

from .questions import Questions

_INTRO = """\
# Questions

What `copier copy` asks, in order. Every question has a default, so `copier copy --defaults` gives
a working project, and `--data NAME=VALUE` answers one question in advance. A text that depends on
earlier answers is shown here with the default answers.

*Written by `groundwork reference` from `copier.yml`; a test fails when this page is out of date.*
"""

_DERIVED = """\
## Derived

These values are derived from the answers. They are not asked and not stored.

| name | value with the defaults |
|---|---|
"""


def markdown(root: Path) -> str:
    """Return the reference page for the template in `root`, as Markdown."""
    questions = Questions(root)
    answers: dict[str, str] = {}
    asked, derived = [], []
    for name, question in questions.by_name.items():
        help_text = questions.rendered(question.get("help", ""), answers)
        default = answers[name] = questions.rendered(question["default"], answers)
        if question.get("when") is False:
            derived.append(f"| `{name}` | `{default}` |\n")
            continue
        lines = [
            f"\n## `{name}`\n",
            f"{help_text}\n",
            f"Default: {_shown(question['default'], default)}\n",
        ]
        if choices := questions.choices(name):
            listed = (f"- {_choice(*choice)}\n" for choice in choices.items())
            many = "Choices, any number of them" if questions.several(name) else "Choices"
            lines.append(f"{many}:\n\n" + "".join(listed))
        asked.append("\n".join(lines))
    return _INTRO + "".join(asked) + "\n" + _DERIVED + "".join(derived)


def _shown(source: str, default: str) -> str:
    shown = f"`{default}`" if default else "empty"
    return f"{shown}, derived from earlier answers" if "{" in source else shown


def _choice(value: str, label: str) -> str:
    about = label.removeprefix(value).removeprefix(": ")
    return f"`{value}`: {about}" if about else f"`{value}`"
