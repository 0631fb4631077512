"""What the model sees."""

import pandas as pd

from .ops import Features

features = Features()


@features.add
def namibia(rows: pd.DataFrame) -> pd.Series:
    """One where the ticket comes from Namibia."""
    return rows["country"] == "NA"


@features.add
def broke(rows: pd.DataFrame) -> pd.Series:
    """One where the text says that something broke."""
    return rows["text"].str.contains("broke", regex=False)
