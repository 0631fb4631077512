"""Your model: the same fit twice, a score for every row, and figures that the gate can read."""

import numpy as np

from ..project import bundle, context, digest, evaluation, features, flavor, model, schema, seeding


def test_two_fits_give_the_same_model(split, params):
    x, y = features.features.build(split.train), split.train[schema.TARGET]
    digests = set()
    for _ in range(2):
        where = context.Context(params.seed, params.threads)
        with seeding.deterministic(where):
            fitted = evaluation.fit(x, y, params.model, where)
        digests.add(digest.model_digest(fitted))
    assert len(digests) == 1


def test_every_row_gets_a_finite_score(outcome, inputs):
    scores = bundle.score(outcome.model, inputs)
    assert len(scores) == len(inputs)
    assert np.isfinite(scores).all()


def test_a_row_s_score_does_not_depend_on_the_rows_beside_it(outcome, inputs):
    whole = bundle.score(outcome.model, inputs.head(50))
    alone = bundle.score(outcome.model, inputs.head(1))
    np.testing.assert_allclose(alone[0], whole[0], rtol=max(flavor.TOLERANCE, 1e-9))


def test_what_it_decides_is_a_label(outcome, split):
    decided = model.decide(outcome.scores)
    assert len(decided) == len(split.holdout)
    if split.train[schema.TARGET].dtype.kind != "f":
        assert set(decided.tolist()) <= set(split.train[schema.TARGET].tolist())


def test_the_gate_s_metric_is_measured_for_model_and_baseline(outcome, params):
    name = params.gate.metric
    assert np.isfinite(outcome.metrics[name])
    assert np.isfinite(outcome.metrics[f"baseline.{name}"])


def test_a_stored_model_is_the_same_when_it_is_loaded(outcome, tmp_path):
    flavor.save(outcome.model, tmp_path / "model", pip_requirements=[])
    loaded = flavor.load(tmp_path / "model")
    assert digest.model_digest(loaded) == digest.model_digest(outcome.model)
