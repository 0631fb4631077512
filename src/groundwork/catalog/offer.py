"""Which template an organisation offers: its questions, its address and its version."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from groundwork import template
from groundwork.errors import UserError

RECOPY = "copier recopy --force --vcs-ref=:current:"
README = f"""\
# {{name}}

One command makes the project of the answers in `.copier-answers.yml`, with
[Copier](https://copier.readthedocs.io) and git installed:

```sh
{RECOPY}
```

Look at what it made and commit it. This file is then replaced by the project's own.
"""


class Offer:
    """The questions of one checkout, and where its users find the template."""

    def __init__(self, root: Path, url: str, version: str, owner: str, host: str) -> None:
        """Offer the template at `url`, in `version` (a tag), in the name of `owner`.

        Raises:
            UserError: the address cannot stand in a catalog.
        """
        if not re.fullmatch(r"(https://|git@|ssh://)\S+", url):
            raise UserError(
                f"--url {url}: give the address that everybody clones the template from"
            )
        self.root, self.url, self.version, self.owner, self.host = root, url, version, owner, host
        self.jinja = template.environment(root)
        questions = template.load(root)[1]
        self.questions = {
            name: question
            for name, question in questions.items()
            if question.get("when") is not False
        }

    def origin(self) -> list[str]:
        """Return the first lines of a file of answers: where the project comes from."""
        return [f"_commit: {json.dumps(self.version)}", f"_src_path: {json.dumps(self.url)}"]


def values(question: Mapping[str, Any]) -> list[str]:
    """Return what may be answered to a question; nothing where it takes any text."""
    choices = question.get("choices", [])
    return list(choices.values() if isinstance(choices, dict) else choices)
