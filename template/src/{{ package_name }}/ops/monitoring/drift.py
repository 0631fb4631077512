"""The drift report as a page, with plots."""

import base64
import html
import io
from warnings import catch_warnings, filterwarnings

import numpy as np

from ..data.distributions import Column, Report

# Columns that are plotted: a table may have hundreds, and each plot takes a while.
SHOWN = 40


def page(report: Report, title: str) -> str:
    """Return the report as one HTML page that needs no other file; plots are of what moved most."""
    shown = report.columns[:SHOWN]
    plots = "".join(f'<img alt="{html.escape(c.name)}" src="{_plot(c)}">' for c in shown)
    return (
        f"<!doctype html><meta charset='utf-8'><title>{html.escape(title)}</title>"
        f"<h1>{html.escape(title)}</h1><p>{report.rows} rows against {report.reference_rows}"
        f" of training.</p><pre>{html.escape(str(report))}</pre>{plots}\n"
    )


def _plot(column: Column) -> str:
    """Draw both distributions; return the picture as a data address."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    picture = io.BytesIO()
    # The browser writes the names, as text, by fonts for any script; here one may lack a letter.
    with rc_context({"svg.fonttype": "none", "text.parse_math": False}), catch_warnings():
        filterwarnings("ignore", "Glyph [0-9]+")
        figure = Figure(figsize=(6, 3), layout="constrained")
        axes = figure.subplots()
        places = np.arange(len(column.bins))
        axes.bar(places - 0.2, [p for p, _ in column.shares], 0.4, label="training")
        axes.bar(places + 0.2, [q for _, q in column.shares], 0.4, label="now")
        axes.set_xticks(places, column.bins, rotation=45, ha="right", fontsize=7)
        drifted = ", drifted" if column.drifted else ""
        axes.set_title(f"{column.name}: psi {column.psi:.3f}{drifted}")
        axes.legend()
        figure.savefig(picture, format="svg")
    return "data:image/svg+xml;base64," + base64.b64encode(picture.getvalue()).decode()
