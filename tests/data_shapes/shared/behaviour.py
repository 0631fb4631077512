"""Yours: what the model must do, whatever it is made of."""

import numpy as np
import pytest

from ..contract import ROOT
from ..project import context as contexts
from ..project import features, model, schema, settings

PARAMS = settings.load_params(ROOT / "params.yaml")


@pytest.mark.model_code
def test_it_fits_the_rows_that_it_was_shown(split):
    few = split.train.head(500)
    x, y = features.features.build(few), few[schema.TARGET]
    where = contexts.Context(PARAMS.seed)
    fitted, simple = model.fit(x, y, PARAMS.model, where), model.baseline(x, y, where)
    found, less = (model.metrics(y, model.predict(one, x)) for one in (fitted, simple))
    assert found[PARAMS.gate.metric] > less[PARAMS.gate.metric]
    assert np.isfinite(list(found.values())).all()
