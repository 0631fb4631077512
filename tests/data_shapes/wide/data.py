"""Where the rows come from: 300 measurements of one thing. Drawn, not real."""

import numpy as np
import pandas as pd

SOURCE = "drawn by NumPy's default_rng(3)"
ROWS, COLUMNS = 400, [f"m{number:03d}" for number in range(300)]


def load() -> pd.DataFrame:
    """Return 400 parts; a few of the measurements tell whether one fails."""
    draw = np.random.default_rng(3)
    measured = draw.normal(size=(ROWS, len(COLUMNS)))
    fails = measured[:, :10].sum(axis=1) + draw.normal(size=ROWS) > 0
    rows = pd.DataFrame(measured, columns=COLUMNS)
    return rows.assign(part=[f"part {number}" for number in range(ROWS)], fails=fails.astype(int))
