"""What was served: features, scores and model, one JSON line a prediction, a file a day.

Late labels join on the prediction's id (monitoring.py), and the features are compared with those
of training (drift.py). Raw inputs and personal columns are never written.
"""

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from ..core.project import schema

ABOUT = ["prediction_id", "time", "model_version", "model_digest", "score", "problem"]
FEATURE = "feature."
# The files' names.
DAYS = "????-??-??.jsonl"


class Log:
    """Appends to var/predictions; several processes may do so at once."""

    def __init__(self, var_dir: Path, version: str, digest: str, days: int = 90) -> None:
        """Write as the model of this version and digest; files older than `days` are removed."""
        self.folder = var_dir / "predictions"
        self.about = {"model_version": version, "model_digest": digest}
        self.days = days
        self.torn = False

    def predictions(self, ids: Sequence[str], features: pd.DataFrame, scores: np.ndarray) -> None:
        """Add one line for each of `scores`, (rows,) or (rows, classes). Raises OSError."""
        told = np.asarray(scores).tolist()
        kept = features.drop(columns=[name for name in schema.PERSONAL if name in features])
        self._append(
            [
                {"prediction_id": name, "score": score, "features": row}
                for name, score, row in zip(ids, told, kept.to_dict("records"), strict=True)
            ]
        )

    def problem(self, what: str) -> None:
        """Add a line for an answer that could not be given."""
        self._append([{"problem": what}])

    def _append(self, entries: Sequence[Mapping[str, object]]) -> None:
        now = datetime.now(UTC)
        about = {"time": now.isoformat(timespec="milliseconds"), **self.about}
        text = "".join(json.dumps({**entry, **about}) + "\n" for entry in entries)
        self.folder.mkdir(parents=True, exist_ok=True)
        # One write on a file opened for appending: lines of two processes never mix. After a
        # write that a full disk cut short, a line break keeps the next line whole.
        content = ("\n" + text if self.torn else text).encode()
        path = self.folder / f"{now.date().isoformat()}.jsonl"
        first = not path.exists()
        target = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            self.torn = os.write(target, content) < len(content)
        finally:
            os.close(target)
        if self.torn:
            raise OSError("the disk is full")
        if first:
            self._prune(now.date() - timedelta(days=self.days))

    def _prune(self, oldest: date) -> None:
        for path in self.folder.glob(DAYS):
            if path.stem < oldest.isoformat():
                with contextlib.suppress(OSError):  # tomorrow is another day
                    path.unlink()


def read(var_dir: Path, since: date | None = None) -> pd.DataFrame:
    """Return what was logged on `since` (UTC) and after, oldest first.

    The columns are ABOUT and one `feature.<name>` for each feature; a line that is not whole is
    left out. Without any line the frame is empty, with the columns of ABOUT. Releases in containers
    have a folder of their own below, as they write as another user.
    """
    entries = []
    for path in sorted((var_dir / "predictions").rglob(DAYS), key=lambda path: path.stem):
        if since and path.stem < since.isoformat():
            continue
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, AttributeError):
                entry = json.loads(line)
                features = entry.pop("features", {})
                entries.append({**entry, **{FEATURE + key: features[key] for key in features}})
    frame = pd.DataFrame(entries)
    return frame.reindex(columns=[*ABOUT, *(name for name in frame if name not in ABOUT)])


def features(logged: pd.DataFrame) -> pd.DataFrame:
    """Return the features of the predictions in `logged`, under their own names."""
    rows = logged[logged["prediction_id"].notna()].filter(like=FEATURE)
    return rows.rename(columns=lambda name: name.removeprefix(FEATURE))
