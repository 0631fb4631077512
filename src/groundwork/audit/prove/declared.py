"""What a repository declares for its proof, among the settings of its audit."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from groundwork.audit.settings import FILES, settings
from groundwork.errors import UserError


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
    """Read what a repository declares, in the first file that has any of it.

    Raises UserError where that cannot be used.
    """
    keys = {one.name.replace("_", "-") for one in fields(Declared)} - {"source"}
    said = {name: read_toml(folder / name, partial(settings, name)) for name in FILES}
    for name, found in said.items():
        if unknown := sorted(found.keys() - keys - {"exceptions"}):
            known = ", ".join(sorted({*keys, "exceptions"}))
            raise UserError(f"{name}: the audit has no {', '.join(unknown)}; it has {known}")
    source = next((name for name in FILES if keys & said[name].keys()), FILES[-1])
    found = said[source]
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


def read_toml(path: Path, parse: Callable[[str], dict[str, Any]] = tomllib.loads) -> dict[str, Any]:
    """Return what a TOML file says; nothing if there is none. Raises UserError."""
    if not path.is_file():  # a device would have no end
        return {}
    try:
        return parse(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path.name} cannot be read: {error}") from None


def _is_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
