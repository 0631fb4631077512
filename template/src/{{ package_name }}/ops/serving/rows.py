"""The row model: what one row of a request may be, derived from pandera's schema.

The schema is the one source. Types, nulls, ranges, allowed values and the form of text become a
pydantic model, which OpenAPI shows and which judges a row in microseconds. What cannot be said of
a single value (checks over columns or rows, checks of the project's own) stays pandera's.
"""

from typing import Annotated, Any, NotRequired

import pandas as pd
import pandera.pandas as pa
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, with_config
from typing_extensions import TypedDict

from ..data import values
from ..data.columns import categories, dtype_of, is_nullable, kind_of, number_of
from .constraints import constraints, one_of

Row = dict[str, Any]


def row_type(schema: pa.DataFrameSchema) -> Any:
    """Return the type of a row for pydantic: a dict with the schema's columns, and no others."""
    fields = {}
    for name, column in schema.columns.items():
        kind = _annotation(column)
        fields[name] = kind if column.required else NotRequired[kind]
    # Strict: JSON has types, and a value of one is not made one of another.
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return with_config(config)(TypedDict("Row", fields))  # type: ignore[operator]


def pandera_checks(schema: pa.DataFrameSchema) -> list[tuple[str | None, pa.Check]]:
    """Return the checks that the row model does not hold, each with its column."""
    checks: list[tuple[str | None, pa.Check]] = [
        (name, check) for name, column in schema.columns.items() for check in constraints(column)[1]
    ]
    checks += [(None, check) for check in schema.checks]
    return [(name, check) for name, check in checks if not check.raise_warning]


def needs_pandera(schema: pa.DataFrameSchema) -> bool:
    """Tell whether the schema asks for more than types and checks, so that all of it must run."""
    columns = schema.columns.values()
    return bool(
        any(column.unique or column.parsers or column.regex for column in columns)
        or any(column.default is not None or not _type(column) for column in columns)
        or schema.unique
        or schema.parsers
        or schema.index
        or schema.dtype
        or schema.add_missing_columns
        or schema.drop_invalid_rows
    )


def _annotation(column: pa.Column) -> Any:
    """Return the type of a column's values, with all that it holds them to."""
    kind, *readers = _type(column) or [Any, AfterValidator(values.scalar)]
    annotation: Any = Annotated[(kind, *constraints(column)[0], *readers)]
    if is_nullable(column):
        annotation = annotation | None
    return Annotated[annotation, Field(description=column.description)]


def _type(column: pa.Column) -> list[Any]:
    """Return the type of a column's values and how they are read; nothing where pandera does it."""
    dtype, number = dtype_of(column), number_of(column)
    match kind_of(column):
        case "i" | "u":
            return [int, BeforeValidator(values.whole(number))]
        case "f":
            narrow = values.narrow(number)
            return [float, AfterValidator(narrow)] if narrow else [float]
        case "b":
            return [bool]
        case "M":
            shown = Field(json_schema_extra={"format": "date-time"})
            return [str, AfterValidator(values.time(dtype)), shown]
    known = list(categories(column).values())
    if known and all(isinstance(value, str) for value in known):
        return [str, *one_of(known)]
    text = [Annotated[str, Field(min_length=1)], AfterValidator(values.filled)]
    return text if isinstance(dtype, pd.StringDtype) else []
