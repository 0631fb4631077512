"""What the model sees."""

import pandas as pd

from .ops import Features

features = Features()


@features.add
def km(rows: pd.DataFrame) -> pd.Series:
    """Length of the trip."""
    return rows["km"]


@features.add
def minutes(rows: pd.DataFrame) -> pd.Series:
    """How long it took."""
    return rows["minutes"]


@features.add
def cash(rows: pd.DataFrame) -> pd.Series:
    """One where it was paid in cash."""
    return rows["cash"]
