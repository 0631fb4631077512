"""scikit-learn's part of the standard: scores depend on the row alone.

A stored model runs no code. Runs inside a render of the framework, where `...project` is the
package under test.
"""

import zipfile

import numpy as np
import pytest
import sklearn.utils._testing as helpers
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import OptimizeResult
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, SplineTransformer
from sklearn.svm import SVC

from ..conftest import ROOT
from ..project import bundle, context, errors, features, flavor, model, schema
from ..project import settings as project_settings

PARAMS = project_settings.load_params(ROOT / "params.yaml")
CONTEXT = context.Context(seed=0)


def test_a_row_s_score_does_not_depend_on_its_neighbours(outcome, inputs):
    whole = bundle.score(outcome.model, inputs)
    order = np.random.default_rng(0).permutation(len(inputs))
    np.testing.assert_allclose(bundle.score(outcome.model, inputs.iloc[order]), whole[order])
    np.testing.assert_allclose(bundle.score(outcome.model, inputs.head(1)), whole[:1])


def test_shuffled_labels_teach_it_nothing(split):
    x, y = features.features.build(split.train), split.train[schema.TARGET]
    held, answers = features.features.build(split.holdout), split.holdout[schema.TARGET]
    found = []
    for seed in range(20):
        shuffled = y.sample(frac=1, random_state=seed).set_axis(y.index)
        scores = model.predict(model.fit(x, shuffled, PARAMS.model, CONTEXT), held)
        found.append(model.metrics(answers, scores)["roc_auc"])
    assert abs(np.mean(found) - 0.5) < 0.2


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_valid_row_gets_a_probability(outcome, split, data):
    row = split.train.drop(columns=[schema.IDENTIFIER, schema.TARGET]).head(1)
    for name, column in schema.Inputs.to_schema().columns.items():
        limits = column.checks[0].statistics
        if "min_value" in limits:
            values = st.floats(limits["min_value"], limits["max_value"])
        else:
            values = st.sampled_from(limits["allowed_values"])
        row[name] = data.draw(values, label=name)
    score = bundle.score(outcome.model, row)
    assert np.isfinite(score).all()
    assert ((score >= 0) & (score <= 1)).all()


# Estimators that run what a file gives them: each of these names is of the libraries' own.
HOSTILE = {
    "a vectorized helper": FunctionTransformer(np.vectorize(helpers.raises)),
    "a helper": FunctionTransformer(helpers.assert_run_python_script_without_output),
    "code as text": FunctionTransformer(np.testing.rundocs),
    "a function of NumPy": FunctionTransformer(np.load, kw_args={"allow_pickle": True}),
    "a result of SciPy": FunctionTransformer(np.log1p, kw_args={"x": OptimizeResult()}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_stored_model_runs_no_code(tmp_path, kind):
    model_ = make_pipeline(HOSTILE[kind])
    (tmp_path / flavor.FILE).write_bytes(skops.io.dumps(model_))
    with pytest.raises(errors.UserError, match=r"holds what is not trusted: .* in model\.py"):
        flavor.load(tmp_path)
    with pytest.raises(errors.UserError, match="holds what is not trusted"):
        flavor.save(model_, tmp_path / "saved")


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "subprocess.Popen"])
def test_a_name_that_was_put_into_a_file_is_refused(tmp_path, name):
    module, _, own = name.rpartition(".")
    path = tmp_path / flavor.FILE
    skops.io.dump(make_pipeline(FunctionTransformer(np.log1p)), path)
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(tmp_path / "whole", "w") as whole:
        for part in before.namelist():
            text = before.read(part).decode()
            assert '"log1p"' in text
            text = text.replace('"log1p"', f'"{own}"').replace('"numpy"', f'"{module}"')
            whole.writestr(part, text)
    (tmp_path / "whole").replace(path)
    with pytest.raises(errors.UserError, match=r"not trusted|is damaged"):
        flavor.load(tmp_path)


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(2),
        HistGradientBoostingClassifier(max_iter=2),
        GaussianProcessClassifier(),
        KNeighborsClassifier(),
        MLPClassifier(max_iter=1, solver="sgd"),
        SVC(),
        make_pipeline(SplineTransformer(), KBinsDiscretizer(3), SVC()),
        make_pipeline(FunctionTransformer(np.log1p), SVC()),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore")
def test_the_libraries_own_estimators_come_back(tmp_path, estimator):
    x = np.random.default_rng(0).uniform(size=(40, 3))
    estimator.fit(x, x[:, 0] > 0.5)
    flavor.save(estimator, tmp_path / "model", pip_requirements=[])
    again = flavor.load(tmp_path / "model")
    assert (again.predict(x) == estimator.predict(x)).all()


class Own(BaseEstimator):
    """An estimator that an owner wrote."""


def test_the_owner_adds_names_in_model_py(tmp_path, monkeypatch):
    (tmp_path / flavor.FILE).write_bytes(skops.io.dumps(Own()))
    with pytest.raises(errors.UserError, match=f"not trusted: {Own.__module__}.Own;"):
        flavor.load(tmp_path)
    monkeypatch.setattr(model, "TRUSTED", [f"{Own.__module__}.Own"], raising=False)
    assert isinstance(flavor.load(tmp_path), Own)
