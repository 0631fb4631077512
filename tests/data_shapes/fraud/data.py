"""Where the rows come from: payments, few of them fraud. Drawn, not real."""

import numpy as np
import pandas as pd

SOURCE = "drawn by NumPy's default_rng(6)"
ROWS = 4000


def load() -> pd.DataFrame:
    """Return 4,000 payments; one in fifty is fraud. Their names are in no order."""
    draw = np.random.default_rng(6)
    fraud = draw.binomial(1, 0.02, ROWS) == 1
    names = draw.permutation(ROWS)
    return pd.DataFrame(
        {
            "payment": [f"{number * 7919 % 4001:x}-{number}" for number in names],
            "amount": (draw.gamma(2, 30, ROWS) + 150 * fraud).round(2),
            "night": draw.binomial(1, np.where(fraud, 0.8, 0.2), ROWS) == 1,
            "abroad": draw.binomial(1, np.where(fraud, 0.7, 0.1), ROWS) == 1,
            "fraud": fraud.astype(int),
        }
    )
