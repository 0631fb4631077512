"""Golden predictions: a few rows and the scores that they got at training, kept in each bundle.

Whoever loads a bundle scores the rows again. A difference means that model, features or libraries
compute something else than at training.
"""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from pydantic import BaseModel

from ..core.errors import UserError
from ..data import values

ROWS = 8


class Golden(BaseModel):
    """golden.json: inputs as a client sends them, and their scores.

    `tolerance` is how far a score may move, as a share of it: last digits depend on the processor.
    """

    inputs: list[dict[str, Any]]
    scores: list[float] | list[list[float]]
    tolerance: float = 1e-9

    def compare(self, scores: Sequence[object]) -> None:
        """Raise UserError unless `scores` are those of training."""
        if len(scores) != len(self.scores):
            raise UserError(f"golden predictions: {len(scores)} scores for {len(self.scores)} rows")
        for row, (score, expected) in enumerate(zip(scores, self.scores, strict=True)):
            if not close(score, expected, self.tolerance):
                raise UserError(
                    f"golden prediction {row} is {score!r}, but was {expected!r} at training"
                )


def as_sent(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return typed rows as JSON has them: missing values as null, what JSON has not as text."""
    plain = rows.astype(object).where(rows.notna(), None).to_dict("records")
    return [{str(name): _plain(value) for name, value in row.items()} for row in plain]


def _plain(value: Any) -> Any:
    value = values.plain(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def close(score: object, expected: object, tolerance: float) -> bool:
    """Compare two scores, or two lists of them; what is no number is close to nothing."""
    if isinstance(score, list) and isinstance(expected, list):
        pairs = zip(score, expected, strict=False)
        return len(score) == len(expected) and all(close(*pair, tolerance) for pair in pairs)
    if not isinstance(score, int | float) or not isinstance(expected, int | float):
        return False
    return math.isclose(score, expected, rel_tol=tolerance, abs_tol=tolerance / 1000)
