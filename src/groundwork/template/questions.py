"""The template's questions, and what they say to answers."""

from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

import yaml

from .checkout import environment, load


def selections(choices: Iterable[str]) -> list[str]:
    """Return every selection of the choices, from none to all, each as a YAML list."""
    offered = list(choices)
    sizes = range(len(offered) + 1)
    return [f"[{', '.join(one)}]" for size in sizes for one in combinations(offered, size)]


class Questions:
    """A template's questions, and what they make of answers (by question).

    Answers are texts, as `--data` takes them: where several choices may be answered, a YAML list.
    """

    def __init__(self, root: Path) -> None:
        """Read them from a checkout of the template."""
        self.by_name = load(root)[1]
        self.jinja = environment(root)

    def rendered(self, text: object, answers: Mapping[str, str]) -> str:
        """Return a text of a question after these answers."""
        return self.jinja.from_string(str(text)).render(answers).strip()

    def choices(self, name: str) -> dict[str, str]:
        """Return what may be answered, each with what is shown of it, in the order offered."""
        choices = self.by_name[name].get("choices", {})
        if isinstance(choices, dict):
            return {value: label for label, value in choices.items()}
        return dict(zip(choices, choices, strict=True))

    def several(self, name: str) -> bool:
        """Whether any number of the choices may be answered."""
        return self.by_name[name].get("multiselect", False) is True

    def chosen(self, name: str, answer: str) -> list[str]:
        """Return the choices that an answer names."""
        if not self.several(name):
            return [answer]
        try:
            items = yaml.safe_load(answer)
        except yaml.YAMLError:
            items = answer
        return [str(item) for item in items] if isinstance(items, list) else [answer]

    def possible(self, name: str) -> list[str]:
        """Return every answer to a question with choices, in the order offered."""
        choices = self.choices(name)
        if not self.several(name):
            return [*choices]
        return selections(choices)

    def refusal(self, name: str, answers: Mapping[str, str]) -> str:
        """Return what a question says against its answer, or nothing."""
        offered = self.choices(name)
        if offered and not {*self.chosen(name, answers[name])} <= {*offered}:
            return f"choose one of {', '.join(offered)}"
        return self.rendered(self.by_name[name].get("validator", ""), answers)

    def asked(self, name: str, answers: Mapping[str, str]) -> bool:
        """Whether a question is asked, and its answer stored, after these answers."""
        return self.rendered(self.by_name[name].get("when", "true"), answers).lower() == "true"
