"""Samples in groups: several networks on each of several data sets, as dots or as bars.

Bars begin at zero and are for counts. A difference that is small beside the values, as between accuracies, is
shown by dots, whose axis may begin anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from shared.report import plots
from shared.report.figures import Axes
from shared.report.plots import Look
from shared.report.tables import Sample
from shared.report.theme import MUTED


def dots(axes: Axes, groups: Mapping[str, Mapping[str, Sample]], looks: Mapping[str, Look]) -> None:
    """Groups of `plots.dots`: samples by name, by the title of their group; looks in its order."""
    if _not_run(axes, groups):
        return
    step = 0.8 / len(looks)
    for number, (name, look) in enumerate(looks.items()):
        offset = (number - (len(looks) - 1) / 2) * step
        found = enumerate(samples.get(name, Sample()) for samples in groups.values())
        plots.dots(axes, {place + offset: sample for place, sample in found}, look)
    plots.categories(axes, list(groups))
    axes.margins(y=0.1)


def bars(axes: Axes, groups: Mapping[str, Mapping[str, Sample]], looks: Mapping[str, Look]) -> None:
    """Groups of bars that begin at zero: means of samples by name, by the title of their group.

    For counts; where differences are small beside the values, `dots` shows them and the spread.
    """
    if _not_run(axes, groups):
        return
    import seaborn as sns

    table = pd.DataFrame(_rows(groups), columns=["group", "name", "value"])
    common = {"data": table, "x": "group", "y": "value", "hue": "name", "order": list(groups)}
    common |= {"hue_order": list(looks), "dodge": True, "legend": False, "ax": axes}
    colors = {name: look.color for name, look in looks.items()}
    sns.barplot(**common, errorbar=None, palette=colors, saturation=1, gap=0.1)
    for drawn, look in zip(axes.containers, looks.values()):
        for bar in drawn:
            bar.set(hatch=look.hatch, edgecolor="white", linewidth=0.5)
    top = 1.08 * table["value"].max()
    axes.set(xlabel="", ylabel="", xlim=(-0.5, len(groups) - 0.5), ylim=(0, top))
    axes.grid(axis="x", visible=False)


def _rows(groups: Mapping[str, Mapping[str, Sample]]) -> list[tuple[str, str, float]]:
    return [
        (title, name, value)
        for title, samples in groups.items()
        for name, sample in samples.items()
        for value in sample.numbers
    ]


def _not_run(axes: Axes, groups: Mapping[str, Mapping[str, Sample]]) -> bool:
    """Whether nothing ran; then the panel says so."""
    if _rows(groups):
        return False
    axes.text(0.5, 0.5, "not run", transform=axes.transAxes, ha="center", color=MUTED)
    axes.set(xticks=[], yticks=[])
    return True
