"""Drift: a shifted column is found and named, chance is not taken for a shift, no row is kept."""

import base64
import json
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency

from ..project import distributions, drift, errors, schema, settings

LIMITS = settings.Drift(psi=0.2, p_value=0.01)
NUMBERS = ["age", "bmi", "bp", "glu"]


def sample(rows, seed):
    """Rows of a world in which nothing drifts."""
    random = np.random.default_rng(seed)
    made = pd.DataFrame({name: random.normal(50, 10, rows) for name in NUMBERS})
    return made.assign(sex=random.integers(1, 3, rows), tch=random.poisson(3, rows))


@pytest.fixture
def rows():
    """Rows of training; the tests of this file do not depend on the project's own columns."""
    return sample(400, seed=0)


@pytest.fixture
def now():
    """Later rows."""
    return sample(150, seed=1)


@pytest.fixture
def trained(rows):
    """The reference as it comes out of a file."""
    return json.loads(json.dumps(distributions.describe(rows)))


def compared(trained, rows):
    counts = distributions.Counts(trained)
    counts.add(rows)
    return counts.report(LIMITS)


def column(report, name):
    return next(column for column in report.columns if column.name == name)


def test_the_holdout_has_not_drifted(split, inputs):
    report = compared(distributions.describe(inputs), split.holdout[list(inputs)])
    assert report.drifted == []
    assert report.rows == len(split.holdout)
    assert report.reference_rows == len(inputs)


def test_a_holdout_that_is_shifted_has_drifted(split, inputs):
    name = next(name for name in inputs if inputs[name].nunique() > distributions.FEW)
    moved = split.holdout[list(inputs)].assign(**{name: inputs[name].max()})
    assert compared(distributions.describe(inputs), moved).drifted == [name]


@pytest.mark.parametrize("name", NUMBERS)
def test_a_shifted_column_is_named_and_no_other(now, trained, name):
    now[name] += 1.5 * now[name].std()
    report = compared(trained, now)
    assert report.drifted == [name]
    assert report.worst.name == name


def test_a_spread_that_changes_is_found_though_the_mean_stays(now, trained):
    now["bmi"] = now["bmi"].mean() + 3 * (now["bmi"] - now["bmi"].mean())
    assert compared(trained, now).drifted == ["bmi"]


def test_missing_values_are_drift(now, trained):
    now.loc[now.index[::2], "glu"] = np.nan
    assert compared(trained, now).drifted == ["glu"]


def test_values_never_seen_in_training_are_drift(now, trained):
    report = compared(trained, now.assign(sex=3))
    assert report.drifted == ["sex"]
    assert report.worst.outside == 1.0
    assert report.worst.bins[-2] == distributions.OTHER


def test_text_numbers_and_truth_are_counted_by_value():
    rows = pd.DataFrame({"t": ["a", "b"] * 50, "c": [7.0] * 100, "b": [True, False] * 50})
    trained = distributions.describe(rows)
    assert [trained[name]["kind"] for name in rows] == ["values"] * 3
    assert trained["c"]["values"] == ["7"]
    assert distributions._text(12345678.0) == distributions._text(12345678) == "12345678"
    same = compared(trained, rows.assign(c=7, b=rows["b"].astype(int)))
    assert same.drifted == []
    assert compared(trained, rows.assign(c=[8] * 100)).drifted == ["c"]
    assert compared(trained, rows.assign(t="z", b=True)).drifted == ["t", "b"]


def test_chance_is_not_taken_for_drift(rows, trained):
    """Of 40 rows many a column moves by much, by chance; hardly one fails the test as well."""
    random = np.random.default_rng(1)
    alarms = crossed = 0
    for _ in range(30):
        report = compared(trained, rows.sample(40, replace=True, random_state=random))
        alarms += len(report.drifted)
        crossed += sum(column.psi > LIMITS.psi for column in report.columns)
    assert crossed > 40
    assert alarms <= 3


def test_a_difference_too_small_to_matter_is_no_drift():
    random = np.random.default_rng(1)
    trained = distributions.describe(pd.DataFrame({"x": random.normal(0, 1, 50_000)}))
    report = compared(trained, pd.DataFrame({"x": random.normal(0.05, 1, 50_000)}))
    assert report.worst.p_value < LIMITS.p_value
    assert report.drifted == []


def test_the_index_is_the_sum_over_the_bins():
    before, now = np.array([50.0, 30, 20]), np.array([20.0, 30, 50])
    p, q = (before + 0.5) / 101.5, (now + 0.5) / 101.5
    assert distributions.psi(before, now) == pytest.approx(sum((q - p) * np.log(q / p)))
    assert distributions.psi(before, before * 3) == pytest.approx(0, abs=1e-3)
    assert np.isfinite(distributions.psi(before, np.array([0.0, 0, 9])))


def test_the_test_is_chi_square_with_thin_bins_pooled():
    before, now = np.array([60.0, 40, 2, 1]), np.array([40.0, 60, 1, 2])
    pooled = chi2_contingency([[60, 40, 3], [40, 60, 3]], correction=False).pvalue
    assert distributions._test(before, now) == pytest.approx(pooled)
    assert distributions._test(np.array([5.0, 0]), np.array([7.0, 0])) == 1.0


def test_p_values_are_corrected_as_holm_says():
    assert distributions._holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_the_reference_holds_no_row_and_no_identifier(inputs):
    trained = distributions.describe(inputs)
    assert not set(schema.PERSONAL) & set(trained)
    for about in trained.values():
        assert len(about.get("edges", about.get("values"))) <= 2 * distributions.FEW
        assert sum(about["counts"]) + about["missing"] == len(inputs)


def test_a_missing_column_is_an_error_that_names_it(rows, trained):
    with pytest.raises(errors.UserError, match="column bmi, glu is missing"):
        compared(trained, rows.drop(columns=["bmi", "glu"]))
    with pytest.raises(errors.UserError, match="nothing to compare"):
        compared(trained, rows.head(0))


def test_text_in_a_column_of_numbers_counts_as_missing(rows, trained):
    report = compared(trained, rows.assign(bmi="n/a"))
    assert report.drifted == ["bmi"]
    assert column(report, "bmi").shares[-1] == (0.0, 1.0)


def test_the_page_stands_alone_with_a_plot_for_each_column(rows, trained, monkeypatch):
    report = compared({name: trained[name] for name in ("bmi", "sex")}, rows)
    page = drift.page(report, "a <title>")
    assert page.count("data:image/svg+xml;base64,") == 2
    assert "a &lt;title&gt;" in page
    assert "http" not in page
    monkeypatch.setattr(drift, "SHOWN", 1)
    assert drift.page(report, "of many columns").count("data:image/svg+xml;base64,") == 1
    assert report.drifted == []


def test_a_plot_has_names_as_they_are_in_any_script(recwarn):
    # Formulas to matplotlib, letters that its font lacks, and what would be markup.
    names = ["$5 to $10", r"$\frac$", "りんご 🍎", "<b>&"]
    moved = distributions.Column(
        names[1], 0.1, 0.5, 0.0, drifted=False, bins=names, shares=[(0.25, 0.25)] * 4
    )
    page = drift.page(distributions.Report(4, 4, [moved]), "of any table")
    picture = base64.b64decode(page.partition("svg+xml;base64,")[2].partition('"')[0])
    written = {
        text.text for text in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")
    }
    assert {*names, f"{names[1]}: psi 0.100"} <= written
    assert not recwarn.list
