"""Claims about Figure 4: S18 at every stage, S19 and S20.

The paper speaks of PCam and ImageNet. What stands in for them while they are not at hand is another network
on other data: its rows are statements of ours, named after it, and do not count as the paper's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from pipelines.subsampling.arms import DATASETS, FIGURE4_PANELS, SHORT, STAGE_TITLES, stages
from pipelines.subsampling.claims_common import (
    FLOAT32,
    bound,
    figure4_paper,
    figure4_source,
    one_sample,
)
from shared.report.claims import row
from shared.report.results import Results
from shared.report.tables import Row, Sample

#: Readings of Eq. 14 for S20: as its text says, and one that the paper does not have.
READINGS = {
    "mse": "reading A of Eq. 14",
    "energy": "relative to the features, so that their mere growth does not count",
}
#: Error relative to the features that counts as not vanishing (S19).
LEFT = 1e-3
#: S20 by the end of its key: since when, and what our number divides by.
MOMENTS = {
    "": ("after the first epochs", "after a tenth of the epochs"),
    "-start": ("before training", "before training"),
}
#: What the paper says of its panels, by experiment: the moments of S20.
SAID = {"table2_pcam": ("",), "table2_imagenet": ("", "-start")}
#: How keys end of what stands in for them.
SUBSTITUTES = {"figure4": "-cifar10", "table2_reduced": "-reduced"}


def rows(results: Results) -> Iterator[Row]:
    """The paper's claims on its data, then the same of what stands in for it."""
    experiment, (approximate, exact) = figure4_source(results)
    ending, place = SUBSTITUTES[experiment], f"{SHORT[approximate]} on CIFAR-10"
    yield _exact(results, experiment, exact, ending)
    yield _left(results, "table2_pcam", figure4_paper("table2_pcam")[0], "", "p4 ResNet-44 96 on PCam")
    yield _left(results, experiment, approximate, ending, place)
    for panel, moments in SAID.items():
        name = figure4_paper(panel)[0]
        dataset = panel.removeprefix("table2_")
        for moment in moments:
            words = f"{SHORT[name]} on {DATASETS[dataset]}, Figure {FIGURE4_PANELS[panel]}"
            yield _grown(results, panel, name, (f"-{dataset}", words), moment, "mse")
    for moment in MOMENTS:
        for reading in READINGS:
            yield _grown(results, experiment, approximate, (ending, place), moment, reading)


def _exact(results: Results, experiment: str, name: str, ending: str) -> Row:
    """S18 of every stage, through training."""
    parts = []
    for stage in stages(name):
        worst = results.sample(experiment, name, f"energy_{stage}", reduce=np.max)
        parts.append(bound(STAGE_TITLES[stage], "exact", worst.map(math.sqrt), most=FLOAT32))
    statement = (
        f"The exact residual network ({SHORT[name]} on CIFAR-10) is equivariant at every depth through all "
        f"of training: error at most {FLOAT32:g} of the size of the features at every recorded epoch of "
        "every run"
    )
    return row(f"S18-stages{ending}", statement, parts, command=results.command(experiment), ours=True)


def _left(results: Results, experiment: str, name: str, ending: str, place: str) -> Row:
    """S19: no error before the first subsampling, and one that stays behind it."""
    parts = []
    for stage in stages(name):
        metric, title = f"energy_{stage}", STAGE_TITLES[stage]
        if stage in ("stem", "stage1"):
            worst = results.sample(experiment, name, metric, reduce=np.max)
            parts.append(bound(title, "0", worst.map(math.sqrt), most=FLOAT32))
        else:
            least = results.sample(experiment, name, metric, reduce=np.min)
            parts.append(bound(title, "above 0", least.map(math.sqrt), least=LEFT))
    statement = (
        "In the approximate residual network the stem and stage 1 have no error, since nothing is subsampled "
        f"there; after that it is above 0 and does not vanish with training ({place}; error relative to the "
        "features, the largest or smallest of all epochs)"
    )
    command = results.command(experiment)
    return row(f"S19{ending}", statement, parts, command=command, ours=bool(ending))


def _grown(
    results: Results, experiment: str, name: str, where: tuple[str, str], moment: str, reading: str
) -> Row:
    """S20: the error of the last stage ends above what it was.

    Args:
        results: ours.
        experiment, name: of the approximate network.
        where: how the key ends, and the network in words.
        moment: one of `MOMENTS`.
        reading: one of `READINGS`.
    """
    ending, place = where
    since, measured = MOMENTS[moment]
    statement = (
        f"The equivariance error of the last stage ends above its value {since} ({READINGS[reading]}; "
        f"{place}; ours: log10 of the last by that {measured})"
    )
    metric = f"{reading}_{stages(name)[-1]}"
    growth = growth_of(results, experiment, name, metric, whole=moment == "-start")
    key = f"S20{moment}{'' if reading == 'mse' else '-energy'}{ending}"
    part = one_sample("", "above 0", growth)
    ours = ending in SUBSTITUTES.values()
    return row(key, statement, [part], command=results.command(experiment), ours=ours)


def growth_of(results: Results, experiment: str, name: str, metric: str, whole: bool = False) -> Sample:
    """By seed log10 of an error after the last epoch by that after the first tenth of the epochs.

    With ``whole`` by that before training.
    """
    steps = list(results.curves(experiment, name, metric).columns)
    early = next((step for step in steps if whole or step >= max(1, steps[-1] / 10)), None)
    if early is None or early == steps[-1]:
        return Sample()
    return results.sample(experiment, name, metric, (early, steps[-1]), lambda v: math.log10(v[1] / v[0]))
