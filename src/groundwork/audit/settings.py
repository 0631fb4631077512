"""Where a repository declares what an audit and a proof need to know of it."""

import tomllib
from typing import Any

OWN = (".groundwork-audit.toml", "groundwork-audit.toml")
# In the order in which they are asked.
FILES = (*OWN, "pyproject.toml")
_TABLE = ("tool", "groundwork", "audit")


def settings(path: str, text: str) -> dict[str, Any]:
    """Return what one of the files declares. Raises ValueError where that cannot be used."""
    table = tomllib.loads(text)
    for name in () if path in OWN else _TABLE:
        table = table.get(name, {})
        if not isinstance(table, dict):
            raise ValueError(f"[{'.'.join(_TABLE)}] needs a table, not {name}")  # noqa: TRY004
    return table
