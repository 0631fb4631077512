"""What the standard has to know of XGBoost: how models are kept, compared and repeated."""

import hashlib
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb

from .errors import UserError

# XGBoost brings the process down on many a damaged file, so a hash beside it is asked first.
FILE, HASH = "model.ubj", "model.ubj.sha256"
# How far a score may move between processors, as a share of it: the last digits of a float.
TOLERANCE = 1e-6


def canonical(model: xgb.Booster) -> dict[str, Any]:
    """Return what makes `model` equal to another: its trees, features, objective and attributes.

    Neither the device nor the threads that it was made on are in it. Lists become arrays, those of
    all trees one after the other, each kind in an array of its own.
    """
    learner = json.loads(model.save_raw("json"))["learner"]
    return {path: np.asarray(values) for path, values in columns(learner).items()}


def columns(value: Any, path: str = "") -> dict[str, list[Any]]:
    """Return the leaves of JSON's `value` under their keys, each list after its length."""
    found: dict[str, list[Any]] = {}
    match value:
        case dict():
            parts = [columns(part, f"{path}/{key}") for key, part in value.items()]
        case list() if value and isinstance(value[0], dict | list):
            parts = [{path: [len(value)]}, *(columns(part, f"{path}/each") for part in value)]
        case list():
            parts = [{f"{path}/length": [len(value)], path: value}]
        case _:
            parts = [{path: [value]}]
    for part in parts:
        for name, values in part.items():
            found.setdefault(name, []).extend(values)
    return found


def save(model: xgb.Booster, folder: Path, **options: Any) -> None:
    """Write `model` to `folder` as an MLflow model with a UBJ file; `options` go to MLflow."""
    import mlflow.xgboost

    mlflow.xgboost.save_model(model, str(folder), model_format="ubj", **options)
    content = (folder / FILE).read_bytes()
    (folder / HASH).write_text(f"{hashlib.sha256(content).hexdigest()}  {FILE}\n", encoding="utf-8")


def load(folder: Path) -> xgb.Booster:
    """Read a model that `save` wrote, to answer on the CPU; UBJ is data alone, nothing is run.

    Raises UserError where the file is missing or damaged.
    """
    try:
        content = (folder / FILE).read_bytes()
        recorded = (folder / HASH).read_bytes()
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest().encode() != recorded[:64]:
        raise UserError(f"{folder / FILE} is damaged: it is not what {HASH} beside it records")
    try:
        return stored(content)
    except xgb.core.XGBoostError as error:
        raise UserError(f"{folder / FILE} is no model: {str(error).splitlines()[0]}") from None


def stored(content: bytes | bytearray) -> xgb.Booster:
    """Return the model that UBJ's `content` holds, to run on one thread of the CPU.

    Each row is scored by itself, so more threads would give the same, and no sooner for few rows.
    """
    return xgb.Booster({"nthread": 1, "device": "cpu"}, model_file=bytearray(content))


@contextmanager
def deterministic(seed: int, threads: int, device: str) -> Iterator[None]:  # noqa: ARG001
    """Hold XGBoost to the recipe: it takes seed and threads with each fit, the device is tried.

    Raises UserError where `device` is cuda and there is none: XGBoost itself would only warn, and
    take the CPU.
    """
    if device == "cuda" and (reason := _without_cuda()):
        raise UserError(
            f"CUDA was asked for (ML_DEVICE, or device in pyproject.toml) and {reason}; "
            "run where there is a GPU, or set ML_DEVICE=cpu"
        )
    with xgb.config_context(verbosity=1):  # warnings are heard, whatever was set before
        yield


@cache
def _without_cuda() -> str:
    """Say why nothing can be fitted on CUDA; empty where it can be."""
    if not xgb.build_info()["USE_CUDA"]:
        return "this XGBoost was built without it"
    with warnings.catch_warnings(record=True) as heard, xgb.config_context(verbosity=1):
        warnings.simplefilter("always")
        try:
            xgb.train({"device": "cuda"}, xgb.DMatrix(np.eye(2), np.arange(2)), 1)
        except xgb.core.XGBoostError as error:
            return f"XGBoost cannot use it ({str(error).splitlines()[0]})"
    return "XGBoost finds no GPU" if any("GPU" in str(one.message) for one in heard) else ""
