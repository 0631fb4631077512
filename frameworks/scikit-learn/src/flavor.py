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
# Beside what skops trusts, which is estimators, losses and ufuncs: what scikit-learn's estimators
# keep of a fit, by exact names. None of it runs what a file holds. TRUSTED in model.py adds others.
_KEPT = {
    "numpy": "dtype mean",
    "scipy._lib.array_api_compat.numpy._aliases": "asarray",
    "scipy.interpolate._bsplines": "BSpline",
    "scipy.sparse._csr": "csr_matrix csr_array",
    "sklearn._loss.loss": "HalfTweedieLoss HalfTweedieLossIdentity",
    "sklearn.calibration": "_CalibratedClassifier _SigmoidCalibration _TemperatureScaling",
    "sklearn.cluster._bisect_k_means": "_BisectingTree",
    "sklearn.ensemble._hist_gradient_boosting.predictor": "TreePredictor",
    "sklearn.feature_selection._univariate_selection": "chi2 f_classif f_regression",
    "sklearn.gaussian_process._gpc": "_BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels": "ConstantKernel DotProduct Exponentiation ExpSineSquared "
    "Hyperparameter Matern Product RationalQuadratic RBF Sum WhiteKernel",
    "sklearn.metrics._dist_metrics": "EuclideanDistance64 ManhattanDistance64 MinkowskiDistance64",
    "sklearn.metrics._scorer": "_PassthroughScorer",
    "sklearn.model_selection._split": "KFold StratifiedKFold",
    "sklearn.neighbors._ball_tree": "BallTree",
    "sklearn.neighbors._kd_tree": "KDTree",
    "sklearn.neural_network._stochastic_optimizers": "AdamOptimizer SGDOptimizer",
    "sklearn.tree._tree": "Tree",
    "sklearn.utils._bunch": "Bunch",
}
KNOWN = {f"{module}.{name}" for module, names in _KEPT.items() for name in names.split()}


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

    Raises UserError where the file is missing or damaged, or names what is not trusted.
    """
    try:
        content = (folder / FILE).read_bytes()
        return skops.io.loads(content, trusted=_trusted(content))
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{folder / FILE} cannot be read: {error.strerror}") from None
    except Exception as error:  # noqa: BLE001 - a damaged file fails in any way it likes
        raise UserError(f"{folder / FILE} is damaged: {error}") from None


def _trusted(content: bytes) -> list[str]:
    from .project import model

    types: list[str] = skops.io.get_untrusted_types(data=content)
    if strange := set(types) - KNOWN - set(getattr(model, "TRUSTED", [])):
        raise UserError(
            f"the model holds what is not trusted: {', '.join(sorted(strange))}; if none of it can "
            "run what a file says, add the names to the list TRUSTED in model.py"
        )
    return types
