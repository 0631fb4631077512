"""From a request's body to rows that fit schema.Inputs, or a refusal that says where they fail."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import pandera.pandas as pa
from pydantic import TypeAdapter, ValidationError

from ..core.project import schema
from ..data import columns, dataset
from ..data.dataset import Violation
from ..data.values import NOT_FINITE
from .rows import Row, needs_pandera, pandera_checks, row_type

MAX_ROWS = 1000
MAX_BODY = 1024 * 1024
# A refusal names this many places. Rows are not read to find more: to refuse costs less than to
# answer, whatever the rows are.
MAX_SHOWN = 50
SCHEMA = schema.Inputs.to_schema()
COLUMNS: Mapping[str, Any] = SCHEMA.columns
# Columns that a row may leave out, but only together with the request's other rows.
OPTIONAL = {name for name, column in COLUMNS.items() if not column.required} - {
    name for name, column in COLUMNS.items() if columns.is_nullable(column)
}
CHECKS, WHOLE = pandera_checks(SCHEMA), needs_pandera(SCHEMA)
ROW: TypeAdapter[Row] = TypeAdapter(row_type(SCHEMA))
# What pydantic calls a broken rule, said as the other rules are.
REASONS = {
    "missing": "is missing",
    "extra_forbidden": "is not a column of the schema",
    "dict_type": "must be an object",
    "float_type": "must be a number",
    "int_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "finite_number": NOT_FINITE,
}


# What a client may get instead of scores.
REFUSALS = {
    400: "The body is not JSON.",
    408: "The body took too long.",
    413: "The body is too large.",
    422: "The rows do not fit the schema; violations name row, column and reason.",
    500: "A row could not be scored.",
    503: "It is not ready, or too many requests wait; try again later.",
}


class RefusedError(Exception):
    """A request that gets no prediction: the HTTP status, and why, without any of its values.

    Each violation is one row's, or the whole request's where it names no row.
    """

    def __init__(self, status: int, detail: str, violations: Sequence[Violation] = ()) -> None:
        super().__init__(detail)
        self.status, self.detail, self.violations = status, detail, violations

    @property
    def body(self) -> dict[str, Any]:
        """The answer."""
        shown = [
            {"row": next(iter(one.rows), None), "column": one.column, "reason": one.rule}
            for one in self.violations[:MAX_SHOWN]
        ]
        return {"detail": self.detail, **({"violations": shown} if shown else {})}


def parse(body: bytes) -> list[Row]:
    """Return the rows of `{"rows": [{…}, …]}`, each as the row model has it.

    Raises RefusedError.
    """
    rows, broken = [], []
    for number, row in enumerate(_rows(body)):
        try:
            rows.append(ROW.validate_python(row))
        except ValidationError as error:
            broken += [_violation(problem, number) for problem in error.errors(include_url=False)]
            if len(broken) >= MAX_SHOWN:
                break
    broken = broken or [
        Violation(name, REASONS["missing"], [number])
        for name in OPTIONAL.intersection(named(rows))
        for number, row in enumerate(rows)
        if name not in row
    ]
    if broken:
        raise _refusal(broken)
    return rows


def named(rows: Sequence[Row]) -> list[str]:
    """Return the columns that any of the rows has, in the schema's order."""
    return [name for name in COLUMNS if any(name in row for row in rows)]


def check(asked: Sequence[Sequence[Row]]) -> tuple[pd.DataFrame, list[RefusedError | None]]:
    """Judge the parsed rows of requests, all with the same columns, by what is left to pandera.

    Returns the typed rows of the requests that keep every rule, and each request's refusal.
    """
    names = named([row for rows in asked for row in rows])
    if WHOLE:
        each = [_whole(columns.frame(COLUMNS, names, rows)) for rows in asked]
        frames = [frame for frame, refused in each if refused is None]
        frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=names)
        return frame, [refused for _, refused in each]
    frame = columns.frame(COLUMNS, names, [row for rows in asked for row in rows])
    broken: list[list[Violation]] = [[] for _ in asked]
    for column, rule in CHECKS:
        if column in {None, *names}:
            for number, violation in _broken(column, rule, frame, [len(rows) for rows in asked]):
                broken[number].append(violation)
    if any(broken):
        good = [not broken[number] for number, rows in enumerate(asked) for _ in rows]
        frame = frame[good].reset_index(drop=True)
    return frame, [_refusal(found) if found else None for found in broken]


def describe() -> dict[str, Any]:
    """Return the description of requests and of their refusals for OpenAPI."""
    row = ROW.json_schema()
    for field in row["properties"].values():
        field.pop("title", None)
    rows = {"type": "array", "items": row, "minItems": 1, "maxItems": MAX_ROWS}
    body = {"type": "object", "properties": {"rows": rows}, "required": ["rows"],
            "additionalProperties": False}  # fmt: skip
    asked = {"required": True, "content": {"application/json": {"schema": body}}}
    return {"requestBody": asked, "responses": {str(status): refusal(said)
                                                for status, said in REFUSALS.items()}}  # fmt: skip


def refusal(said: str) -> dict[str, Any]:
    """Return the description of an answer that says in `detail` why there is no other."""
    detail = {"detail": {"type": "string"}, "violations": {"type": "array"}}
    answer = {"type": "object", "properties": detail, "required": ["detail"]}
    return {"description": said, "content": {"application/json": {"schema": answer}}}


def _broken(
    column: str | None, rule: pa.Check, frame: pd.DataFrame, lengths: Sequence[int]
) -> Iterator[tuple[int, Violation]]:
    """Find which of the requests, whose rows follow each other in `frame`, break a check."""
    said = columns.words(rule)
    result = rule(frame if column is None else frame[column])
    output = result.check_output
    if result.check_passed and (len(lengths) == 1 or isinstance(output, pd.Series | pd.DataFrame)):
        return
    if isinstance(output, pd.DataFrame):
        output = output.all(axis=1)
    if isinstance(output, pd.Series):
        places = [(number, row) for number, length in enumerate(lengths) for row in range(length)]
        for at in output.index[~output.astype(bool)]:
            number, row = places[at]
            yield number, Violation(column, said, [row])
    elif len(lengths) == 1:
        yield 0, Violation(column, said, [])
    else:  # one answer for all rows: each request is judged by its own
        start = 0
        for number, length in enumerate(lengths):
            part = frame.iloc[start : start + length].reset_index(drop=True)
            for _, violation in _broken(column, rule, part, [length]):
                yield number, violation
            start += length


def _whole(frame: pd.DataFrame) -> tuple[pd.DataFrame, RefusedError | None]:
    """Have pandera judge one request's rows in full."""
    checked, found = dataset.validate(frame, schema.Inputs)
    if found:
        each = [Violation(one.column, one.rule, rows) for one in found
                for rows in ([[row] for row in one.rows] or [[]])]  # fmt: skip
        return frame, _refusal(each)
    if not checked.index.equals(frame.index):
        raise RefusedError(500, "the schema drops or moves rows, so scores would not match rows")
    return checked, None


def _rows(body: bytes) -> list[Any]:
    """Return what a body has as rows, each still to be checked. Raises RefusedError."""
    try:
        text = body.decode()
        found = json.loads(text, object_pairs_hook=_members)
    except (ValueError, RecursionError):
        raise RefusedError(400, "the body is not JSON") from None
    try:
        if "\\ud" in text.lower():  # where half a character may have come from
            json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise RefusedError(422, "text must not hold half a surrogate pair") from None
    if not isinstance(found, dict) or [*found] != ["rows"] or not isinstance(found["rows"], list):
        raise RefusedError(422, 'the body must be {"rows": [{…}, …]}')
    rows: list[Any] = found["rows"]
    if not 1 <= len(rows) <= MAX_ROWS:
        raise RefusedError(422, f"between 1 and {MAX_ROWS} rows are allowed, not {len(rows)}")
    return rows


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON. Raises RefusedError where it has a name twice, or far too many."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise RefusedError(422, "an object has the same name twice")
    if len(pairs) > len(COLUMNS) + MAX_SHOWN:
        raise RefusedError(422, f"an object has {len(pairs)} names, the schema {len(COLUMNS)}")
    return members


def _violation(problem: Mapping[str, Any], row: int) -> Violation:
    """Say what pydantic found wrong with a row in the service's words, without its values."""
    name = str(problem["loc"][0])[:64] if problem["loc"] else None
    return Violation(name, _reason(problem), [row])


def _reason(problem: Mapping[str, Any]) -> str:
    kind, value = problem["type"], problem["input"]
    if kind not in {"missing", "extra_forbidden", "dict_type"}:
        if value is None:
            return "is null"
        if isinstance(value, dict | list):
            return "must be a single value"
    if kind == "value_error":
        return str(problem["ctx"]["error"])
    if kind == "float_type" and type(value) is int:  # more than a float64 can hold
        return NOT_FINITE
    said = str(problem["msg"]).replace("Input should", "must").replace("String should", "must")
    return REASONS.get(kind, said)


def _refusal(broken: Sequence[Violation]) -> RefusedError:
    first, more = broken[0], len(broken) - 1
    where = [f"row {row}" for row in first.rows] + ([f"column {first.column}"] * bool(first.column))
    said = f"{', '.join(where)}: {first.rule}" if where else first.rule
    least = "at least " * (len(broken) >= MAX_SHOWN)
    return RefusedError(422, f"{said} (and {least}{more} more)" if more else said, broken)
