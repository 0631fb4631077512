"""What an adoption did, and what is left to do."""

from dataclasses import dataclass


@dataclass
class Adoption:
    """What was made, and what is left to do."""

    version: str
    answers: dict[str, str]
    origins: dict[str, str]
    mapped: list[str]
    todo: list[str]

    def text(self) -> str:
        """Return it as Markdown."""
        rows = "".join(
            f"| {name} | {value} | {self.origins[name]} |\n" for name, value in self.answers.items()
        )
        mapped = "".join(f"- {line}\n" for line in self.mapped)
        todo = "".join(f"{number}. {line}\n" for number, line in enumerate(self.todo, 1))
        return shown(
            f"# Brought onto the standard, {self.version}\n\n"
            "| question | answer | from |\n| --- | --- | --- |\n"
            f"{rows}\n## What was mapped\n\n{mapped}\n## What is left to do\n\n{todo}"
        )


def shown(text: str) -> str:
    """Return a text in which a file's name may not be one."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
