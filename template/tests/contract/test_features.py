"""Your features: numbers, one row at a time, and never made from what is personal."""

import numpy as np
import pandas as pd

from ..project import features, schema

FEATURES = features.features


def test_there_are_features_and_each_has_a_name_of_its_own(inputs):
    columns = FEATURES.build(inputs).columns
    assert len(FEATURES.names) > 0
    assert columns.is_unique


def test_they_are_numbers_and_never_infinite(inputs):
    table = FEATURES.build(inputs)
    assert (table.dtypes == "float64").all()
    assert not np.isinf(table.to_numpy()).any()


def test_a_row_s_features_do_not_depend_on_other_rows(inputs):
    whole = FEATURES.build(inputs)
    for place in range(0, len(inputs), max(1, len(inputs) // 5)):
        alone = FEATURES.build(inputs.iloc[[place]])
        pd.testing.assert_frame_equal(alone, whole.iloc[[place]])


def test_building_them_leaves_the_rows_as_they_were(inputs):
    before = inputs.copy(deep=True)
    FEATURES.build(inputs)
    pd.testing.assert_frame_equal(inputs, before)


def test_they_need_neither_identifier_nor_label_nor_personal_columns(rows, inputs):
    own = {schema.IDENTIFIER, schema.TARGET, *schema.PERSONAL}
    assert own.isdisjoint(inputs.columns)
    pd.testing.assert_frame_equal(FEATURES.build(inputs), FEATURES.build(rows))
