"""Where the rows come from: measured penguins, some of them not completely. Drawn, not real."""

import numpy as np
import pandas as pd

SOURCE = "drawn by NumPy's default_rng(1), to look like the Palmer penguins"
SPECIES = np.array(["Adelie", "Chinstrap", "Gentoo", "King", "Emperor"])
# One is called as others write a missing value.
ISLANDS = np.array(["Biscoe", "Torgersen", "Dream", "NA", "Île, 'Sud'"])
ROWS = 600


def load() -> pd.DataFrame:
    """Return 600 penguins; the bill of a tenth and the sex of a fifth are not known."""
    draw = np.random.default_rng(1)
    kind = draw.integers(0, 5, ROWS)
    flipper = np.array([190, 196, 217, 230, 250])[kind] + draw.normal(0, 6, ROWS)
    bill = (38 + 5 * kind + draw.normal(0, 2, ROWS)).round(1)
    sex = pd.Series(draw.choice(["female", "male", "unknown"], ROWS, p=[0.4, 0.4, 0.2]))
    return pd.DataFrame(
        {
            "tag": [f"{number:05d}" for number in draw.permutation(ROWS)],
            "island": ISLANDS[np.where(draw.binomial(1, 0.3, ROWS) == 1, 2, kind)],
            "sex": sex.mask(sex == "unknown"),
            "bill": np.where(draw.binomial(1, 0.1, ROWS) == 1, np.nan, bill),
            "flipper": pd.Series(flipper.round())
            .mask(draw.binomial(1, 0.1, ROWS) == 1)
            .astype("Int64"),
            "seen_before": draw.binomial(1, 0.5, ROWS) == 1,
            "species": SPECIES[kind],
        }
    )
