"""Where code draws random numbers, and whether it says from which seed."""

import ast
import re
from collections.abc import Iterator

from .facts import fact, facts
from .python import Module

SHUFFLING = {
    *("train_test_split", "ShuffleSplit", "StratifiedShuffleSplit", "GroupShuffleSplit"),
    *("RepeatedKFold", "RepeatedStratifiedKFold", "shuffle", "resample"),
}
# These shuffle only if asked.
FOLDS = {"KFold", "StratifiedKFold", "StratifiedGroupKFold"}
# Estimators of scikit-learn that draw numbers whatever their other arguments are.
ESTIMATORS = {
    *("RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier"),
    *("ExtraTreesRegressor", "GradientBoostingClassifier", "GradientBoostingRegressor"),
    *("DecisionTreeClassifier", "DecisionTreeRegressor", "MLPClassifier", "MLPRegressor"),
    *("SGDClassifier", "SGDRegressor", "KMeans", "MiniBatchKMeans", "IsolationForest"),
    *("BaggingClassifier", "BaggingRegressor", "AdaBoostClassifier", "AdaBoostRegressor"),
    *("GaussianMixture", "BayesianGaussianMixture", "TSNE", "TruncatedSVD", "RandomizedSearchCV"),
    *("LatentDirichletAllocation", "GaussianRandomProjection", "RBFSampler", "Nystroem"),
    *("Perceptron", "PassiveAggressiveClassifier", "UMAP", "SMOTE", "RandomOverSampler"),
    *("RandomUnderSampler", "ADASYN"),
}
LIBRARIES = ("sklearn.", "imblearn.", "umap.", "cuml.")
SEEDING = re.compile(
    r"(^|[._])(seed|set_seed|manual_seed)|seed_?(everything|all|it)|random_seed", re.IGNORECASE
)
GLOBAL_NUMPY = {
    *("rand", "randn", "randint", "random", "random_sample", "choice", "shuffle", "permutation"),
    *("normal", "uniform", "binomial", "poisson", "exponential", "beta", "gamma", "multinomial"),
    *("standard_normal", "ranf", "sample", "multivariate_normal", "laplace", "lognormal"),
}
GLOBAL_PYTHON = {
    *("random", "randint", "randrange", "choice", "choices", "shuffle", "sample", "uniform"),
    *("gauss", "normalvariate", "betavariate", "expovariate", "getrandbits", "triangular"),
}


def keyword(call: ast.Call, *names: str) -> ast.expr | None:
    """Return the value of a call's argument by name."""
    return next((one.value for one in call.keywords if one.arg in names), None)


def is_none(node: ast.AST | None) -> bool:
    """Return whether a value is absent, or None."""
    return node is None or (isinstance(node, ast.Constant) and node.value is None)


def spread(call: ast.Call) -> bool:
    """Return whether a call has arguments that are not written out."""
    return any(one.arg is None for one in call.keywords)


@fact
def seeds(module: Module) -> bool:
    """Return whether code seeds a global generator, by whatever function."""
    return any(SEEDING.search(name) and not name.startswith("?") for name in module.called)


def of_an_estimator(module: Module, call: ast.Call) -> bool:
    """Return whether a call is within a class that takes a seed of its own, and hands it on."""
    return any(
        isinstance(node, ast.ClassDef)
        and any(isinstance(one, ast.arg) and one.arg == "random_state" for one in ast.walk(node))
        for node in module.above(call)
    )


@facts
def unseeded_splits(module: Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of splits, folds and samples without a seed."""
    for name, call in module.calls:
        base, _, last = name.rpartition(".")
        if last == "sample" and _samples_a_frame(call):
            if is_none(keyword(call, "random_state", "seed", "random_seed")):
                yield module.line(call), "sample()"
            continue
        if last not in SHUFFLING | FOLDS or not f"{base}.".startswith(LIBRARIES) or spread(call):
            continue
        asked = keyword(call, "shuffle")
        shuffles = asked is None or (isinstance(asked, ast.Constant) and asked.value is True)
        if last in FOLDS:
            shuffles &= asked is not None
        if shuffles and is_none(keyword(call, "random_state")):
            yield module.line(call), f"{last}()"


def _samples_a_frame(call: ast.Call) -> bool:
    """Return whether a call of `sample` is one of a table: by arguments that only those have."""
    named = {one.arg for one in call.keywords}
    method = isinstance(call.func, ast.Attribute)
    whole = keyword(call, "frac")
    return (
        method
        and bool(named & {"frac", "n"})
        and not spread(call)
        and not is_none(whole or keyword(call, "n"))
    )


@facts
def unseeded_estimators(module: Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of estimators that draw numbers, without a seed."""
    for name, call in module.calls:
        base, _, last = name.rpartition(".")
        if last not in ESTIMATORS or not f"{base}.".startswith(LIBRARIES):
            continue
        seeded = spread(call) or not is_none(keyword(call, "random_state"))
        if not seeded and not of_an_estimator(module, call):
            yield module.line(call), f"{last}()"


@facts
def unseeded_numbers(module: Module) -> Iterator[tuple[int, str, bool]]:
    """Yield generators without a seed, and numbers of the global ones, which a seed would fix.

    Each is a line, what is found there, and whether it is of a global generator.
    """
    for name, call in module.calls:
        fresh = name in {"numpy.random.default_rng", "random.Random", "numpy.random.RandomState"}
        if fresh and not call.args and is_none(keyword(call, "seed")) and not spread(call):
            yield module.line(call), f"{name}() without a seed", False
        base, _, last = name.rpartition(".")
        drawn = (base == "numpy.random" and last in GLOBAL_NUMPY) or (
            base == "random" and last in GLOBAL_PYTHON
        )
        if drawn:
            told = f"{name}() from a global generator that nothing seeds"
            yield module.line(call), told, True
