"""What a repository declares for its proof, in pyproject.toml or groundwork-audit.toml."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from groundwork.errors import UserError

FILE = "groundwork-audit.toml"


@dataclass(frozen=True)
class Declared:
    """Commands as a shell reads them, and patterns of paths where `**` is any folders.

    `setup` makes the environment, in `.venv` unless the other commands name it. `outputs` is what
    training must write the same each time; `volatile` is what may differ, such as logs, and
    `volatile_metrics` which of MLflow's metrics may. `source` is the file that declares all this.
    """

    setup: str = ""
    tests: str = ""
    train: str = ""
    outputs: tuple[str, ...] = ()
    volatile: tuple[str, ...] = ()
    volatile_metrics: tuple[str, ...] = ()
    source: str = ""


def declared(folder: Path) -> Declared:
    """Read what a repository declares. Raises UserError where that cannot be used."""
    own = read_toml(folder / FILE)
    table = read_toml(folder / "pyproject.toml")
    for name in ("tool", "groundwork", "audit"):
        table = table.get(name, {})
        if not isinstance(table, dict):
            raise UserError(f"pyproject.toml: [tool.groundwork.audit] needs a table, not {name}")
    source, found = (FILE, own) if own else ("pyproject.toml", table)
    values: dict[str, Any] = {}
    for field in fields(Declared):
        key = field.name.replace("_", "-")
        if field.name == "source" or key not in found:
            continue
        value = found[key]
        if field.default == () and _is_list(value):
            values[field.name] = tuple(value)
        elif field.default == "" and isinstance(value, str):
            values[field.name] = value
        else:
            kind = "a list of strings" if field.default == () else "a string"
            raise UserError(f"{source}: {key} of the audit must be {kind}, not {value!r}")
    return Declared(**values, source=source)


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file says; nothing if there is none. Raises UserError."""
    if not path.is_file():  # a device would have no end
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path.name} cannot be read: {error}") from None


def _is_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
