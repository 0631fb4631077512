"""Each feature, on rows whose answer is known."""

import pandas as pd
import pytest

from ..project import features

NOON = pd.Timestamp("2024-07-01T12:00:00Z").tz_convert("Europe/Berlin")


@pytest.mark.parametrize(
    ("feature", "row", "expected"),
    [
        ("weight", {"weight": 2.5}, 2.5),
        ("picked_late", {"picked": NOON}, 0.0),
        ("times.pick", {"picked": NOON, "ordered": pd.Timestamp("2024-07-01T10:30:00")}, 1.5),
    ],
)
@pytest.mark.feature_code
def test_a_feature_is_what_its_name_says(inputs, feature, row, expected):
    rows = inputs.head(1).assign(**row)
    assert features.features.build(rows)[feature].tolist() == [expected]
