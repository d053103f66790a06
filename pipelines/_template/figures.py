"""Figures of the template."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.report.figures import Figure, canvas
from shared.report.results import Results

from .tables import EXPERIMENT, TITLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def figures(results: Results) -> list[Figure]:
    """All figures of the report."""
    drawable = not results.frame(EXPERIMENT).empty
    return [
        Figure(
            name="figure1",
            title="Training loss",
            caption="Mean cross-entropy of the training digits by epoch; one line per seed.",
            alt="Line plot of the training loss of both networks, falling with the epochs.",
            draw=(lambda: _loss(results)) if drawable else None,
            commands=(results.command(EXPERIMENT),),
        )
    ]


def _loss(results: Results) -> Canvas:
    figure, (axes,) = canvas(4.5, 2.8)
    for number, (arm, title) in enumerate(TITLES.items()):
        for index, (_, losses) in enumerate(results.curves(EXPERIMENT, arm, "train_loss").iterrows()):
            style = {"color": f"C{number}", "linestyle": "-" if number else "--", "marker": "o"}
            axes.plot(losses.index, losses.to_numpy(), label="" if index else title, **style)
    axes.set(xlabel="epoch", ylabel="training loss")
    axes.legend()
    return figure
