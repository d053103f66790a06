"""Figures of the subsampling paper, in reading order; the drawing is in the modules ``figures_*``."""

from __future__ import annotations

from pipelines.subsampling.arms import FIGURE4_PANELS
from pipelines.subsampling.figures_angles import figure5, figure6, rotmnist
from pipelines.subsampling.figures_atlas import atlas
from pipelines.subsampling.figures_invariance import invariance
from pipelines.subsampling.figures_pictures import figure2, figure3
from pipelines.subsampling.figures_quarters import padding, sizes
from pipelines.subsampling.figures_repair import mirrors, repair
from pipelines.subsampling.figures_training import figure4, figure4_panel
from pipelines.subsampling.figures_windows import figure1
from shared.report.figures import Figure
from shared.report.results import Results


def figures(results: Results) -> list[Figure]:
    """All figures, in reading order."""
    return [
        figure1(),
        figure2(results),
        figure3(results),
        figure4(results),
        figure4(results, "figure4_readings"),
        *(figure4_panel(results, experiment) for experiment in FIGURE4_PANELS),
        figure5(results),
        rotmnist(results),
        figure6(results),
        figure6(results, "figure6_images"),
        atlas(results),
        sizes(results),
        padding(results),
        repair(results),
        mirrors(results),
        invariance(results),
    ]
