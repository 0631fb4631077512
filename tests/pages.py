"""The commands in the documentation: `sh` blocks, in the order in which a reader meets them."""

import re
import textwrap
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<kind>sh|\{\.sh( \.fails)?\})\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
# As a reader's shell would say it: where a command of this kind is typed.
_IN_THE_CLONE = ".venv/bin/groundwork "


@dataclass(frozen=True)
class Block:
    """One fenced block of commands."""

    text: str
    fails: bool

    @property
    def begins(self) -> str:
        """The first line, by which a block is named."""
        return self.text.partition("\n")[0]

    def script(self) -> str:
        """Return the block as a part of a script that runs under `set -e`."""
        text = f"cd $CLONE\n{self.text}\ncd $HERE" if _IN_THE_CLONE in self.text else self.text
        if not self.fails:
            return text
        return f"if (\n{text}\n); then echo 'this should have failed' >&2; exit 1; fi"


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page, from its text."""
    return [
        Block(textwrap.dedent(found["text"]).strip("\n"), found["kind"].endswith(".fails}"))
        for found in _FENCE.finditer(page)
    ]


def script(page: Path, leave_out: AbstractSet[str] = frozenset()) -> str:
    """Return a page's commands as a script that stops at the first that goes wrong.

    `leave_out` has the first lines of blocks that are not run.
    """
    parts = [one.script() for one in blocks(page.read_text("utf-8")) if one.begins not in leave_out]
    return "\n".join(["set -euo pipefail", "HERE=$PWD", *parts])
