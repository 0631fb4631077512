"""The pictures of a run, for each kind of task."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from ..project import dataset, evaluation, plots

METRICS = {"importance.a": 0.1, "importance.noise": 0.0, "slice.sex.one.accuracy": 0.9}
CHANCE = np.random.default_rng(0)
YES = CHANCE.random(50)
CLASSES = CHANCE.dirichlet(np.ones(4), 50)


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize(
    ("labels", "scores", "decided", "names"),
    [
        (YES > 0.4, YES, YES >= 0.5, {"confusion", "calibration"}),
        (np.arange(50) % 4, CLASSES, CLASSES.argmax(1), {"confusion", "calibration"}),
        (YES * 100.0, YES * 90, YES * 90, {"predictions"}),
    ],
    ids=["binary", "classes", "regression"],
)
def test_each_kind_of_task_has_its_pictures(labels, scores, decided, names):
    found = plots.figures(pd.Series(labels), scores, decided, METRICS)
    assert set(found) == {*names, "importance", "slices"}
    for figure in found.values():
        assert figure.axes[0].has_data()


@pytest.mark.parametrize("known", [["no", "yes"], []])
def test_two_classes_with_names_are_calibrated_by_the_second(monkeypatch, known):
    monkeypatch.setattr(dataset, "labels", lambda: known)
    labels = pd.Series(np.where(YES > 0.5, "yes", "no"))
    found = plots.figures(labels, YES, labels.to_numpy(), METRICS)
    (_, drawn) = found["calibration"].axes[0].lines
    assert drawn.get_ydata()[0] == 0
    assert drawn.get_ydata()[-1] == 1


def test_a_name_is_no_formula():
    labels = pd.Series(["$5 to $10", r"$\frac$", r"$\frac$"])
    figures = [
        plots.confusion(labels, labels.to_numpy()),
        plots.bars({rf"slice.price.{name}.f1": 0.3 for name in labels}, "slice.", "$"),
    ]
    for figure in figures:
        figure.savefig(io.BytesIO())
        for text in figure.findobj(Text):
            assert not text.get_parse_math()


def test_the_confusion_counts_every_row_once():
    labels = pd.Series(["cat", "dog", "dog", "owl"])
    figure = plots.confusion(labels, np.array(["cat", "dog", "cat", "cat"]))
    counts = np.array(texts(figure), dtype=int).reshape(3, 3)
    assert counts.tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 0]]


def test_classes_are_calibrated_when_the_likeliest_is_right_as_often_as_it_says():
    scores = np.array([[0.9, 0.1]] * 10 + [[0.4, 0.6]] * 10)
    labels = pd.Series([0] * 9 + [1] + [1] * 6 + [0] * 4)
    figure = plots.figures(labels, scores, scores.argmax(1), METRICS)["calibration"]
    predicted, observed = figure.axes[0].lines[1].get_data()
    np.testing.assert_allclose(predicted, observed)


@pytest.mark.parametrize(
    ("shape", "fits"),
    [((5,), True), ((5, 2), True), ((5, 1), False), ((4,), False), ((5, 2, 2), False), ((), False)],
)
def test_scores_are_one_number_a_row_or_one_for_each_class(shape, fits):
    assert evaluation.shaped(np.zeros(shape), 5) == fits


def test_of_several_classes_the_highest_score_stands_for_the_row():
    assert evaluation.highest(np.array([0.2, 0.4])).tolist() == [0.2, 0.4]
    assert evaluation.highest(np.array([[0.2, 0.8], [0.6, 0.4]])).tolist() == [0.8, 0.6]
