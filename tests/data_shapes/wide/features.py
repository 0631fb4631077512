"""What the model sees."""

import pandas as pd

from .ops import Features
from .schema import COLUMNS

features = Features()


@features.add
def measured(rows: pd.DataFrame) -> pd.DataFrame:
    """Every measurement, as it is."""
    return rows[COLUMNS]
