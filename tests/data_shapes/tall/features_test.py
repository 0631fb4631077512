"""Each feature, on rows whose answer is known."""

import pytest

from ..project import features


@pytest.mark.parametrize(
    ("feature", "row", "expected"),
    [("km", {"km": 2.5}, 2.5), ("minutes", {"minutes": 7.0}, 7.0), ("cash", {"cash": True}, 1.0)],
)
@pytest.mark.feature_code
def test_a_feature_is_what_its_name_says(inputs, feature, row, expected):
    rows = inputs.head(1).assign(**row)
    assert features.features.build(rows)[feature].tolist() == [expected]
