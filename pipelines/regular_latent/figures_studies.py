"""Our own figures: learned counts and their null, and equivariance errors beside accuracy."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from pipelines.regular_latent.claims_ours import LATENT_ERROR, OUTPUT_ERROR
from pipelines.regular_latent.quantities import ACCURACY
from pipelines.regular_latent.studies import CONTROLLED, CONTROLS
from pipelines.regular_latent.systems import GROUPS, arm4, one_rate4
from pipelines.regular_latent.tables_exploration import (
    DISTANCE,
    DISTANCE_BEFORE,
    EXPLORATIONS,
    LEARNED,
    NULL,
    Exploration,
    alone_as_long,
    distances,
)
from shared.report import plots
from shared.report.build import Where
from shared.report.figures import Axes, Canvas, Figure, canvas
from shared.report.plots import DASHED, Look
from shared.report.results import Results
from shared.report.tables import Sample
from shared.report.theme import MUTED, SERIES

PRINTED = Look("printed", MUTED, "D", "")
NETWORK = Look("learned with a network", SERIES[0], "o", "")
ALONE = Look("algebra loss alone", SERIES[1], "s", "")
BEFORE = Look("before training", MUTED, "", DASHED)
#: Systems of the figure of errors; their looks.
SYSTEMS = {
    "cnn": Look("CNN, augmented", SERIES[4], "s", ""),
    "ours": Look("ours (regular)", SERIES[0], "o", ""),
    "two_views": Look("two images, no latent loss", SERIES[2], "^", ""),
    "trivial": Look("trivial", SERIES[1], "D", ""),
    "cosets": Look("random representation", SERIES[3], "v", ""),
    "shuffled": Look("random permutations", SERIES[5], "P", ""),
    "wrong_group": Look("another group", MUTED, "X", ""),
}


def figures(results: Results) -> list[Figure]:
    """The figures of the studies, in reading order."""
    return [nulls(results), errors(results)]


def nulls(results: Results) -> Figure:
    """Distances from the regular representation: printed, learned, and of the algebra loss alone."""
    shown = [results.frame(name) for one in EXPLORATIONS for name in one.experiments]

    def draw() -> Canvas:
        drawn, panels = canvas(8.4, 3.0, 1, len(EXPLORATIONS))
        for axes, one in zip(panels, EXPLORATIONS):
            _draw_distances(axes, results, one)
        panels[0].set_ylabel("largest distance from regular")
        plots.legend(drawn, [*([] if results.demo else [PRINTED]), NETWORK, ALONE, BEFORE])
        return drawn

    experiments = [name for one in EXPLORATIONS for name in one.experiments]
    return plots.figure(results, "nulls", draw, shown=shown, experiments=experiments)


def _draw_distances(axes: Axes, results: Results, one: Exploration) -> None:
    learned, controls, null = one.experiments
    printed = Sample({} if results.demo else dict(enumerate(distances(results, one))))
    alone, alone_far = (
        alone_as_long(results, (null, arm), networks)
        for arm, networks in ((NULL, (learned, LEARNED)), ("far", (controls, "far")))
    )
    columns: list[tuple[str, Look, Sample, Where | None]] = [
        ("printed", PRINTED, printed, None),
        ("learned", NETWORK, DISTANCE.of(results, (learned, LEARNED)), (learned, LEARNED)),
        ("null", ALONE, alone, (null, NULL)),
        ("learned,\nfrom far", NETWORK, DISTANCE.of(results, (controls, "far")), (controls, "far")),
        ("null,\nfrom far", ALONE, alone_far, (null, "far")),
    ]
    columns = [column for column in columns if column[2].n]
    for place, (_, look, sample, where) in enumerate(columns):
        plots.dots(axes, {place: sample}, look)
        before = DISTANCE_BEFORE.of(results, where) if where else Sample()
        if before.n:
            height = before.summary.mean
            axes.hlines(height, place - 0.35, place + 0.35, color=MUTED, linewidth=1, linestyle=DASHED)
    if columns:
        plots.categories(axes, [name for name, *_ in columns], fontsize=6.5)
    axes.set(title=one.group, ylim=(-0.2, None))


def errors(results: Results) -> Figure:
    """Equivariance errors of latent vectors and output, over accuracy."""
    arms = {group: _arms(results, group) for group in GROUPS}
    shown = [ACCURACY.of(results, where).values for found in arms.values() for where in found.values()]

    def draw() -> Canvas:
        drawn, panels = canvas(8.4, 5.0, 2, len(GROUPS))
        for row, (what, title) in enumerate(((LATENT_ERROR, "latent"), (OUTPUT_ERROR, "output"))):
            for column, (group, found) in enumerate(arms.items()):
                axes = panels[row * len(GROUPS) + column]
                for system, where in found.items():
                    x, y = (quantity.of(results, where).values for quantity in (ACCURACY, what))
                    _marks(axes, pd.Series(x), pd.Series(y), SYSTEMS[system])
                axes.set(title="" if row else group, xlabel="accuracy" if row else "", ylim=(0, None))
            panels[row * len(GROUPS)].set_ylabel(f"error of the {title}")
        plots.legend(drawn, SYSTEMS.values(), ncols=4)
        return drawn

    experiments = ["one_rate", "one_rate_D4", "controls"]
    return plots.figure(results, "equivariance", draw, shown=shown, experiments=experiments)


def _arms(results: Results, group: str) -> Mapping[str, Where]:
    """CNN and the method, and the controls that there are of this group."""
    found = {system: one_rate4(system, group) for system in ("cnn", "ours")}
    if group in CONTROLLED:
        found |= {control: ("controls", arm4(control, group)) for control in CONTROLS}
    return found


def _marks(axes: Axes, x: pd.Series, y: pd.Series, look: Look) -> None:
    both = sorted(set(x.index) & set(y.index))
    axes.plot(x[both], y[both], look.marker, color=look.color, markersize=4.5, alpha=0.8)
