"""The template's questions, and the reference of them that cannot lag behind copier.yml."""

from collections.abc import Mapping
from pathlib import Path

from . import template

_INTRO = """\
# Questions

What `copier copy` asks, in order. Every question has a default, so `copier copy --defaults` gives
a working project; `--data NAME=VALUE` answers one beforehand. Where a text depends on earlier
answers, it stands here as the defaults make it.

*Written by `groundwork questions` from `copier.yml`; a test fails when this page is out of date.*
"""

_DERIVED = """\
## Derived

These are never asked and never stored: they follow from the answers.

| name | value with the defaults |
|---|---|
"""


class Questions:
    """A template's questions, and what they make of answers (by question)."""

    def __init__(self, root: Path) -> None:
        """Read them from a checkout of the template."""
        self.by_name = template.load(root)[1]
        self.jinja = template.environment(root)

    def rendered(self, text: object, answers: Mapping[str, str]) -> str:
        """Return a text of a question after these answers."""
        return self.jinja.from_string(str(text)).render(answers).strip()

    def choices(self, name: str) -> dict[str, str]:
        """Return what may be answered, each with what is shown of it, in the order offered."""
        choices = self.by_name[name].get("choices", {})
        if isinstance(choices, dict):
            return {value: label for label, value in choices.items()}
        return dict(zip(choices, choices, strict=True))

    def refusal(self, name: str, answers: Mapping[str, str]) -> str:
        """Return what a question says against its answer, or nothing."""
        offered = self.choices(name)
        if offered and answers[name] not in offered:
            return f"choose one of {', '.join(offered)}"
        return self.rendered(self.by_name[name].get("validator", ""), answers)

    def asked(self, name: str, answers: Mapping[str, str]) -> bool:
        """Whether a question is asked, and its answer stored, after these answers."""
        return self.rendered(self.by_name[name].get("when", "true"), answers).lower() == "true"


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
            lines.append("Choices:\n\n" + "".join(listed))
        asked.append("\n".join(lines))
    return _INTRO + "".join(asked) + "\n" + _DERIVED + "".join(derived)


def _shown(source: str, default: str) -> str:
    shown = f"`{default}`" if default else "empty"
    return f"{shown}, derived from earlier answers" if "{" in source else shown


def _choice(value: str, label: str) -> str:
    about = label.removeprefix(value).removeprefix(": ")
    return f"`{value}`: {about}" if about else f"`{value}`"
