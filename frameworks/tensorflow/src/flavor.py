"""What the standard has to know of TensorFlow: how models are kept, compared and repeated.

A model is a keras.Model of a class in model.py whose get_config gives what it was made with. Those
plain values and the weights are all that is stored of it, so no file holds code.

Take `keras` and `tf` from here: what TensorFlow reads from the environment has to stand there
before it is imported.
"""

import io
import json
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .errors import UserError
from .settings import settings

FILE = "model.npz"
# How far a score may move between processors, as a share of it: the last digit of a single.
TOLERANCE = 1e-6

os.environ |= {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    # oneDNN makes its code for the processor at hand: with AVX-512 it sums in another order than
    # without, and a digest would be of the machine. Its layers are off; its matrix product, which
    # TensorFlow uses all the same, keeps to AVX2. Fitting the example takes no longer.
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep quiet what libraries write to stderr for themselves, not by way of Python."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


with _unheard():  # while it is imported, TensorFlow logs whatever the level
    import keras
    import tensorflow as tf

__all__ = ["canonical", "deterministic", "keras", "load", "pack", "save", "tf", "unpack"]


def canonical(model: keras.Model) -> dict[str, Any]:
    """Return what makes `model` equal to another: its class, its arguments and its weights."""
    return {
        "class": type(model).__name__,
        "arguments": json.dumps(model.get_config(), sort_keys=True),
        "weights": model.get_weights(),
    }


@contextmanager
def deterministic(seed: int, threads: int, device: str) -> Iterator[None]:
    """Hold TensorFlow to algorithms that give the same each time, and seed its generators.

    On a GPU that costs speed, and there is no TF32. Number of threads and deterministic algorithms
    stay for the process: TensorFlow takes neither back. Raises UserError where it has started with
    another number of threads, and where `device` is cuda and there is none.
    """
    if device == "cuda" and not tf.config.list_physical_devices("GPU"):
        raise UserError(
            f"CUDA was asked for (ML_DEVICE, or device in pyproject.toml) and {_without_cuda()}; "
            "run where there is a GPU, or set ML_DEVICE=cpu"
        )
    _start(threads)
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    single = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(enabled=False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(single)


def _start(threads: int) -> None:
    """Let TensorFlow compute in `threads` threads, on which the last bits of its sums depend.

    Raises UserError where it has started already, with another number.
    """
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:
        before = tf.config.threading.get_intra_op_parallelism_threads() or "one for each core"
        raise UserError(
            f"TensorFlow started in this process with another number of threads ({before}) than "
            f"the {threads} asked for, and cannot change it; do this in a new process"
        ) from None


def _without_cuda() -> str:
    """Say why nothing can be fitted on CUDA."""
    if not tf.test.is_built_with_cuda():
        return "this TensorFlow was built without it"
    return "TensorFlow finds no GPU (it needs the packages of the group cuda, too)"


def save(model: keras.Model, folder: Path, **options: Any) -> None:
    """Write `model` to `folder` as an MLflow model; `options` go to MLflow's save_model.

    MLflow loads it as a pyfunc where this package can be imported.
    """
    import mlflow.pyfunc

    about = {"class": type(model).__name__, "arguments": model.get_config()}
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        file = Path(place) / FILE
        file.write_bytes(pack(about, model.get_weights()))
        # MLflow asks for rows to keep as an example; the signature says enough without them.
        warnings.filterwarnings("ignore", ".*An input example was not provided")
        mlflow.pyfunc.save_model(
            str(folder), loader_module=__name__, data_path=str(file), **options
        )


def load(folder: Path) -> keras.Model:
    """Read a model that `save` wrote, running none of its content, to answer on the CPU.

    Raises UserError where the file is missing or damaged, or holds more than weights.
    """
    return _read(folder / "data" / FILE)


def pack(about: Mapping[str, Any], arrays: list[np.ndarray]) -> bytes:
    """Return a file's content: plain values and arrays. Its format has a checksum of each part."""
    content = io.BytesIO()
    np.savez(content, np.array(json.dumps(about)), *arrays)
    return content.getvalue()


def unpack(path: Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Read what `pack` made. Raises UserError where `path` is missing or damaged."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as parts:
            about, *arrays = (parts[f"arr_{number}"] for number in range(len(parts)))
        return json.loads(str(about)), arrays
    except Exception as error:  # noqa: BLE001 - a damaged file fails in any way it likes
        raise _unusable(path, error) from None


def _read(path: Path) -> keras.Model:
    # Whichever comes first, answering or fitting, starts TensorFlow.
    with suppress(UserError):
        _start(settings().params.threads)
    about, weights = unpack(path)
    try:
        with tf.device("CPU:0"):
            made = _class(about["class"])(**about["arguments"])
            made.set_weights(weights)
    except Exception as error:  # noqa: BLE001 - as above
        raise _unusable(path, error) from None
    return made


def _class(name: str) -> type[keras.Model]:
    """Return a class of models by its name; nothing else that a file may name."""
    from .project import model

    found = getattr(model, name, None)
    if isinstance(found, type) and issubclass(found, keras.Model):
        return found
    raise ValueError(f"model.py has no model {name}")


def _unusable(path: Path, error: Exception) -> UserError:
    if isinstance(error, OSError) and error.strerror:
        return UserError(f"{path} cannot be read: {error.strerror}")
    return UserError(f"{path} is damaged: {' '.join(str(error).split())[:200]}")


class Scorer:
    """What MLflow gives to those who ask it for the model."""

    def __init__(self, network: keras.Model) -> None:
        """Answer with `network`."""
        self.network = network

    def predict(self, model_input: pd.DataFrame, params: Any = None) -> Any:  # noqa: ARG002
        """Return the scores of features (rows, columns)."""
        from .project import model

        return model.predict(self.network, model_input)


def _load_pyfunc(path: str) -> Scorer:
    """Read the model for MLflow."""
    return Scorer(_read(Path(path)))
