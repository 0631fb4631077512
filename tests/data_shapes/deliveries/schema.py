"""What a valid row looks like."""

from typing import Annotated

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

TARGET = "hours"
IDENTIFIER = "order"
PERSONAL: tuple[str, ...] = ()
CLASSES: list[str] = []
START = pd.Timestamp("2000-01-01")


class Inputs(pa.DataFrameModel):
    """What the model may be asked about."""

    ordered: Series[pd.Timestamp] = pa.Field(ge=START)
    picked: Series[Annotated[pd.DatetimeTZDtype, "ns", "Europe/Berlin"]]
    promised: Series[pd.Timestamp] = pa.Field(nullable=True)
    weight: Series[float] = pa.Field(ge=0, le=100, nullable=True)
    parcels: Series[pd.Int64Dtype] = pa.Field(ge=1, nullable=True)
    service: Series[Annotated[pd.CategoricalDtype, ["slow", "fast", "air"], False]]

    class Config:
        """Unknown columns are refused, and values take the types above."""

        strict = True
        coerce = True


class Labelled(Inputs):
    """What the model learns from."""

    order: Series[str] = pa.Field(unique=True)
    hours: Series[float] = pa.Field(ge=0)


def groups(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the groups that quality is watched in."""
    few = pd.cut(rows["parcels"].astype("Float64"), [0, 2, 9])  # intervals, some missing
    return pd.DataFrame({"service": rows["service"], "parcels < 9": few}, index=rows.index)
