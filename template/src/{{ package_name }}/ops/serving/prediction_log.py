"""What was served: features, scores and model, one JSON line a prediction, a file a day or more.

Late labels join on the prediction's id (monitoring.py), and the features are compared with those
of training (drift.py). Raw inputs and personal columns are never written.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core.files import append_lines, private, read_lines, write_json
from ..core.project import schema

ABOUT = ["prediction_id", "time", "model_version", "model_digest", "score", "problem"]
FEATURE = "feature."
# The files' names, and where quality on late labels is kept beside them.
DAYS, QUALITY = "????-??-??*.jsonl", "quality.json"
FOLDER = "predictions"
# A file ends at this share of what may be kept, so that the oldest can go. Rows are read as many
# at a time as PART, so that no log is too large to be looked at.
SHARE, PART = 10, 1000


class Log:
    """Appends to var/predictions; several processes may do so at once."""

    def __init__(
        self, var_dir: Path, version: str, digest: str, days: int = 90, size: int = 10**9
    ) -> None:
        """Write as the model of this version and digest.

        Files older than `days` are removed, and the oldest while there are more than `size` bytes.
        """
        self.folder = var_dir / FOLDER
        self.about = {"model_version": version, "model_digest": digest}
        self.days, self.size = days, size

    def predictions(self, ids: Sequence[str], features: pd.DataFrame, scores: np.ndarray) -> None:
        """Add one line for each of `scores`, (rows,) or (rows, classes). Raises OSError."""
        personal: list[str] = [*schema.PERSONAL]
        personal = [name for name in personal if name in features]
        kept = features.drop(columns=personal) if personal else features
        self._append(
            {"prediction_id": name, "score": score, "features": row}
            for name, score, row in zip(ids, scores.tolist(), records(kept), strict=True)
        )

    def problem(self, what: str) -> None:
        """Add a line for an answer that could not be given."""
        self._append([{"problem": what}])

    def _append(self, entries: Iterable[dict[str, object]]) -> None:
        now = datetime.now(UTC)
        about = {"time": now.isoformat(timespec="milliseconds"), **self.about}
        private(self.folder.parent)
        private(self.folder)
        path = self.folder / f"{now.date().isoformat()}.jsonl"
        first = not path.exists()
        append_lines(path, *(entry | about for entry in entries), mode=0o600)
        # Another process may do the same: what is gone by then is no matter.
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size > self.size // SHARE:
                path.rename(path.with_suffix(f".{now.strftime('%H%M%S%f')}.jsonl"))
                first = True
        if first:
            self._prune(now.date() - timedelta(days=self.days))

    def _prune(self, oldest: date) -> None:
        kept = 0
        for path in sorted(self.folder.glob(DAYS), reverse=True):
            with contextlib.suppress(OSError):  # tomorrow is another day
                kept += path.stat().st_size
                if path.name < oldest.isoformat() or kept > self.size:
                    path.unlink()


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as dicts of Python's values, as JSON has them: None where one is not finite.

    pandas' own way takes several times as long.
    """
    names = list(map(str, rows))
    values = rows.to_numpy(dtype=object, copy=True)
    values[rows.isna().to_numpy()] = None
    values[(values == np.inf) | (values == -np.inf)] = None
    return [dict(zip(names, row, strict=True)) for row in values.tolist()]


def read(var_dir: Path, since: date | None = None, **wanted: str) -> Iterator[pd.DataFrame]:
    """Yield what was logged on `since` (UTC) and after, oldest first, PART rows at a time.

    `wanted` has fields and what they must be. The columns are ABOUT and one `feature.<name>` for
    each feature; a line that is not whole is left out. Releases in containers have a folder of
    their own below, as they write as another user.
    """
    paths = sorted((var_dir / FOLDER).rglob(DAYS), key=lambda path: path.name)
    entries = (
        entry
        for path in paths
        if not since or path.name >= since.isoformat()
        for entry in read_lines(path)
        if all(entry.get(field) == value for field, value in wanted.items())
    )
    while part := list(islice(entries, PART)):
        for entry in part:
            features = entry.pop("features", {})
            entry |= {FEATURE + key: features[key] for key in features}
        frame = pd.DataFrame(part)
        yield frame.reindex(columns=[*ABOUT, *(name for name in frame if name not in ABOUT)])


def features(logged: pd.DataFrame) -> pd.DataFrame:
    """Return the features of the predictions in `logged`, under their own names."""
    rows = logged[logged["prediction_id"].notna()].filter(like=FEATURE)
    # Without a value, pandas cannot know that it is a column of numbers.
    rows = rows.astype({name: "float64" for name in rows if rows[name].isna().all()})
    return rows.rename(columns=lambda name: name.removeprefix(FEATURE))


def write_quality_drop(var_dir: Path, digest: str, drop: float) -> None:
    """Keep by how much a model's metric is lower on late labels than on the holdout.

    Each service reads it where its own log is. Raises UserError where it cannot be written.
    """
    own = var_dir / FOLDER
    below = [path for path in own.iterdir() if path.is_dir()] if own.is_dir() else []
    for folder in (own, *below):
        write_json(folder / QUALITY, {"model_digest": digest, "drop": drop})


def quality_drop(var_dir: Path, digest: str) -> float | None:
    """Return what `write_quality_drop` kept for this model; None where that is nothing."""
    try:
        kept = json.loads((var_dir / FOLDER / QUALITY).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return float(kept["drop"]) if kept["model_digest"] == digest else None
