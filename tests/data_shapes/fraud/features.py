"""What the model sees."""

import numpy as np
import pandas as pd

from .ops import Features

features = Features()


@features.add
def amount(rows: pd.DataFrame) -> pd.Series:
    """The logarithm of what was paid."""
    logarithm: pd.Series = np.log1p(rows["amount"])
    return logarithm


@features.add
def night(rows: pd.DataFrame) -> pd.Series:
    """One for a payment at night."""
    return rows["night"]


@features.add
def abroad(rows: pd.DataFrame) -> pd.Series:
    """One for a payment abroad."""
    return rows["abroad"]
