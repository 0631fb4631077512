"""From a request's body to rows that fit schema.Inputs, or a refusal that says where they fail."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ..core.project import schema
from ..data import dataset
from .acceptance import Acceptance, kind_of

Row = Mapping[str, Any]
MAX_ROWS = 1000
MAX_BODY = 1024 * 1024
# A refusal names this many places and counts the rest.
MAX_SHOWN = 50
NOT_FINITE = "must be a finite number"
ACCEPTANCE = Acceptance(schema.Inputs.to_schema())
COLUMNS: Mapping[str, Any] = ACCEPTANCE.schema.columns
LARGEST = {"i": 2**63 - 1, "u": 2**64 - 1, "f": sys.float_info.max}


class RefusedError(Exception):
    """A request that gets no prediction: the HTTP status, and why, without any of its values."""

    def __init__(self, status: int, detail: str, misfits: "list[Misfit] | None" = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.misfits = status, detail, misfits or []

    @property
    def body(self) -> dict[str, Any]:
        """The answer."""
        shown = [vars(misfit) for misfit in self.misfits[:MAX_SHOWN]]
        return {"detail": self.detail, **({"violations": shown} if shown else {})}


@dataclass(frozen=True)
class Misfit:
    """A rule that is broken; `row` counts from 0, and is None where no single one breaks it."""

    row: int | None
    column: str | None
    reason: str

    def __str__(self) -> str:
        """Say it in one line."""
        named = (("row", self.row), ("column", self.column))
        where = ", ".join(f"{what} {name}" for what, name in named if name is not None)
        return f"{where}: {self.reason}" if where else self.reason


def read(body: bytes) -> pd.DataFrame:
    """Return the rows of `{"rows": [{…}, …]}`, as the schema types them. Raises RefusedError."""
    return check(parse(body))


def parse(body: bytes) -> list[Row]:
    """Return the rows of a body, each value of its column's kind. Raises RefusedError."""
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError(400, "the body is not JSON") from None
    rows = sent["rows"] if isinstance(sent, dict) and list(sent) == ["rows"] else None
    if not isinstance(rows, list):
        raise RefusedError(422, 'the body must be {"rows": [{…}, …]}')
    if not 1 <= len(rows) <= MAX_ROWS:
        raise RefusedError(422, f"between 1 and {MAX_ROWS} rows are allowed, not {len(rows)}")
    if broken := [misfit for number, row in enumerate(rows) for misfit in _misfits(number, row)]:
        raise _refusal(broken)
    return rows


def named(rows: Sequence[Row]) -> list[str]:
    """Return the columns that any of the rows has, in the schema's order."""
    return [name for name in COLUMNS if any(name in row for row in rows)]


def accept(rows: Sequence[Row]) -> pd.DataFrame | None:
    """Return parsed rows as the schema types them, if it is plain that they keep every rule."""
    return ACCEPTANCE.accept(rows, named(rows))


def check(rows: Sequence[Row]) -> pd.DataFrame:
    """Return parsed rows as the schema types them. Raises RefusedError where they break a rule."""
    accepted = accept(rows)
    if accepted is not None:
        return accepted
    frame, rules = dataset.validate(
        pd.DataFrame({name: [row.get(name) for row in rows] for name in named(rows)}), schema.Inputs
    )
    if not rules:
        if frame.index.equals(pd.RangeIndex(len(rows))):
            return frame
        raise RefusedError(500, "the schema drops or moves rows, so no row could be told its score")
    broken = []
    for rule in rules:
        places: list[int | None] = [*rule.rows] or [None]
        broken += [Misfit(row, rule.column, rule.rule) for row in places]
    raise _refusal(broken)


def _refusal(broken: "list[Misfit]") -> "RefusedError":
    more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
    return RefusedError(422, f"{broken[0]}{more}", broken)


def describe() -> dict[str, Any]:
    """Return the request body's description for OpenAPI."""
    types = {"i": "integer", "u": "integer", "f": "number", "b": "boolean"}
    fields = {
        name: {
            "type": types.get(kind_of(column), "string"),
            "description": column.description or "",
        }
        for name, column in COLUMNS.items()
    }
    row = {
        "type": "object",
        "properties": fields,
        "required": [name for name, column in COLUMNS.items() if column.required],
        "additionalProperties": False,
    }
    rows = {"type": "array", "items": row, "minItems": 1, "maxItems": MAX_ROWS}
    body = {"type": "object", "properties": {"rows": rows}, "required": ["rows"]}
    return {"required": True, "content": {"application/json": {"schema": body}}}


def _misfits(number: int, row: object) -> list[Misfit]:
    """Find what pandas would silently make something else of."""
    if not isinstance(row, Mapping):
        return [Misfit(number, None, "must be an object")]
    found = {name[:64]: "is not a column of the schema" for name in row if name not in COLUMNS}
    for name, column in COLUMNS.items():
        if name not in row:
            reason = "is missing" if column.required else None
        elif row[name] is None:
            reason = None if column.nullable else "is null"
        else:
            reason = _misfit(row[name], kind_of(column))
        if reason:
            found[name] = reason
    return [Misfit(number, name, reason) for name, reason in found.items()]


def _misfit(value: object, kind: str) -> str | None:
    if isinstance(value, dict | list):
        return "must be a single value"
    if kind not in LARGEST:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return "must be a number"
    if not abs(value) <= LARGEST[kind]:
        return NOT_FINITE  # NaN and Infinity, which JSON does not know but Python's parser reads
    return "must be a whole number" if kind != "f" and value % 1 else None
