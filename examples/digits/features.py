"""What the model sees. Yours: one function a feature, used by training and serving alike.

A feature is a function of the rows that returns one number a row, or a block: a table with one
row for every row. Its name is the column's name, or what the names of the block's columns start
with.
"""

import pandas as pd

from .ops import Features
from .schema import FULL, PIXELS

features = Features()


@features.add
def image(rows: pd.DataFrame) -> pd.DataFrame:
    """The picture, row of pixels by row, each pixel as its share of full ink."""
    shares = rows[PIXELS].to_numpy(dtype="float64") / FULL
    return pd.DataFrame(shares, index=rows.index, columns=PIXELS)
