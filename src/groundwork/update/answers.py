"""What a project says about the template that it is made from."""

from typing import Any

import yaml

from groundwork.errors import UserError

from .ownership import ANSWERS


class Answers:
    """What a project's .copier-answers.yml says."""

    def __init__(self, text: str) -> None:
        """Read it. Raises UserError where it does not say which template the project is from."""
        self.text = text
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError:
            content = None
        if not isinstance(content, dict):
            raise UserError(f"{ANSWERS} cannot be read; restore it from git log")
        for key in ("_src_path", "_commit"):
            if not isinstance(content.get(key), str):
                raise UserError(
                    f"{ANSWERS} has no {key}, so there is no telling what it is made of"
                )
        self.source: str = content["_src_path"]
        self.version: str = content["_commit"]
        self.content: dict[str, Any] = content
