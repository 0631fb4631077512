"""What the model sees."""

import pandas as pd

from .ops import Features
from .schema import ISLANDS

features = Features()


@features.add
def island(rows: pd.DataFrame) -> pd.DataFrame:
    """One column an island, 1 for the penguin's own."""
    return pd.DataFrame({f"is_{i}": rows["island"] == name for i, name in enumerate(ISLANDS)})


@features.add
def bill(rows: pd.DataFrame) -> pd.Series:
    """Length of the bill in mm; may be missing."""
    return rows["bill"]


@features.add
def flipper(rows: pd.DataFrame) -> pd.Series:
    """Length of the flipper in mm; may be missing."""
    return rows["flipper"]
