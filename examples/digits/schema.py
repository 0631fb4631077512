"""What a valid row looks like. Yours: training, prediction and serving all check with this."""

from functools import cache
from typing import ClassVar

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

TARGET = "digit"
# Tells rows apart: it decides which of them are held out, and joins late labels.
IDENTIFIER = "image_id"
# Columns that identify a person: they reach no log, no metric, no artifact and no message.
PERSONAL: tuple[str, ...] = ()
# A picture has 8 rows of 8 pixels; each counts how many of the 16 dots it was made from were black.
SIDE, FULL = 8, 16
PIXELS = [f"r{row}c{column}" for row in range(SIDE) for column in range(SIDE)]


class Inputs(pa.DataFrameModel):
    """What the model may be asked about. Any column that is not named here is refused."""

    class Config:
        """Unknown columns are refused, and numbers read from text become numbers."""

        strict = True
        coerce = True

    @classmethod
    @cache
    def to_schema(cls) -> pa.DataFrameSchema:
        """Return the rules, with a column for each of the pixels."""
        pixels = {
            name: pa.Column(
                int,
                pa.Check.in_range(0, FULL),
                description=f"ink in row {name[1]}, column {name[3]}, of {FULL}",
            )
            for name in PIXELS
        }
        return super().to_schema().add_columns(pixels)

    @pa.dataframe_check(error="the picture is blank: less than a tenth of it is ink")
    @classmethod
    def there_is_a_digit(cls, rows: pd.DataFrame) -> Series[bool]:
        """The faintest digit of the source has nearly twice that."""
        return (ink(rows) >= 0.1).pipe(Series[bool])  # noqa: PLR2004

    @pa.dataframe_check(error="the picture is inverted: more than two thirds of it are ink")
    @classmethod
    def ink_is_on_paper(cls, rows: pd.DataFrame) -> Series[bool]:
        """The boldest digit of the source covers less than half of its paper."""
        return (ink(rows) <= 2 / 3).pipe(Series[bool])


class Labelled(Inputs):
    """What the model learns from: the inputs, what they are called, and the answer."""

    image_id: Series[str] = pa.Field(unique=True, str_matches=r"\AI\d{4,}\Z")
    digit: Series[int] = pa.Field(isin=list(range(10)), description="what was meant")

    class Config:
        """No picture may be there twice under two names."""

        unique: ClassVar = PIXELS

    @pa.check("digit", error="every digit must occur, each in at least a twentieth of rows")
    @classmethod
    def every_digit_occurs(cls, label: Series[int]) -> bool:
        """A digit that is hardly there is not learnt."""
        shares = label.value_counts(normalize=True)
        return bool(len(shares) == 10 and shares.min() >= 0.05)  # noqa: PLR2004


def ink(rows: pd.DataFrame) -> pd.Series:
    """Return the share of each picture that is ink."""
    return rows[PIXELS].mean(axis=1) / FULL


def lean(rows: pd.DataFrame) -> np.ndarray:
    """Return by how many pixels the ink of each picture moves right from one row to the next."""
    pictures = rows[PIXELS].to_numpy(dtype="float64").reshape(-1, SIDE, SIDE)
    weights = pictures / pictures.sum(axis=(1, 2), keepdims=True)
    down, right = (
        place - (weights * place).sum(axis=(1, 2), keepdims=True)
        for place in np.mgrid[:SIDE, :SIDE]
    )
    slope: np.ndarray = (weights * down * right).sum((1, 2)) / (weights * down**2).sum((1, 2))
    return slope


def groups(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the groups that quality and fairness are measured over: a text column for each."""
    slope, ways = lean(rows), ["to the right", "to the left"]
    stroke = pd.cut(ink(rows), [0, 0.29, 0.32, 1], labels=["thin", "medium", "bold"])
    leaning = np.select([slope < -0.02, slope > 0.1], ways, "upright")  # noqa: PLR2004
    return pd.DataFrame({"stroke": stroke.astype(str), "lean": leaning}, index=rows.index)
