"""The data: made once, recorded by hash in data/manifest.json, and checked before every use."""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from ..core.errors import UserError, without_secrets
from ..core.files import load_json, private, read_file, write_file, write_json
from ..core.project import schema
from ..core.settings import NAME, Settings
from ..core.settings import settings as load_settings
from . import columns, values
from .record import HOLDOUT, TRAIN, DataManifest, verified

# What pandera calls its own checks, said for people.
RULES = {
    "not_nullable": "has missing values",
    "field_uniqueness": "must be unique",
    "multiple_fields_uniqueness": "rows are duplicated",
    "coerce_dtype('float64')": "must be numbers",
    "coerce_dtype('int64')": "must be whole numbers, none of them missing",
}
# Values that no file or request has.
UNKEPT: dict[str, list[Any]] = {
    "has empty text, which CSV cannot tell from a missing value; load None or a word instead": [""],
    values.NOT_FINITE: [np.inf, -np.inf],
}
UNSTABLE = (
    "does not come back from CSV as it was; give it a type in schema.py that holds its values"
)


@dataclass(frozen=True)
class Split:
    """The prepared rows, verified against `manifest` and the schema."""

    train: pd.DataFrame
    holdout: pd.DataFrame
    manifest: DataManifest


@dataclass(frozen=True)
class Violation:
    """One rule that some rows break. Holds no values: they may be personal."""

    column: str | None
    rule: str
    rows: list[int]

    def __str__(self) -> str:
        """Say it in one line."""
        subject = f"column {self.column}: " if self.column else ""
        where = f" ({len(self.rows)} rows, first is row {self.rows[0]})" if self.rows else ""
        return f"{subject}{self.rule}{where}"


def prepare(settings: Settings, *, accept: bool = False) -> DataManifest:
    """Load, check, split and write the rows, and compare them with data/manifest.json.

    Raises UserError, with the old files in place, if a row is invalid, if a value would be another
    one when it is read back, or if the rows are not the recorded ones and `accept` does not say
    that the change is meant.
    """
    # Only here: what loads the data may need packages that a service's image has not.
    from ..core.project import data

    rows = _source(data.load())
    unkept = [
        Violation(str(name), rule, at)
        for rule, kept in UNKEPT.items()
        for name in rows
        if (at := np.flatnonzero(rows[name].astype(object).isin(kept)).tolist())
    ]
    _refuse("the source", unkept)
    held = held_out(rows[_key()], settings.params.holdout)
    if held.all() or not held.any():
        left = "train on" if held.all() else "hold out"
        raise UserError(f"params.yaml: holdout {settings.params.holdout} leaves no rows to {left}")
    parts = {TRAIN: rows[~held], HOLDOUT: rows[held]}
    contents = {
        name: part.to_csv(index=False, lineterminator="\n").encode() for name, part in parts.items()
    }
    for name, text in contents.items():
        again = check(_typed(text, name), schema.Labelled, name)
        part = parts[name].reset_index(drop=True)
        lost = [column for column in part if not _same(part[column], again[column])]
        _refuse("the source", [Violation(str(column), UNSTABLE, []) for column in lost])
    made = DataManifest(
        source=without_secrets(data.SOURCE),
        columns=list(rows.columns),
        rows={name: len(part) for name, part in parts.items()},
        files={name: hashlib.sha256(text).hexdigest() for name, text in contents.items()},
    )
    path = settings.data_dir / "manifest.json"
    if path.exists() and not accept and (recorded := load_json(path, DataManifest)) != made:
        old, new = recorded.model_dump(), made.model_dump()
        names = [field for field in new if old[field] != new[field]]
        raise UserError(
            f"the source no longer gives what {path.name} records ({', '.join(names)} differ); "
            f"if that is meant, run `{NAME} prepare --accept` and commit {path.name}"
        )
    private(settings.data_dir)
    for name, text in contents.items():
        rows_file = settings.data_dir / name
        shared = rows_file.stat().st_mode & 0o044 if rows_file.exists() else 0
        write_file(rows_file, text, 0o600 | shared)
    write_file(path, (made.model_dump_json(indent=2) + "\n").encode())
    return made


def narrowed(settings: Settings, names: Collection[str], into: Path) -> Path:
    """Return a folder with the prepared data, for a model that knows no columns but `names`.

    It is `into`, or the project's own where there are no others. Raises UserError where one of
    `names` is gone.
    """
    manifest = verified(settings)
    kept = [name for name in manifest.columns if name in names]
    if gone := [name for name in names if name not in kept]:
        raise UserError(f"the data has no column {gone[0]} any more")
    if kept == manifest.columns:
        return settings.data_dir
    files = {}
    for name in manifest.files:
        cells = read_csv(settings.data_dir / name, {})[kept]
        text = cells.to_csv(index=False, lineterminator="\n").encode()
        write_file(private(into) / name, text, 0o600)
        files[name] = hashlib.sha256(text).hexdigest()
    made = manifest.model_copy(update={"columns": kept, "files": files})
    write_json(into / "manifest.json", made.model_dump())
    return into


def training_rows() -> pd.DataFrame:
    """Load the project's rows from their source and return those to train on, checked.

    For exploring: what is held out stays unseen. Raises UserError where a row is invalid.
    """
    from ..core.project import data

    rows = _source(data.load())
    return rows[~held_out(rows[_key()], load_settings().params.holdout)]


def _source(rows: Any) -> pd.DataFrame:
    """Return what `load` gave, checked. Raises UserError."""
    _roles()
    if not isinstance(rows, pd.DataFrame) or not rows.columns.is_unique:
        raise UserError("data.load() must return a DataFrame whose columns have different names")
    return check(rows, schema.Labelled, "the source")


def _roles() -> None:
    """Raise UserError where schema.py gives a role to a column that cannot have it."""
    labelled, inputs = (kind.to_schema().columns for kind in (schema.Labelled, schema.Inputs))
    personal: Any = schema.PERSONAL
    if isinstance(personal, str):
        raise UserError(f'schema.PERSONAL is text; with a comma it is a list: ("{personal}",)')
    said = [("PERSONAL", name) for name in personal]
    said += [("TARGET", schema.TARGET), ("IDENTIFIER", schema.IDENTIFIER)]
    for what, name in [*said, ("SPLIT_BY", _key())]:
        if name not in labelled:
            raise UserError(f"schema.{what}: schema.Labelled has no column {name}")
    for what, name in said:
        if name in inputs:
            raise UserError(
                f"schema.{what}: {name} is a column of schema.Inputs; move it to schema.Labelled, "
                "since no request is to hold it"
            )


def _key() -> str:
    """Return the column that decides what is held out: rows of one value stay together."""
    return str(getattr(schema, "SPLIT_BY", schema.IDENTIFIER))


def together(rows: pd.DataFrame) -> np.ndarray:
    """Return a number for each row, from 0 on, the same for rows that no split may part."""
    return pd.factorize(rows[_key()], use_na_sentinel=False)[0]


def read(settings: Settings) -> Split:
    """Return the prepared rows. Raises UserError unless they are what the manifest records."""
    manifest = verified(settings)
    _roles()
    train, holdout = (
        check(read_csv(settings.data_dir / name), schema.Labelled, name)
        for name in (TRAIN, HOLDOUT)
    )
    if held_out(train[_key()], settings.params.holdout).any():
        raise UserError(
            f"the data is not split by params.yaml's holdout and {_key()}; run `{NAME} prepare`"
        )
    return Split(train, holdout, manifest)


def read_csv(path: Path, types: Mapping[str, pa.Column] | None = None) -> pd.DataFrame:
    """Read a CSV file; the schema, or `types`, says what the columns are.

    Identifiers, and columns without a type, are text. An empty cell is a missing value, no other
    is. Raises UserError where the file cannot be read, or a cell is not of its column's type.
    """
    return _typed(read_file(path), str(path), types)


def _typed(content: bytes, name: str, types: Mapping[str, pa.Column] | None = None) -> pd.DataFrame:
    first, newline, _ = content.partition(b"\n")
    # A lone carriage return is a character like others where lines do not end with it.
    end = "\n" if newline and not first.endswith(b"\r") else None
    how: Any = {"keep_default_na": False, "na_values": [""], "lineterminator": end}
    try:
        rows: pd.DataFrame = pd.read_csv(BytesIO(content), dtype=object, **how)
    except (ValueError, pd.errors.ParserError) as error:
        raise UserError(f"{name} is not CSV: {error}") from None
    if not isinstance(rows.index, pd.RangeIndex):
        raise UserError(f"{name} is not CSV: its rows have more cells than its first line")
    if len(rows.columns) == 1 and re.search(r"[;\t|]", str(rows.columns[0])):
        raise UserError(f"{name} is not CSV: no comma separates its cells")
    if types is None:
        known = schema.Labelled.to_schema().columns
        types = {column: known[column] for column in known if column != schema.IDENTIFIER}
    broken = []
    for column in rows.columns.intersection(list(types)):
        rows[column], wrong = columns.read(rows[column], types[column])
        if wrong:
            broken.append(Violation(str(column), next(iter(wrong.values())), list(wrong)))
    _refuse(name, broken)
    return rows


def classes(scores: np.ndarray) -> list[Any] | None:
    """Return the class of each column of `scores`, (rows, classes); None where these are (rows,).

    They are what the schema allows the target to be, in its order, or else the columns' numbers.
    """
    if scores.ndim == 1:
        return None
    known = labels()
    return known if len(known) == scores.shape[1] else list(range(scores.shape[1]))


def labels() -> list[Any]:
    """Return what the schema allows the target to be, in its order; empty where it does not say."""
    target = schema.Labelled.to_schema().columns[schema.TARGET]
    return list(columns.categories(target).values()) or columns.allowed(target)


def _same(before: pd.Series, after: pd.Series) -> bool:
    """Tell whether two columns hold the same values, whatever dtype the schema leaves open."""
    if isinstance(before.dtype, pd.CategoricalDtype) and before.dtype != after.dtype:
        return False
    left, right = before.astype(object), after.astype(object)
    return bool(((left == right) | (before.isna() & after.isna())).all())


def check(rows: pd.DataFrame, model: type[pa.DataFrameModel], name: str) -> pd.DataFrame:
    """Return `rows` as `model` types them. Raises UserError with the first broken rules."""
    checked, broken = validate(rows, model)
    _refuse(name, broken)
    return checked


def _refuse(name: str, broken: list[Violation]) -> None:
    if broken:
        more = f"; and {len(broken) - 3} more" if len(broken) > 3 else ""  # noqa: PLR2004
        raise UserError(f"{name}: " + "; ".join(map(str, broken[:3])) + more)


def validate(
    rows: pd.DataFrame, model: type[pa.DataFrameModel]
) -> tuple[pd.DataFrame, list[Violation]]:
    """Return `rows` as `model` types them, and every rule they break."""
    rows = rows.reset_index(drop=True)
    if rows.empty:
        return rows, [Violation(None, "there are no rows", [])]
    try:
        checked = model.validate(rows, lazy=True)
    except SchemaErrors as error:
        checks = [check for column in error.schema.columns.values() for check in column.checks]
        rules = {**RULES, **{str(check.error): columns.words(check) for check in checks}}
        return rows, _violations(error.failure_cases, rules, len(error.schema.columns))
    return checked, _altered(rows, checked)


def _violations(cases: pd.DataFrame, rules: Mapping[str, str], known: int) -> list[Violation]:
    """Say in `cases`, pandera's table of failures, one line for each rule of `known` columns."""
    # A missing or unknown column stands where the failing value does.
    names = {"column_in_schema": "is not allowed", "column_in_dataframe": "is missing"}
    # Without a header, values of the first row stand where names do: then few names are known.
    header = (cases["check"] == "column_in_dataframe").sum() * 2 < known
    found = [
        Violation(str(case), names[rule], [])
        for rule, case in zip(cases["check"], cases["failure_case"], strict=True)
        if rule in names and (header or rule != "column_in_schema")
    ]
    if strange := 0 if header else int((cases["check"] == "column_in_schema").sum()):
        unknown = f"{strange} columns have names that the schema has not; is there a header?"
        found.insert(0, Violation(None, unknown, []))
    cases = cases[~cases["check"].isin(names)]
    # A check over whole rows is reported once a column, all with the same rows.
    where = cases["column"].mask(cases["schema_context"] == "DataFrameSchema", "")
    unreadable = set(where[cases["check"].str.startswith("coerce_dtype")])
    incomplete = bool(found or unreadable)
    for (column, rule), part in cases.groupby([where, "check"], sort=False, dropna=False):
        name, said = str(column), str(rule)
        if name in unreadable and not said.startswith("coerce_dtype"):
            continue  # every other rule of such a column fails with it
        at = sorted({int(index) for index in part["index"].dropna()})
        if incomplete and not name and not at:
            continue  # a check that could not run for want of a column
        plain = rules.get(said) or said.replace("coerce_dtype('", "must be ").removesuffix("')")
        found.append(Violation(name or None, plain, at))
    return found


def _altered(rows: pd.DataFrame, checked: pd.DataFrame) -> list[Violation]:
    """Find what pandera just cut or guessed on the way to `checked`: fractions, and truth."""
    found = []
    for column in checked.select_dtypes(["bool", "boolean"]):
        given, known = rows[column], checked[column].isna() & rows[column].isna()
        if (bad := np.flatnonzero(~(given.isin([True, False]) | known))).size:
            found.append(Violation(str(column), "must be true or false", bad.tolist()))
    for column in checked.select_dtypes("integer", exclude="timedelta"):
        numbers = pd.to_numeric(rows[column])
        cut = np.flatnonzero((numbers != checked[column]).fillna(value=False))
        if cut.size:
            found.append(Violation(str(column), "must be whole numbers", cut.tolist()))
    return found


def held_out(identifiers: pd.Series, share: float) -> pd.Series:
    """Tell which rows are held out: about `share` of them, by a hash of the identifier.

    New rows never move old ones across, so champions of any age face the same holdout.
    """
    limit = int(share * 2**32)
    return identifiers.map(
        lambda name: int.from_bytes(hashlib.sha256(str(name).encode()).digest()[:4]) < limit
    ).astype(bool)
