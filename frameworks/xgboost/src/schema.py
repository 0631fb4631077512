"""What a valid row looks like. Yours: training, prediction and serving all check with this."""

from typing import ClassVar

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

TARGET = "progression"
# Tells rows apart: it decides which of them are held out, and joins late labels.
IDENTIFIER = "patient_id"
# Columns that identify a person: they reach no log, no metric, no artifact and no message.
PERSONAL = ("patient_id",)


class Inputs(pa.DataFrameModel):
    """What the model may be asked about. Any column that is not named here is refused."""

    age: Series[float] = pa.Field(in_range={"min_value": 18, "max_value": 110}, description="years")
    sex: Series[int] = pa.Field(isin=[1, 2], description="as coded by the source")
    bmi: Series[float] = pa.Field(in_range={"min_value": 10, "max_value": 80}, description="kg/m2")
    bp: Series[float] = pa.Field(
        in_range={"min_value": 40, "max_value": 200}, description="mean arterial pressure, mmHg"
    )
    tc: Series[float] = pa.Field(in_range={"min_value": 50, "max_value": 500}, description="mg/dl")
    ldl: Series[float] = pa.Field(in_range={"min_value": 10, "max_value": 400}, description="mg/dl")
    hdl: Series[float] = pa.Field(in_range={"min_value": 10, "max_value": 150}, description="mg/dl")
    tch: Series[float] = pa.Field(
        in_range={"min_value": 1, "max_value": 15}, description="tc / hdl"
    )
    ltg: Series[float] = pa.Field(
        in_range={"min_value": 2, "max_value": 8}, description="log of triglycerides"
    )
    glu: Series[float] = pa.Field(in_range={"min_value": 30, "max_value": 400}, description="mg/dl")

    class Config:
        """Unknown columns are refused, and numbers read from text become numbers."""

        strict = True
        coerce = True

    @pa.dataframe_check(error="hdl and ldl together cannot exceed tc")
    @classmethod
    def parts_fit_the_total(cls, rows: pd.DataFrame) -> Series[bool]:
        """Total cholesterol holds both of its parts."""
        return (rows["hdl"] + rows["ldl"] <= rows["tc"]).pipe(Series[bool])

    @pa.dataframe_check(error="tch must be tc / hdl, to within 1")
    @classmethod
    def ratio_is_the_ratio(cls, rows: pd.DataFrame) -> Series[bool]:
        """The source rounds the ratio, mostly to whole numbers."""
        return ((rows["tch"] - rows["tc"] / rows["hdl"]).abs() <= 1).pipe(Series[bool])


class Labelled(Inputs):
    """What the model learns from: the inputs, who they belong to, and the answer."""

    patient_id: Series[str] = pa.Field(unique=True, str_matches=r"\AP\d{4,}\Z")
    progression: Series[float] = pa.Field(
        in_range={"min_value": 0, "max_value": 400}, description="of the disease, after a year"
    )

    class Config:
        """No patient may be measured twice under two names."""

        unique: ClassVar = ["age", "sex", "bmi", "bp", "tc", "ldl", "hdl", "tch", "ltg", "glu"]

    @pa.check("progression", error="labels must differ, by a tenth of their mean at least")
    @classmethod
    def labels_differ(cls, label: Series[float]) -> bool:
        """A sample with one answer teaches nothing."""
        return bool(label.std(ddof=0) >= 0.1 * label.mean())


def groups(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the groups that quality and fairness are measured over: a text column for each."""
    return pd.DataFrame(
        {
            "sex": rows["sex"].map({1: "sex 1", 2: "sex 2"}),
            "age_band": pd.cut(
                rows["age"], [0, 40, 55, 200], labels=["under 40", "40 to 55", "over 55"]
            ).astype(str),
        },
        index=rows.index,
    )
