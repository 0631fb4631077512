"""Yours: each feature, on rows whose answer is known."""

import pytest

from ..project import features


@pytest.mark.parametrize(
    ("feature", "row", "expected"),
    [
        ("is_sex_2", {"sex": 2}, 1.0),
        ("is_sex_2", {"sex": 1}, 0.0),
        ("bmi", {"bmi": 27.5}, 27.5),
        ("blood_pressure", {"bp": 101.0}, 101.0),
        ("hdl", {"hdl": 44.0}, 44.0),
        ("triglycerides", {"ltg": 5.1}, 5.1),
    ],
)
def test_a_feature_is_what_its_name_says(inputs, feature, row, expected):
    rows = inputs.head(1).assign(**row)
    assert features.features.build(rows)[feature].tolist() == [expected]


def test_every_feature_has_a_case_above():
    cases = test_a_feature_is_what_its_name_says.pytestmark[0].args[1]
    assert {case[0] for case in cases} == set(features.features.names)
