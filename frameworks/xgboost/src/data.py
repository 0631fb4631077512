"""Where the rows come from. Yours: replace the body of `load` with your own source."""

import pandas as pd
from sklearn.datasets import load_diabetes

SOURCE = "scikit-learn's load_diabetes (Efron et al., Least Angle Regression, 2004)"

NAMES = {"s1": "tc", "s2": "ldl", "s3": "hdl", "s4": "tch", "s5": "ltg", "s6": "glu"}


def load() -> pd.DataFrame:
    """Return every labelled row, oldest first: 442 patients in real units, one a row.

    The columns are those of `schema.Labelled`. The source has no identifier, so the row's number
    makes one. The label is the source's own: how far the disease got within a year.
    """
    rows: pd.DataFrame = load_diabetes(as_frame=True, scaled=False).frame.rename(columns=NAMES)
    rows.insert(0, "patient_id", [f"P{number:04d}" for number in range(len(rows))])
    rows["sex"] = rows["sex"].astype("int64")
    return rows.rename(columns={"target": "progression"})
