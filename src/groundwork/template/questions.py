"""The template's questions, and what they say to answers."""

from collections.abc import Mapping
from pathlib import Path

from .checkout import environment, load


class Questions:
    """A template's questions, and what they make of answers (by question)."""

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

    def refusal(self, name: str, answers: Mapping[str, str]) -> str:
        """Return what a question says against its answer, or nothing."""
        offered = self.choices(name)
        if offered and answers[name] not in offered:
            return f"choose one of {', '.join(offered)}"
        return self.rendered(self.by_name[name].get("validator", ""), answers)

    def asked(self, name: str, answers: Mapping[str, str]) -> bool:
        """Whether a question is asked, and its answer stored, after these answers."""
        return self.rendered(self.by_name[name].get("when", "true"), answers).lower() == "true"
