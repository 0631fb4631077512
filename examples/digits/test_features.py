"""Yours: each feature, on rows whose answer is known."""

import pytest

from ..project import features, schema


@pytest.mark.parametrize(
    ("column", "row", "expected"),
    [
        ("image.r0c0", {"r0c0": 0}, 0.0),
        ("image.r3c5", {"r3c5": 4}, 0.25),
        ("image.r7c7", {"r7c7": 16}, 1.0),
    ],
)
def test_a_feature_is_what_its_name_says(inputs, column, row, expected):
    rows = inputs.head(1).assign(**row)
    assert features.features.build(rows)[column].tolist() == [expected]


@pytest.mark.feature_code
def test_every_feature_has_a_case_above():
    cases = test_a_feature_is_what_its_name_says.pytestmark[0].args[1]
    assert {case[0].split(".")[0] for case in cases} == set(features.features.names)


def test_the_pixels_stand_in_the_picture_s_order_whatever_the_caller_s(inputs):
    built = features.features.build(inputs[schema.PIXELS[::-1]])
    assert list(built)[:9] == [f"image.r0c{column}" for column in range(8)] + ["image.r1c0"]
