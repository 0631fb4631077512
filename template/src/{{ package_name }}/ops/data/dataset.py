"""The data: made once, recorded by hash in data/manifest.json, and checked before every use."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from ..core.errors import UserError
from ..core.files import load_json, write_file
from ..core.project import data, schema
from ..core.settings import NAME, Settings
from ..core.settings import settings as load_settings
from .record import HOLDOUT, TRAIN, DataManifest, verified

# What pandera calls its own checks, said for people.
RULES = {
    "not_nullable": "has missing values",
    "field_uniqueness": "must be unique",
    "multiple_fields_uniqueness": "rows are duplicated",
    "coerce_dtype('float64')": "must be numbers",
    "coerce_dtype('int64')": "must be whole numbers",
}


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

    Raises UserError, with the old files in place, if a row is invalid or if the rows are not the
    recorded ones and `accept` does not say that the change is meant.
    """
    rows = check(data.load(), schema.Labelled, "the source")
    held = held_out(rows[schema.IDENTIFIER], settings.params.holdout)
    parts = {TRAIN: rows[~held], HOLDOUT: rows[held]}
    contents = {
        name: part.to_csv(index=False, lineterminator="\n").encode() for name, part in parts.items()
    }
    made = DataManifest(
        source=data.SOURCE,
        columns=list(rows.columns),
        rows={name: len(part) for name, part in parts.items()},
        files={name: hashlib.sha256(text).hexdigest() for name, text in contents.items()},
    )
    path = settings.data_dir / "manifest.json"
    if path.exists() and not accept and (recorded := load_json(path, DataManifest)) != made:
        names = [field for field in ("source", "columns", "rows", "files")
                 if getattr(recorded, field) != getattr(made, field)]  # fmt: skip
        raise UserError(
            f"the source no longer gives what {path.name} records ({', '.join(names)} differ); "
            f"if that is meant, run `{NAME} prepare --accept` and commit {path.name}"
        )
    for name, text in contents.items():
        write_file(settings.data_dir / name, text)
    write_file(path, (made.model_dump_json(indent=2) + "\n").encode())
    return made


def training_rows() -> pd.DataFrame:
    """Load the project's rows from their source and return those to train on, checked.

    For exploring: what is held out stays unseen. Raises UserError where a row is invalid.
    """
    rows = check(data.load(), schema.Labelled, "the source")
    return rows[~held_out(rows[schema.IDENTIFIER], load_settings().params.holdout)]


def read(settings: Settings) -> Split:
    """Return the prepared rows. Raises UserError unless they are what the manifest records."""
    manifest = verified(settings)
    train, holdout = (
        check(read_csv(settings.data_dir / name), schema.Labelled, name)
        for name in (TRAIN, HOLDOUT)
    )
    if held_out(train[schema.IDENTIFIER], settings.params.holdout).any():
        raise UserError(f"params.yaml's holdout is not what split the data; run `{NAME} prepare`")
    return Split(train, holdout, manifest)


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV file exactly. Raises UserError where it is missing, empty or not CSV."""
    try:
        return pd.read_csv(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, pd.errors.ParserError) as error:
        raise UserError(f"{path} is not CSV: {' '.join(str(error).split())}") from None


def check(rows: pd.DataFrame, model: type[pa.DataFrameModel], name: str) -> pd.DataFrame:
    """Return `rows` as `model` types them. Raises UserError with the first broken rules."""
    checked, broken = validate(rows, model)
    if broken:
        more = f"; and {len(broken) - 3} more" if len(broken) > 3 else ""  # noqa: PLR2004
        raise UserError(f"{name}: " + "; ".join(map(str, broken[:3])) + more)
    return checked


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
        return rows, _violations(error.failure_cases)
    return checked, _truncated(rows, checked)


def _violations(cases: pd.DataFrame) -> list[Violation]:
    """Say in `cases`, pandera's table of failures, one line for each rule of each column."""
    # A missing or unknown column stands where the failing value does.
    names = {"column_in_schema": "is not allowed", "column_in_dataframe": "is missing"}
    found = [
        Violation(str(case), names[rule], [])
        for rule, case in zip(cases["check"], cases["failure_case"], strict=True)
        if rule in names
    ]
    cases = cases[~cases["check"].isin(names)]
    # A check over whole rows is reported once a column, all with the same rows.
    columns = cases["column"].mask(cases["schema_context"] == "DataFrameSchema", "")
    unreadable = set(columns[cases["check"].str.startswith("coerce_dtype")])
    incomplete = bool(found or unreadable)
    for (column, rule), part in cases.groupby([columns, "check"], sort=False, dropna=False):
        name, said = str(column), str(rule)
        if name in unreadable and not said.startswith("coerce_dtype"):
            continue  # every other rule of such a column fails with it
        at = sorted({int(index) for index in part["index"].dropna()})
        if incomplete and not name and not at:
            continue  # a check that could not run for want of a column
        found.append(Violation(name or None, RULES.get(said, said), at))
    return found


def _truncated(rows: pd.DataFrame, checked: pd.DataFrame) -> list[Violation]:
    """Find the fractions that became whole numbers on the way to `checked`: pandas just cuts."""
    found = []
    for column in checked.select_dtypes("integer"):
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
