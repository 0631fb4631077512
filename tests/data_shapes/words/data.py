"""Where the rows come from: tickets of a help desk, all of it text. Drawn, not real."""

import numpy as np
import pandas as pd

SOURCE = "drawn by NumPy's default_rng(5)"
ROWS = 400
TEXTS = ['it, er, "broke"', "null", "naïve 数 question", "two\nlines", "  spaces  ", "1e5"]


def load() -> pd.DataFrame:
    """Return 400 tickets. Postal codes have leading zeros, and NA is Namibia."""
    draw = np.random.default_rng(5)
    country = draw.choice(["NA", "DE", "FR"], ROWS)
    text = draw.choice(TEXTS, ROWS)
    urgent = (text == TEXTS[0]) | (country == "NA") & (draw.binomial(1, 0.9, ROWS) == 1)
    return pd.DataFrame(
        {
            "ticket": [f"{number:07d}" for number in range(ROWS)],
            "postal": [f"{number:05d}" for number in draw.integers(0, 99999, ROWS)],
            "country": country,
            "text": text,
            "reply": pd.Series(draw.choice(TEXTS, ROWS)).mask(draw.binomial(1, 0.3, ROWS) == 1),
            "kind": np.where(urgent, "urgent", "calm"),
        }
    )
