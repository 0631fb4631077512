"""The reference of the questions, written from copier.yml so that it cannot lag behind."""

from pathlib import Path
from typing import Any

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


def markdown(root: Path) -> str:
    """Return the reference page for the template in `root`, as Markdown."""
    jinja = template.environment(root)
    answers: dict[str, Any] = {}
    asked, derived = [], []
    for name, question in template.load(root)[1].items():
        help_text = jinja.from_string(question.get("help", "")).render(answers).strip()
        default = answers[name] = jinja.from_string(question["default"]).render(answers)
        if question.get("when") is False:
            derived.append(f"| `{name}` | `{default}` |\n")
            continue
        lines = [
            f"\n## `{name}`\n",
            f"{help_text}\n",
            f"Default: {_shown(question['default'], default)}\n",
        ]
        if "choices" in question:
            lines.append("Choices:\n\n" + "".join(f"- {choice}\n" for choice in _choices(question)))
        asked.append("\n".join(lines))
    return _INTRO + "".join(asked) + "\n" + _DERIVED + "".join(derived)


def _shown(source: str, default: str) -> str:
    shown = f"`{default}`" if default else "empty"
    return f"{shown}, derived from earlier answers" if "{" in source else shown


def _choices(question: dict[str, Any]) -> list[str]:
    choices = question["choices"]
    if isinstance(choices, dict):
        return [
            f"`{value}`: {label.removeprefix(f'{value}: ')}" for label, value in choices.items()
        ]
    return [f"`{choice}`" for choice in choices]
