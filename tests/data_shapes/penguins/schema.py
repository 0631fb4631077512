"""What a valid row looks like."""

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

TARGET = "species"
IDENTIFIER = "tag"
PERSONAL = ()
CLASSES = ["Adelie", "Chinstrap", "Gentoo", "King", "Emperor"]
ISLANDS = ["Biscoe", "Torgersen", "Dream", "NA", "Île, 'Sud'"]


class Inputs(pa.DataFrameModel):
    """What the model may be asked about."""

    island: Series[str] = pa.Field(isin=ISLANDS)
    sex: Series[str] = pa.Field(isin=["female", "male"], nullable=True)
    bill: Series[float] = pa.Field(in_range={"min_value": 20, "max_value": 80}, nullable=True)
    flipper: Series[pd.Int64Dtype] = pa.Field(ge=100, le=350, nullable=True)
    seen_before: Series[bool]

    class Config:
        """Unknown columns are refused, and values take the types above."""

        strict = True
        coerce = True


class Labelled(Inputs):
    """What the model learns from."""

    tag: Series[str] = pa.Field(unique=True)
    species: Series[str] = pa.Field(isin=CLASSES)


def groups(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the groups that quality is watched in."""
    return pd.DataFrame({"sex": rows["sex"].fillna("unknown")}, index=rows.index)
