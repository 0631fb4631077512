"""What a valid row looks like."""

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

TARGET = "kind"
IDENTIFIER = "ticket"
PERSONAL: tuple[str, ...] = ()
CLASSES = ["calm", "urgent"]


class Inputs(pa.DataFrameModel):
    """What the model may be asked about."""

    postal: Series[str] = pa.Field(str_matches=r"\A\d{5}\Z")
    country: Series[str] = pa.Field(str_length={"min_value": 2, "max_value": 2})
    text: Series[str] = pa.Field(str_length={"min_value": 0, "max_value": 500})
    reply: Series[str] = pa.Field(nullable=True)

    class Config:
        """Unknown columns are refused, and values take the types above."""

        strict = True
        coerce = True


class Labelled(Inputs):
    """What the model learns from."""

    ticket: Series[str] = pa.Field(unique=True)
    kind: Series[str] = pa.Field(isin=CLASSES)


def groups(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the groups that quality is watched in."""
    return rows[["country"]]
