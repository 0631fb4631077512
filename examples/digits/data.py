"""Where the rows come from. Yours: replace the body of `load` with your own source."""

import pandas as pd
from sklearn.datasets import load_digits

from .schema import PIXELS

SOURCE = "scikit-learn's load_digits (Alpaydin and Kaynak, Optical Recognition of Digits, 1998)"


def load() -> pd.DataFrame:
    """Return every labelled row, oldest first: 1,797 handwritten digits, one a row.

    The columns are those of `schema.Labelled`. The source has no identifier, so the row's number
    makes one.
    """
    source = load_digits()
    rows = pd.DataFrame(source.data.astype("int64"), columns=PIXELS)
    rows.insert(0, "image_id", [f"I{number:04d}" for number in range(len(rows))])
    rows["digit"] = source.target.astype("int64")
    return rows
