"""What the model sees."""

import pandas as pd

from .ops import Features

features = Features()
NOON = 12


@features.add
def weight(rows: pd.DataFrame) -> pd.Series:
    """Weight in kg; may be missing."""
    return rows["weight"]


@features.add
def picked_late(rows: pd.DataFrame) -> pd.Series:
    """One where it was picked after noon, UTC."""
    late: pd.Series = rows["picked"].dt.tz_convert("UTC").dt.hour > NOON
    return late


@features.add
def times(rows: pd.DataFrame) -> pd.DataFrame:
    """Hours from the order to the pick-up, and to the promised day, which may be missing."""
    ordered = rows["ordered"].dt.tz_localize("UTC")
    promised = rows["promised"].dt.tz_localize("UTC")
    waits = {"pick": rows["picked"] - ordered, "promise": promised - ordered}
    return pd.DataFrame({name: wait.dt.total_seconds() / 3600 for name, wait in waits.items()})
