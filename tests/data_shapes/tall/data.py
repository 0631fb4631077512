"""Where the rows come from: trips of taxis. Drawn, not real."""

import numpy as np
import pandas as pd

SOURCE = "drawn by NumPy's default_rng(4)"
ROWS = 200_000


def load() -> pd.DataFrame:
    """Return 200,000 trips and what each cost."""
    draw = np.random.default_rng(4)
    km, minutes = draw.gamma(2, 3, ROWS).round(2), draw.gamma(3, 5, ROWS).round(1)
    cash = draw.binomial(1, 0.4, ROWS) == 1
    return pd.DataFrame(
        {
            "trip": [f"T{number:07d}" for number in range(ROWS)],
            "km": km,
            "minutes": minutes,
            "passengers": draw.integers(1, 6, ROWS),
            "cash": cash,
            "zone": draw.choice(["centre", "north", "south"], ROWS),
            "fare": 3 + 1.9 * km + 0.4 * minutes + cash * 0.5 + draw.normal(0, 0.5, ROWS),
        }
    )
