"""From the bodies of requests to answers: the one path that golden rows and clients' rows take.

Nothing is counted, logged or kept here; an Outcome says what is to be recorded.
"""

import traceback
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel

from ..core.project import features, model
from ..data import dataset
from ..training import evaluation
from . import requests
from .requests import RefusedError
from .rows import Row


class Prediction(BaseModel):
    """One row's answer: a score, or one for each class, and the label that it stands for."""

    prediction_id: str
    score: float | list[float]
    label: bool | int | float | str


class Answer(BaseModel):
    """Predictions in the order of the rows, and which model made them.

    `classes` says which class each score of a list is for; null where a score is one number.
    """

    predictions: list[Prediction]
    classes: list[bool | int | float | str] | None
    model_version: str
    model_digest: str
    run_id: str | None


@dataclass(frozen=True)
class Predictor:
    """A fitted model, and which one it is."""

    model: Any
    version: str
    digest: str
    run_id: str | None


class ScoringError(RefusedError):
    """A request on which the features or the model failed.

    `problem` names the failure, `where` its place in the code. `nonfinite` counts the values that
    were no finite numbers, by where they stood. The error's own words may hold values of the
    client's, so they are not kept.
    """

    def __init__(
        self,
        detail: str,
        problem: str,
        cause: Exception | None = None,
        nonfinite: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(500, detail)
        self.problem, self.nonfinite, self.where = problem, nonfinite or {}, ""
        if cause:
            at = "".join(traceback.format_tb(cause.__traceback__)[-1:]).strip()
            self.where = f"{type(cause).__name__}, {at}"


@dataclass(frozen=True)
class Scored:
    """Rows that were scored together: their ids, inputs, features and scores.

    `nonfinite` counts the features that are no finite numbers; see `unexplained`.
    """

    ids: list[str]
    rows: pd.DataFrame
    x: pd.DataFrame
    scores: np.ndarray
    nonfinite: int


@dataclass(frozen=True)
class Outcome:
    """An answer or an error for each request, in order, and the rows that were scored."""

    answers: list[Answer | RefusedError]
    scored: list[Scored]


def answer(predictor: Predictor, bodies: Sequence[bytes]) -> Outcome:
    """Check and score the rows of requests. What is wrong with one does not affect the others."""
    answers: dict[int, Answer | RefusedError] = {}
    scored: list[Scored] = []
    alike: defaultdict[tuple[str, ...], dict[int, list[Row]]] = defaultdict(dict)
    for number, body in enumerate(bodies):
        try:
            rows = requests.parse(body)
        except RefusedError as refused:
            answers[number] = refused
        else:
            alike[tuple(requests.named(rows))][number] = rows
    for asked in alike.values():
        answers |= _together(predictor, asked, scored)
    return Outcome([answers[number] for number in range(len(bodies))], scored)


def _together(
    predictor: Predictor, asked: Mapping[int, list[Row]], scored: list[Scored]
) -> dict[int, Answer | RefusedError]:
    """Answer numbered requests with the same columns; those that cannot be scored, in halves."""
    answers: dict[int, Answer | RefusedError] = {}
    try:
        rows, refusals = requests.check(list(asked.values()))
        answers |= {
            number: refused
            for number, refused in zip(asked, refusals, strict=True)
            if refused is not None
        }
        lengths = {number: len(own) for number, own in asked.items() if number not in answers}
        if lengths:
            found, labels = _score(predictor, rows)
            answers |= _answers(predictor, lengths, found.ids, found.scores, labels)
            scored.append(found)
    except RefusedError as refused:
        failed = refused
    except Exception as error:  # noqa: BLE001 - it must not reach those who asked at the same time
        detail = f"answering failed: {type(error).__name__}"
        failed = ScoringError(detail, "answering failed", error)
    else:
        return answers
    if len(asked) == 1:
        return dict.fromkeys(asked, failed)
    numbers = list(asked)
    for part in (numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]):
        answers |= _together(predictor, {number: asked[number] for number in part}, scored)
    return answers


def _score(predictor: Predictor, rows: pd.DataFrame) -> tuple[Scored, list[Any]]:
    """Return the scored rows and their labels. Raises ScoringError."""
    nonfinite: dict[str, int] = {}
    try:
        x = features.features.build(rows)
        nonfinite["feature"] = unexplained(rows, x)
        scores = np.asarray(model.predict(predictor.model, x), dtype="float64")
        labels = model.decide(scores).tolist()
    except Exception as error:  # noqa: BLE001 - a feature or a model may raise anything
        detail = f"scoring failed: {type(error).__name__}"
        raise ScoringError(detail, "scoring failed", error, nonfinite) from None
    if not evaluation.shaped(scores, len(rows)):
        detail = f"the model gave shape {scores.shape} for {len(rows)} rows"
        raise ScoringError(detail, "scores of the wrong shape", nonfinite=nonfinite)
    if bad := np.flatnonzero(~np.isfinite(scores.reshape(len(rows), -1)).all(axis=1)).tolist():
        detail = f"the score of row {bad[0]} is not a finite number; none is returned"
        nonfinite["score"] = len(bad)
        raise ScoringError(detail, "score not finite", nonfinite=nonfinite)
    ids = [uuid.uuid4().hex for _ in range(len(rows))]
    return Scored(ids, rows, x, scores, nonfinite["feature"]), labels


def unexplained(rows: pd.DataFrame, x: pd.DataFrame) -> int:
    """Count features that are no finite numbers, but for those missing beside a missing input."""
    values = x.to_numpy()
    bad = ~np.isfinite(values)
    if bad.any():
        whole = rows.reindex(columns=list(requests.COLUMNS)).notna().all(axis=1).to_numpy()
        bad &= np.isinf(values) | whole[:, np.newaxis]
    return int(bad.sum())


def _answers(
    predictor: Predictor,
    lengths: Mapping[int, int],
    ids: list[str],
    scores: np.ndarray,
    labels: list[Any],
) -> dict[int, Answer | RefusedError]:
    """Deal out what was found for all rows, in their order."""
    each_row = iter(zip(ids, scores.tolist(), labels, strict=True))
    classes = dataset.classes(scores)
    return {
        number: Answer(
            predictions=[
                Prediction(prediction_id=name, score=score, label=label)
                for name, score, label in islice(each_row, length)
            ],
            classes=classes,
            model_version=predictor.version,
            model_digest=predictor.digest,
            run_id=predictor.run_id,
        )
        for number, length in lengths.items()
    }
