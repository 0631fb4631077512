"""Checks of tests: of data, model and pipeline."""

import ast
import re
from collections.abc import Iterator

from groundwork.audit.model import Check, Finding
from groundwork.audit.readers.facts import of_tests
from groundwork.audit.readers.python import PYTHON, Module
from groundwork.audit.repository import Audited

# Code that imports none of these has neither data nor a model to test.
LEARNING = {
    *("sklearn", "torch", "tensorflow", "keras", "xgboost", "lightgbm", "catboost", "pandas"),
    *("polars", "numpy", "scipy", "statsmodels", "transformers", "jax", "flax", "datasets"),
    *("lightning", "pytorch_lightning", "pyspark", "mlflow", "prophet", "spacy", "fastai"),
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(module: Module) -> Iterator[Function]:
    """Yield the test functions and methods of a module."""
    found: list[Function] = [*module.of(ast.FunctionDef), *module.of(ast.AsyncFunctionDef)]
    yield from (node for node in found if node.name.startswith("test"))


@of_tests
def words(module: Module) -> set[str]:
    """Return the words of all that tests are named, import, use and call, in lower case."""
    used = list(functions(module))
    if not used:
        return set()
    names = {module.path, *module.names.values(), *module.called}
    names |= {node.name for node in used}
    names |= {arg.arg for node in used for arg in node.args.args}
    spaced = re.sub(r"([a-z])([A-Z])", r"\1_\2", " ".join(names))
    return set(re.split(r"[\W_\d]+", spaced.lower()))


class Tests(Check):
    """A check of this family."""

    family = "tests"
    reads = frozenset({PYTHON})
    requires = frozenset({"TS101"})
    WORDS: frozenset[str] = frozenset()
    MISSING = ""

    def applies(self, repo: Audited) -> bool:
        """Return whether there is code to test."""
        return any(not one.is_test for one in repo.modules)

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return whether no test is about that, as far as names tell."""
        if not any(self.WORDS & words(one) for one in repo.tests):
            folder = repo.tests[0].path.partition("/")[0] if repo.tests else ""
            yield Finding("" if folder.endswith(".py") else folder, 0, self.MISSING)


class Tested(Tests):
    """There are tests."""

    id = "TS101"
    reason = "Without tests, nobody can change code or packages and know that it still works."
    mend = "Begin with one test that trains on a few rows and predicts."
    command = "uv add --dev pytest && mkdir -p tests && $EDITOR tests/test_train.py"
    days = 2
    requires = frozenset()

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return whether no module has a test function."""
        if not any(map(_has_tests, repo.tests)):
            yield Finding("", 0, "no test function in a module named test_….py or in tests/")


@of_tests
def _has_tests(module: Module) -> bool:
    """Return whether a module has a test function."""
    return next(functions(module), None) is not None


class Subject(Tests):
    """A check that tests are about something."""

    def applies(self, repo: Audited) -> bool:
        """Return whether there is code that learns from data."""
        return super().applies(repo) and bool(repo.imports & LEARNING)


class DataTested(Subject):
    """Tests look at the data: its schema, its values, its splits."""

    id = "TS102"
    reason = "Most failures of models begin in data that is not as it was."
    mend = "Test types, ranges, missing values and that no row is both in training and holdout."
    command = "uv add --dev pandera && $EDITOR tests/test_data.py"
    days = 2
    MISSING = "no test is about data, a schema, columns, rows or splits"
    WORDS = frozenset(
        {
            *("data", "dataset", "datasets", "datamodule", "dataloader", "dataloaders", "schema"),
            *("schemas", "column", "columns", "row", "rows", "split", "splits", "dataframe"),
            *("df", "frame", "csv", "parquet", "pandera", "expectation", "expectations"),
            *("preprocess", "preprocessing", "clean", "cleaning", "transform", "transforms"),
            *("features", "feature", "load", "loader", "loading", "read", "image", "images"),
            *("text", "tokenizer", "tokenize", "vocab", "corpus"),
        }
    )


class ModelTested(Subject):
    """Tests look at the model: its outputs, its metrics, its invariances."""

    id = "TS103"
    reason = "A model may train without an error and still have learnt nothing."
    mend = "Test the shape and range of outputs, that loss falls on a batch, and metrics by slice."
    command = "$EDITOR tests/test_model.py"
    days = 2
    MISSING = "no test is about a model, predictions, metrics or a loss"
    WORDS = frozenset(
        {
            *("model", "models", "predict", "prediction", "predictions", "predictor", "fit"),
            *("score", "scores", "metric", "metrics", "loss", "forward", "estimator"),
            *("classifier", "regressor", "net", "network", "layer", "layers", "encoder"),
            *("decoder", "accuracy", "proba", "logits", "inference", "module", "modules", "tree"),
            *("forest", "embedding", "embeddings", "weights"),
        }
    )


class PipelineTested(Subject):
    """A test runs the pipeline, from data to a model or an answer."""

    id = "TS104"
    reason = "Parts that are right on their own may not fit together."
    mend = "Run training and prediction on a small sample in one test, in seconds."
    command = "$EDITOR tests/test_pipeline.py"
    days = 1
    MISSING = "no test is about a pipeline, training, a command or a service"
    WORDS = frozenset(
        {
            *("pipeline", "pipelines", "train", "training", "trainer", "e2e", "integration"),
            *("smoke", "cli", "runner", "invoke", "main", "subprocess", "client", "api", "job"),
            *("jobs", "flow", "flows", "workflow", "script", "scripts", "run", "runs", "sweep"),
            *("sweeps", "experiment", "experiments", "eval", "evaluate", "step", "steps"),
        }
    )


class Asserting(Tests):
    """Every test can fail."""

    id = "TS105"
    reason = "A test without a body, or that asserts a constant, is green whatever happens."
    mend = "Assert what the code is to return, or delete the test."
    command = "pytest --collect-only -q"
    days = 0.25

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return tests that do nothing."""
        for module in repo.tests:
            for line, name in _empty(module):
                yield Finding(module.path, line, f"{name} cannot fail")


@of_tests
def _empty(module: Module) -> list[tuple[int, str]]:
    """Return the line and the name of each test that does nothing."""
    return [
        (module.line(node), node.name)
        for node in functions(module)
        if all(_is_nothing(one) for one in node.body)
    ]


def _is_nothing(node: ast.stmt) -> bool:
    """Return whether a statement does nothing: a text, `pass`, or `assert` of a true constant."""
    if isinstance(node, ast.Assert):
        return isinstance(node.test, ast.Constant) and bool(node.test.value)
    nothing = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return nothing or isinstance(node, ast.Pass)


class NotSkipped(Tests):
    """No test is skipped without a reason."""

    id = "TS106"
    reason = "A test that never runs says nothing, and nobody knows when it may run again."
    mend = "Give the reason, or a condition by `skipif`; or delete the test."
    command = "pytest -ra"
    days = 0.25

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return tests with a bare mark."""
        for module in repo.tests:
            for line, name in _skipped(module):
                yield Finding(module.path, line, f"{name} is skipped")


@of_tests
def _skipped(module: Module) -> list[tuple[int, str]]:
    """Return the line and the name of each test with a mark that gives no reason."""
    found = []
    marked: list[Function | ast.ClassDef] = [*functions(module), *module.of(ast.ClassDef)]
    for node in marked:
        for mark in node.decorator_list:
            bare = not isinstance(mark, ast.Call) or not (mark.args or mark.keywords)
            name = module.dotted(mark.func if isinstance(mark, ast.Call) else mark)
            if name in {"pytest.mark.skip", "unittest.skip"} and bare:
                found.append((module.line(node), node.name))
    return found


CHECKS = (Tested, DataTested, ModelTested, PipelineTested, Asserting, NotSkipped)
