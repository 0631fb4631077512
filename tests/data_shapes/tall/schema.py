"""What a valid row looks like."""

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

TARGET = "fare"
IDENTIFIER = "trip"
PERSONAL: tuple[str, ...] = ()
CLASSES: list[str] = []


class Inputs(pa.DataFrameModel):
    """What the model may be asked about."""

    km: Series[float] = pa.Field(ge=0, le=200)
    minutes: Series[float] = pa.Field(ge=0, le=600)
    passengers: Series[int] = pa.Field(ge=1, le=8)
    cash: Series[bool]
    zone: Series[str] = pa.Field(isin=["centre", "north", "south"])

    class Config:
        """Unknown columns are refused, and values take the types above."""

        strict = True
        coerce = True


class Labelled(Inputs):
    """What the model learns from."""

    trip: Series[str] = pa.Field(unique=True)
    fare: Series[float]


def groups(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the groups that quality is watched in."""
    return rows[["zone"]]
