"""What the model sees. Yours: one function a feature, used by training and serving alike.

A feature is a function of the rows that returns one number a row; its name is the column's name.
"""

import pandas as pd

from .ops import Features

features = Features()


@features.add
def is_sex_2(rows: pd.DataFrame) -> pd.Series:
    """One where the source says sex 2, else zero."""
    return rows["sex"] == 2  # noqa: PLR2004


@features.add
def bmi(rows: pd.DataFrame) -> pd.Series:
    """Body mass index, kg/m2."""
    return rows["bmi"]


@features.add
def blood_pressure(rows: pd.DataFrame) -> pd.Series:
    """Mean arterial pressure, mmHg."""
    return rows["bp"]


@features.add
def hdl(rows: pd.DataFrame) -> pd.Series:
    """High-density lipoproteins, mg/dl."""
    return rows["hdl"]


@features.add
def triglycerides(rows: pd.DataFrame) -> pd.Series:
    """Log of serum triglycerides."""
    return rows["ltg"]


@features.add
def weight_under_pressure(rows: pd.DataFrame) -> pd.Series:
    """Excess weight times excess pressure: each matters more where the other is high."""
    return (rows["bmi"] - 25) * (rows["bp"] - 93)
