"""The model's digest: equal if and only if the models are."""

import copy
import math
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ..project import context, digest, evaluation, features, flavor, schema, seeding

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.binary(max_size=5),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=3), inner, max_size=4),
    ),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def fitted(split):
    from ..conftest import ROOT
    from ..project import settings

    params = settings.load_params(ROOT / "params.yaml")
    x, y = features.features.build(split.train), split.train[schema.TARGET]
    quick = context.Context(params.seed)

    def fit(**changed):
        with seeding.deterministic(quick):
            return evaluation.fit(x, y, {**params.model, **changed}, quick)

    return fit


@given(VALUES)
def test_a_copy_has_the_same_digest(value):
    assert digest.value_digest(pickle.loads(pickle.dumps(value))) == digest.value_digest(value)


@given(VALUES, VALUES)
def test_values_differ_when_their_digests_do(one, other):
    same = pickle.dumps(one) == pickle.dumps(other)
    if same:
        assert digest.value_digest(one) == digest.value_digest(other)
    elif digest.value_digest(one) == digest.value_digest(other):
        assert repr(one) == repr(other) or one == other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        ("1", 1),
        (b"a", "a"),
        ([1, 2], (1, 2)),
        ([1, [2]], [[1], 2]),
        (["ab", "c"], ["a", "bc"]),
        (0.0, -0.0),
        (1.0, math.nextafter(1.0, 2)),
        (np.float32([1]), np.float64([1])),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.zeros(6), np.zeros((2, 3))),
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"b": 1}),
        (pd.Series([1, 2]), pd.Series([2, 1])),
        (pd.Series([1, 2]), pd.Series([1, 2], index=[1, 0])),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})),
        (math.sin, math.cos),
        (lambda: 1, lambda: 2),
        (np.random.default_rng(1), np.random.default_rng(2)),
    ],
)
def test_different_values_have_different_digests(one, other):
    assert digest.value_digest(one) != digest.value_digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({3, 1, 2}, {2, 3, 1}),
        (np.asfortranarray(np.arange(6).reshape(2, 3)), np.arange(6).reshape(2, 3)),
        (np.arange(8)[::2], np.array([0, 2, 4, 6])),
        (np.array([1, 2], ">i4"), np.array([1, 2], "<i4")),
        (np.array([np.nan]), np.array([-np.nan])),
        (np.random.default_rng(1), np.random.default_rng(1)),
    ],
)
def test_equal_values_have_equal_digests(one, other):
    assert digest.value_digest(one) == digest.value_digest(other)


def test_the_padding_of_a_record_does_not_count():
    kind = np.dtype([("a", "i1"), ("b", "f8")], align=True)
    records = [np.frombuffer(bytearray(fill * kind.itemsize), kind) for fill in (b"\x00", b"\xff")]
    for record in records:
        record["a"], record["b"] = 1, 2.0
    assert records[0].tobytes() != records[1].tobytes()
    assert digest.value_digest(records[0]) == digest.value_digest(records[1])


def test_an_object_that_holds_itself_has_a_digest():
    one, other = [1], [1]
    one.append(one)
    other.append(other)
    assert digest.value_digest(one) == digest.value_digest(other)


def test_two_fits_of_the_same_recipe_are_equal(fitted):
    assert digest.model_digest(fitted()) == digest.model_digest(fitted())


def test_a_stored_model_keeps_its_digest(fitted, tmp_path):
    model = fitted()
    flavor.save(model, tmp_path / "model", pip_requirements=[])
    kept = flavor.load(tmp_path / "model")
    assert digest.model_digest(kept) == digest.model_digest(model)


def test_using_a_model_does_not_change_its_digest(fitted, inputs):
    model = fitted()
    before = digest.model_digest(model)
    evaluation.predict(model, features.features.build(inputs))
    assert digest.model_digest(model) == before


def arrays_of(value):
    """Every array of numbers below `value`, a canonical form."""
    match value:
        case np.ndarray():
            return [value] if value.dtype.kind == "f" and value.size else []
        case dict():
            return [array for part in value.values() for array in arrays_of(part)]
        case list() | tuple():
            return [array for part in value for array in arrays_of(part)]
        case _:
            return arrays_of(vars(value)) if hasattr(value, "__dict__") else []


def test_the_smallest_change_of_a_model_shows(fitted):
    model = copy.deepcopy(flavor.canonical(fitted()))
    before = digest.value_digest(model)
    arrays = arrays_of(model)
    assert arrays
    for array in arrays:
        kept = array.flat[0]
        array.flat[0] = np.nextafter(kept, np.inf)
        assert digest.value_digest(model) != before
        array.flat[0] = kept
    assert digest.value_digest(model) == before
