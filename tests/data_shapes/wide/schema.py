"""What a valid row looks like."""

from functools import cache

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

TARGET = "fails"
IDENTIFIER = "part"
PERSONAL: tuple[str, ...] = ()
CLASSES = [0, 1]
COLUMNS = [f"m{number:03d}" for number in range(300)]


class Inputs(pa.DataFrameModel):
    """What the model may be asked about."""

    class Config:
        """Unknown columns are refused, and values take the types above."""

        strict = True
        coerce = True

    @classmethod
    @cache
    def to_schema(cls) -> pa.DataFrameSchema:
        """Return the rules, with a column for each of the measurements."""
        column = {name: pa.Column(float, pa.Check.in_range(-10, 10)) for name in COLUMNS}
        return super().to_schema().add_columns(column)


class Labelled(Inputs):
    """What the model learns from."""

    part: Series[str] = pa.Field(unique=True)
    fails: Series[int] = pa.Field(isin=CLASSES)


def groups(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the groups that quality is watched in."""
    return pd.DataFrame({"side": (rows["m299"] > 0).map(str)}, index=rows.index)
