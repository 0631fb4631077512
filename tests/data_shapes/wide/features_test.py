"""Each feature, on rows whose answer is known."""

import pytest

from ..project import features


@pytest.mark.feature_code
def test_measurements_are_features_as_they_are(inputs):
    built = features.features.build(inputs.head(2))
    assert built["measured.m017"].tolist() == inputs["m017"].head(2).tolist()
