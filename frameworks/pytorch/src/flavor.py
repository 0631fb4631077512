"""What the standard has to know of PyTorch: how models are kept, compared and repeated.

A model is an nn.Module of a class in model.py, with an attribute `arguments`: the plain values
that it was made with. Arguments and weights are all that is stored of it, so no file holds code.
"""

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from .errors import UserError

FILE = "model.pt"
# How far a score may move between processors, as a share of it: the last digit of a single.
TOLERANCE = 1e-6


def canonical(model: nn.Module) -> dict[str, Any]:
    """Return what makes `model` equal to another: its class, its arguments and its weights."""
    weights = {name: value.cpu().numpy() for name, value in model.state_dict().items()}
    return {"class": type(model).__name__, "arguments": model.arguments, "weights": weights}


@contextmanager
def deterministic(seed: int, threads: int, device: str) -> Iterator[None]:
    """Hold PyTorch to algorithms that give the same each time, and seed its generators.

    On a GPU that costs speed: no benchmarking of algorithms, no TF32. Raises UserError where
    `device` is cuda and there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            f"CUDA was asked for (ML_DEVICE, or device in pyproject.toml) and {_without_cuda()}; "
            "run where there is a GPU, or set ML_DEVICE=cpu"
        )
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    multiply = torch.get_float32_matmul_precision()
    # cuBLAS reads this when it is first used; without it its sums may differ between runs.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode=True)
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(mode=before[1])
        torch.set_float32_matmul_precision(multiply)


def save(model: nn.Module, folder: Path, **options: Any) -> None:
    """Write `model` to `folder` as an MLflow model; `options` go to MLflow's save_model.

    MLflow loads it as a pyfunc where this package can be imported.
    """
    import mlflow.pyfunc

    stored = {
        "class": type(model).__name__,
        "arguments": model.arguments,
        "weights": model.state_dict(),
    }
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        file = Path(place) / FILE
        torch.save(stored, file)
        # MLflow asks for rows to keep as an example; the signature says enough without them.
        warnings.filterwarnings("ignore", ".*An input example was not provided")
        mlflow.pyfunc.save_model(
            str(folder), loader_module=__name__, data_path=str(file), **options
        )


def load(folder: Path) -> nn.Module:
    """Read a model that `save` wrote, running none of its content, to answer on the CPU.

    Raises UserError where the file is missing or damaged, or holds more than weights.
    """
    return _read(folder / "data" / FILE)


def _read(path: Path) -> nn.Module:
    try:
        stored = torch.load(path, "cpu", weights_only=True)
        made = _class(stored["class"])(**stored["arguments"])
        made.load_state_dict(stored["weights"])
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except Exception as error:  # noqa: BLE001 - a damaged file fails in any way it likes
        said = " ".join(str(error).split())
        raise UserError(f"{path} is damaged: {said[:200]}") from None
    return made.eval()


def _class(name: str) -> type[nn.Module]:
    """Return a class of models by its name; nothing else that a file may name."""
    from .project import model

    found = getattr(model, name, None)
    if isinstance(found, type) and issubclass(found, nn.Module):
        return found
    raise ValueError(f"model.py has no model {name}")


def _without_cuda() -> str:
    """Say why nothing can be fitted on CUDA."""
    if torch.version.cuda is None:
        return "this PyTorch was built without it"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        return f"PyTorch cannot use it ({str(error).split('.', maxsplit=1)[0]})"
    return "PyTorch finds no GPU"


class Scorer:
    """What MLflow gives to those who ask it for the model."""

    def __init__(self, network: nn.Module) -> None:
        """Answer with `network`."""
        self.network = network

    def predict(self, model_input: pd.DataFrame, params: Any = None) -> Any:  # noqa: ARG002
        """Return the scores of features (rows, columns)."""
        from .project import model

        return model.predict(self.network, model_input)


def _load_pyfunc(path: str) -> Scorer:
    """Read the model for MLflow."""
    return Scorer(_read(Path(path)))
