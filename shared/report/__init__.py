"""Reports: tables, figures, one report per paper, and one page for all; made from collected results, without
torch.

    from shared import report
    report.render("subsampling")          # reports/subsampling/
    report.page.write()                   # reports/index.html, reports/index.md, README.md

matplotlib is loaded when the first figure is drawn.
"""

from __future__ import annotations

from shared.report import page
from shared.report.contents import Report
from shared.report.render import render, render_all
from shared.report.results import Results, difference
from shared.report.tables import Cell, Column, Row, Sample, Table, measured

__all__ = [
    "Cell",
    "Column",
    "Report",
    "Results",
    "Row",
    "Sample",
    "Table",
    "difference",
    "measured",
    "page",
    "render",
    "render_all",
]
