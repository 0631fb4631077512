"""What the standard has to know of scikit-learn: how models are kept, compared and repeated."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import skops.io

from .errors import UserError

FILE = "model.skops"
# How far a score may move between processors, as a share of it: the last digits of a double.
TOLERANCE = 1e-9


def canonical(model: Any) -> Any:
    """Return what makes `model` equal to another: the object itself, attribute by attribute."""
    return model


@contextmanager
def deterministic(_seed: int, _threads: int, device: str) -> Iterator[None]:
    """Do what it takes to fit the same again: nothing, as every estimator is given its seed.

    Raises UserError for a device other than the CPU.
    """
    if device != "cpu":
        raise UserError(f"scikit-learn trains on the CPU; set ML_DEVICE to cpu, not {device}")
    yield


def save(model: Any, folder: Path, **options: Any) -> None:
    """Write `model` to `folder` as an MLflow model with a skops file; `options` go to MLflow."""
    import mlflow.sklearn

    mlflow.sklearn.save_model(
        model,
        str(folder),
        serialization_format="skops",
        skops_trusted_types=_trusted(skops.io.dumps(model)),
        **options,
    )


def load(folder: Path) -> Any:
    """Read a model that `save` wrote, running none of its content.

    Raises UserError where the file is missing or damaged, or names a type from elsewhere than
    scikit-learn, NumPy and SciPy.
    """
    try:
        content = (folder / FILE).read_bytes()
        return skops.io.loads(content, trusted=_trusted(content))
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{folder / FILE} cannot be read: {error.strerror}") from None
    except Exception as error:  # noqa: BLE001 - a damaged file fails in any way it likes
        raise UserError(f"{folder / FILE} is damaged: {' '.join(str(error).split())}") from None


def _trusted(content: bytes) -> list[str]:
    types: list[str] = skops.io.get_untrusted_types(data=content)
    strange = [name for name in types if name.split(".")[0] not in {"sklearn", "numpy", "scipy"}]
    if strange:
        raise UserError(f"the model holds types that are not scikit-learn's: {', '.join(strange)}")
    return types
