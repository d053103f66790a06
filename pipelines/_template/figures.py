"""Figures of the template. Their words stand in captions.md."""

from __future__ import annotations

from shared.report.figures import Figure
from shared.report.plots import DASHED, Look, chart, each_seed, figure, series
from shared.report.results import Results
from shared.report.theme import SERIES

from .tables import EXPERIMENT, TITLES

LOOKS = {
    "z2cnn": Look(TITLES["z2cnn"], SERIES[0], style=DASHED),
    "p4cnn": Look(TITLES["p4cnn"], SERIES[1]),
}


def figures(results: Results) -> list[Figure]:
    """All figures of the report."""
    return [loss(results)]


def loss(results: Results) -> Figure:
    """The training loss of both networks."""
    shown = series(results, "train_loss", {arm: (EXPERIMENT, arm) for arm in LOOKS}, LOOKS)
    axes = {"xlabel": "epoch", "ylabel": "training loss"}
    return figure(
        results,
        "figure1",
        lambda: chart(shown, (4.5, 2.8), each_seed, axes=axes),
        shown=shown,
        experiments=(EXPERIMENT,),
    )
