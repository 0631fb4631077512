"""What a valid row looks like."""

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

TARGET = "fraud"
IDENTIFIER = "payment"
PERSONAL = ("payment",)
CLASSES = [0, 1]


class Inputs(pa.DataFrameModel):
    """What the model may be asked about."""

    amount: Series[float] = pa.Field(ge=0)
    night: Series[bool]
    abroad: Series[bool]

    class Config:
        """Unknown columns are refused, and values take the types above."""

        strict = True
        coerce = True


class Labelled(Inputs):
    """What the model learns from."""

    payment: Series[str] = pa.Field(unique=True)
    fraud: Series[int] = pa.Field(isin=CLASSES)


def groups(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the groups that quality is watched in."""
    return pd.DataFrame({"time": rows["night"].map({True: "night", False: "day"})})
