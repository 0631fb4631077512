"""Where the rows come from: deliveries, and how many hours each took. Drawn, not real."""

import numpy as np
import pandas as pd

SOURCE = "drawn by NumPy's default_rng(2)"
ROWS, NOON = 500, 12


def load() -> pd.DataFrame:
    """Return 500 deliveries, oldest first; some were not weighed, some not promised for a day."""
    draw = np.random.default_rng(2)
    ordered = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(ROWS) * 17, "h")
    picked = (ordered + pd.to_timedelta(draw.integers(1, 40, ROWS), "h")).tz_localize("UTC")
    promised = pd.Series(ordered.normalize() + pd.Timedelta(days=3))
    weight = draw.gamma(2, 3, ROWS).round(3)
    late = draw.binomial(1, 0.2, ROWS) == 1
    hours = 20 + 3 * weight + (picked.hour > NOON) * 8 + draw.normal(0, 2, ROWS)
    return pd.DataFrame(
        {
            "order": [f"{draw.integers(10**16, 10**17)}" for _ in range(ROWS)],
            "ordered": ordered,
            "picked": picked.tz_convert("Europe/Berlin"),
            "promised": promised.mask(late),
            "weight": np.where(draw.binomial(1, 0.15, ROWS) == 1, np.nan, weight),
            "parcels": pd.Series(draw.integers(1, 4, ROWS)).mask(late).astype("Int64"),
            "service": pd.Categorical(draw.choice(["slow", "fast"], ROWS), ["slow", "fast", "air"]),
            "hours": hours,
        }
    )
