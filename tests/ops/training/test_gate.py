"""The gate: each check is shown to say no, and then the whole way to the registry with it."""

import numpy as np
import pandas as pd
import pytest

from ..project import (
    context,
    dataset,
    errors,
    evaluation,
    features,
    gate,
    machine,
    manifest,
    model,
    schema,
    seeding,
)


@pytest.fixture(scope="module")
def params_():
    from ..conftest import ROOT
    from ..project import settings

    return settings.load_params(ROOT / "params.yaml")


@pytest.fixture
def run(outcome, params_):
    """A run that passes."""
    return manifest.Manifest(
        created="2026-01-01T00:00:00Z",
        seed=params_.seed,
        code=manifest.Code(commit="c", dirty=[], sha256="s"),
        lock=manifest.Lock(sha256="l", drifted=[]),
        data=manifest.Data(source="here", files={}),
        params=params_.model_dump(),
        platform=machine.describe_machine(),
        model_digest="d",
        metrics=outcome.metrics,
    )


def failed(run, params, costs=None, champion=None):
    """The names of the checks that say no."""
    return {check.name for check in gate.judge(run, params, costs or {}, champion)
            if not check.passed}  # fmt: skip


def with_metric(run, name, value):
    """The same run with one metric changed."""
    return run.model_copy(update={"metrics": {**run.metrics, name: value}})


def test_the_project_s_own_model_passes(run, params_, split):
    costs = features.features.cost(split.train)
    assert set(costs) == set(features.features.names)
    assert failed(run, params_, costs, champion=None) == set()


def test_quality_below_the_minimum_is_refused(run, params_):
    name = params_.gate.metric
    worse = with_metric(run, name, params_.gate.minimum - 0.001)
    assert "minimum" in failed(worse, params_)


def test_no_better_than_the_simpler_model_is_refused(run, params_):
    name = params_.gate.metric
    simple = run.metrics[name] - params_.gate.baseline_margin + 0.001
    assert failed(with_metric(run, f"baseline.{name}", simple), params_) == {"baseline"}


def test_worse_than_the_champion_is_refused(run, params_):
    reached = run.metrics[params_.gate.metric]
    margin = params_.gate.champion_margin
    assert failed(run, params_, champion=reached + margin + 0.001) == {"champion"}
    assert failed(run, params_, champion=reached + margin - 0.001) == set()


def test_one_weak_group_is_refused(run, params_):
    name = next(name for name in run.metrics if name.startswith("slice."))
    weak = with_metric(run, name, params_.gate.slices.minimum - 0.001)
    assert failed(weak, params_) == {"slices"}


def test_an_unfair_gap_is_refused(run, params_):
    name = next(name for name in run.metrics if name.startswith("gap."))
    unfair = with_metric(run, name, params_.gate.fairness.max_gap + 0.001)
    assert failed(unfair, params_) == {"fairness"}


@pytest.mark.parametrize("feature", features.features.names)
def test_a_feature_that_helps_less_than_noise_is_refused_and_a_tie_is_not(run, params_, feature):
    noise = run.metrics["importance.noise"]
    useless = with_metric(run, f"importance.{feature}", noise - 0.001)
    assert failed(useless, params_) == {"features help"}
    assert not failed(with_metric(run, f"importance.{feature}", noise), params_)
    lucky = with_metric(run, "importance.noise", -0.001)
    constant = with_metric(lucky, f"importance.{feature}", 0.0)
    assert failed(constant, params_) == {"features help"}


def test_a_feature_that_takes_too_long_is_refused(run, params_):
    costs = {"slow": params_.budgets.feature_ms + 1}
    assert failed(run, params_, costs) == {"features are cheap"}


@pytest.mark.parametrize(
    "part",
    [
        {"code": {"commit": None}},
        {"code": {"dirty": ["src/x.py"]}},
        {"lock": {"drifted": ["numpy 1 is not 2"]}},
    ],
)
def test_a_run_that_nobody_can_repeat_is_refused(run, params_, part):
    ((name, change),) = part.items()
    update = {name: getattr(run, name).model_copy(update=change)}
    assert failed(run.model_copy(update=update), params_) == {"reproducible"}


def test_a_refusal_says_what_was_missed(run, params_):
    checks = gate.judge(with_metric(run, params_.gate.metric, 0.1), params_, {}, 0.9)
    told = gate.failures(checks)
    assert "minimum" in told
    assert "champion" in told
    assert "\n" not in told


@pytest.mark.parametrize("key", ["metric", "fairness.metric"])
def test_a_metric_that_the_model_has_not_is_named(split, params_, key):
    gates = params_.gate
    wrong = {
        "metric": gates.model_copy(update={"metric": "typo"}),
        "fairness.metric": gates.model_copy(
            update={"fairness": gates.fairness.model_copy(update={"metric": "typo"})}
        ),
    }[key]
    changed = params_.model_copy(update={"gate": wrong})
    with pytest.raises(errors.UserError, match=rf"gate\.{key} typo is none of") as refused:
        evaluation.run(split, changed, comparisons=False)
    assert "\n" not in str(refused.value)
    fitted = evaluation.run(split, params_, comparisons=False).model
    with pytest.raises(errors.UserError, match=rf"gate\.{key} typo is none of"):  # as in `tune`
        evaluation.quality(fitted, *evaluation.matrix(split.train), changed)


def test_a_useless_feature_shows_in_the_importance(split, params_):
    x = features.features.build(split.train)
    generator = np.random.default_rng(0)
    x["useless"] = generator.standard_normal(len(x))
    quick = context.Context(0)
    with seeding.deterministic(quick):
        found = evaluation.importance(
            x, split.train[schema.TARGET], np.arange(len(x)), params_, quick
        )
    useful = [value for name, value in found.items()
              if name not in {"importance.useless", "importance.noise"}]  # fmt: skip
    assert found["importance.useless"] < min(useful)


def test_rows_that_belong_together_are_in_one_fold(rows, monkeypatch):
    """A search or an importance that met a patient's other rows would judge by memory."""
    apart = list(evaluation.folds(dataset.together(rows), np.random.default_rng(0)))
    rows = rows.assign(group=np.arange(len(rows)) // 3 % 7)
    monkeypatch.setattr(schema, "SPLIT_BY", "group", raising=False)
    together = list(evaluation.folds(dataset.together(rows), np.random.default_rng(0)))
    for inside, outside in together:
        assert not set(rows.group[inside]) & set(rows.group[outside])
        assert outside.any()
    for drawn in (apart, together):  # each row is judged once
        assert (sum(outside.astype(int) for _, outside in drawn) == 1).all()
    few = dataset.together(rows[rows.group < evaluation.FOLDS - 1])
    with pytest.raises(errors.UserError, match=r"need 5 values of schema\.SPLIT_BY, not 4"):
        next(evaluation.folds(few, np.random.default_rng(0)))


@pytest.mark.parametrize("value", [np.nan, np.inf, None])
@pytest.mark.parametrize("of_all", [True, False])
def test_a_metric_that_is_no_finite_number_is_said(split, params_, monkeypatch, value, of_all):
    """It could neither be compared by the gate nor found equal by `reproduce`."""
    whole, known = len(split.holdout), model.metrics
    said = "gave .* for odd; it" if of_all else "gave .* for odd of .*; it"

    def metrics(y, scores):
        return {**known(y, scores), "odd": value if (len(y) >= whole) == of_all else 1.0}

    monkeypatch.setattr(model, "metrics", metrics)
    with pytest.raises(errors.UserError, match=said):
        evaluation.run(split, params_, comparisons=False)


def test_groups_are_named_as_text_whatever_they_are(split, params_, outcome, monkeypatch):
    """Intervals, and rows that are in none of them."""
    half = len(split.holdout) // 2
    halves = pd.cut(pd.Series(range(2 * half)), [-1, half - 1])
    rows = split.holdout.head(2 * half)
    kinds = {"part": halves.to_numpy(), "open": halves.astype(str).where(halves.notna()).to_numpy()}
    monkeypatch.setattr(schema, "groups", lambda rows: pd.DataFrame(kinds, index=rows.index))
    slices = params_.gate.slices.model_copy(update={"rows": 1})
    lenient = params_.model_copy(
        update={"gate": params_.gate.model_copy(update={"slices": slices})}
    )
    found = evaluation.sliced(rows, rows[schema.TARGET], outcome.scores[: len(rows)], lenient)
    metric = params_.gate.metric
    for kind in kinds:
        assert f"slice.{kind}.(-1.0, {half - 1:.1f}].{metric}" in found
        assert f"slice.{kind}.missing.{metric}" in found


def test_groups_too_small_or_of_one_label_are_left_out(split, params_, outcome):
    rows = split.holdout.head(params_.gate.slices.rows - 1)
    labels = rows[schema.TARGET]
    assert evaluation.sliced(rows, labels, outcome.scores[: len(rows)], params_) == {}
    same = pd.Series(1, index=split.holdout.index)
    assert evaluation.sliced(split.holdout, same, outcome.scores, params_) == {}


def test_every_group_is_judged(split, outcome):
    for kind, groups in schema.groups(split.holdout).items():
        for group, size in groups.value_counts().items():
            assert any(name.startswith(f"slice.{kind}.{group}.") for name in outcome.metrics), size


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(outcome, inputs, monkeypatch, value):
    monkeypatch.setattr(model, "predict", lambda *_: np.full(len(inputs), value))
    with pytest.raises(errors.UserError, match="not finite"):
        evaluation.predict(outcome.model, inputs)


def test_scores_of_the_wrong_shape_are_refused(outcome, inputs, monkeypatch):
    monkeypatch.setattr(model, "predict", lambda *_: np.zeros((len(inputs), 2, 2)))
    with pytest.raises(errors.UserError, match="shape"):
        evaluation.predict(outcome.model, inputs)


def test_parameters_the_model_does_not_take_are_told(split, params_):
    odd = params_.model_copy(update={"model": {"no_such_parameter": 1}})
    with pytest.raises(errors.UserError, match="no_such_parameter"):
        evaluation.run(split, odd)


def test_an_unknown_gate_metric_is_told(split, params_):
    odd = params_.model_copy(update={"gate": params_.gate.model_copy(update={"metric": "beauty"})})
    with pytest.raises(errors.UserError, match=r"gate\.metric beauty"):
        evaluation.run(split, odd)
