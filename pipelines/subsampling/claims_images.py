"""Claims on images: Table 2 and Figure 4."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from pipelines.subsampling.arms import (
    DATASETS,
    FIGURE4_PANELS,
    REDUCED,
    ROLES,
    SHORT,
    STAGE_TITLES,
    TABLE2,
    stages,
)
from pipelines.subsampling.quantities import (
    ALL_QUARTERS,
    UPRIGHT,
    dataset_of,
    figure4_paper,
    figure4_source,
)
from shared.report.build import Quantity, Where
from shared.report.claims import Pair, Part, Rule, above, bound, claim, compare, part
from shared.report.results import Results
from shared.report.tables import Row, Sample, per_seed

#: Invariance error up to which a float32 network counts as exact.
FLOAT32 = 1e-5
#: The same on images, whose accuracies the paper gives with deviations of 0.1 to 1.4.
MARGIN_IMAGES = 0.5
#: The rule "the first is better than the second".
BETTER = above()


# -- Table 2 -----------------------------------------------------------------------------------------------

#: Networks of the paper by data set, and our reduced one, for which the paper has no numbers.
ARMS = {**TABLE2, "reduced": REDUCED}
#: Rotations as the paper means them.
ROTATIONS = {"seen": UPRIGHT, "unseen": ALL_QUARTERS}


def table2(results: Results) -> Iterator[Row]:
    """S15 to S17, one row for each data set, so that a data set that was not run does not hide another.

    The reduced network counts only where the paper's was not run on CIFAR-10.
    """

    titles = dict(DATASETS)
    if not results.tier("table2_cifar10", TABLE2["cifar10"][0]):
        titles["reduced"] = "CIFAR-10, reduced network (ours)"

    def judged(key: str, dataset: str, parts: list[Part], **fields: str) -> Row:
        options = {"said": key, "ours": dataset == "reduced", "data": titles[dataset], **fields}
        return claim(results, f"{key}-{dataset}", parts, f"table2_{dataset}", **options)

    for dataset in titles:
        yield judged("S15", dataset, [_roles(results, dataset, "unseen", "exact", "approximate")])
    yield _gaps(results)
    for dataset in titles:
        rule = above(-MARGIN_IMAGES)
        parts = [_roles(results, dataset, "seen", "approximate", "exact", rule=rule)]
        yield judged("S16", dataset, parts, margin=f"{MARGIN_IMAGES:g}")
    for dataset in titles:
        parts = [
            _roles(results, dataset, rotations, role, "standard", f"{role}, {rotations}")
            for role in ("approximate", "exact")
            for rotations in ROTATIONS
        ]
        yield judged("S17", dataset, parts)


def _pair(results: Results, dataset: str, rotations: str, first: str, second: str, label: str = "") -> Pair:
    """Two networks on a data set, and the difference of their printed cells of Table 2."""
    places = [(f"table2_{dataset}", ARMS[dataset][ROLES.index(role)]) for role in (first, second)]
    printed = [results.published("table2", f"{dataset}_{role}", rotations) for role in (first, second)]
    known = f"{printed[0].value - printed[1].value:+.2f}" if all(printed) else "-"
    return label, places[0], places[1], known


def _roles(
    results: Results,
    dataset: str,
    rotations: str,
    first: str,
    second: str,
    label: str = "",
    rule: Rule = BETTER,
) -> Part:
    """One network minus another on a data set."""
    pair = _pair(results, dataset, rotations, first, second, label)
    return compare(results, ROTATIONS[rotations], rule, [pair])[0]


def _gaps(results: Results) -> Row:
    """Second half of S15: the gap is larger on CIFAR and ImageNet than on Flowers102 and PCam."""
    parts = []
    for first, other in itertools.product(("cifar10", "cifar100", "imagenet"), ("flowers102", "pcam")):
        pairs = [_pair(results, data, "unseen", "exact", "approximate") for data in (first, other)]
        known = f"{float(pairs[0][3]) - float(pairs[1][3]):+.2f}"
        samples = [
            ALL_QUARTERS.of(results, exact) - ALL_QUARTERS.of(results, approximate)
            for _, exact, approximate, _ in pairs
        ]
        label = f"{DATASETS[first]} minus {DATASETS[other]}"
        parts.append(part(label, known, samples, above(), paired=False))
    return claim(results, "S15-gap", parts, "table2_flowers102")


# -- Figure 4 ----------------------------------------------------------------------------------------------

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


def figure4(results: Results) -> Iterator[Row]:
    """S18 at every stage, S19 and S20: the paper's on its data, then the same of what stands in for it."""
    experiment, (approximate, exact) = figure4_source(results)
    ending, network = SUBSTITUTES[experiment], f"{SHORT[approximate]} on CIFAR-10"
    yield _exact_stages(results, (experiment, exact), ending)
    pcam = ("table2_pcam", figure4_paper("table2_pcam")[0])
    yield _left(results, pcam, "", "p4 ResNet-44 96 on PCam")
    yield _left(results, (experiment, approximate), ending, network)
    for panel, moments in SAID.items():
        name, dataset = figure4_paper(panel)[0], dataset_of(panel)
        words = f"{SHORT[name]} on {DATASETS[dataset]}, Figure {FIGURE4_PANELS[panel]}"
        for moment in moments:
            yield _grown(results, (panel, name), f"-{dataset}", words, moment, "mse")
    for panel in SAID:
        name, dataset = figure4_paper(panel)[0], dataset_of(panel)
        words = f"{SHORT[name]} on {DATASETS[dataset]}, Figure {FIGURE4_PANELS[panel]}"
        yield _fallen(results, (panel, name), f"-{dataset}", words)
    yield _fallen_again(results)
    yield _fallen(results, (experiment, approximate), ending, network)
    for moment in MOMENTS:
        for reading in READINGS:
            yield _grown(results, (experiment, approximate), ending, network, moment, reading)


def _exact_stages(results: Results, where: Where, ending: str) -> Row:
    """S18 of every stage, through training."""
    parts = []
    for stage in stages(where[1]):
        worst = Quantity(f"energy_{stage}", reduce=np.max).of(results, where)
        parts.append(bound(STAGE_TITLES[stage], "exact", worst.map(math.sqrt), most=FLOAT32))
    fields = {"said": "S18-stages", "network": SHORT[where[1]], "most": f"{FLOAT32:g}"}
    return claim(results, f"S18-stages{ending}", parts, where[0], ours=True, **fields)


def _left(results: Results, where: Where, ending: str, network: str) -> Row:
    """S19: no error before the first subsampling, and one that stays behind it."""
    parts = []
    for stage in stages(where[1]):
        metric, title = f"energy_{stage}", STAGE_TITLES[stage]
        if stage in ("stem", "stage1"):
            worst = Quantity(metric, reduce=np.max).of(results, where)
            parts.append(bound(title, "0", worst.map(math.sqrt), most=FLOAT32))
        else:
            least = Quantity(metric, reduce=np.min).of(results, where)
            parts.append(bound(title, "above 0", least.map(math.sqrt), least=LEFT))
    return claim(results, f"S19{ending}", parts, where[0], said="S19", ours=bool(ending), network=network)


def _grown(results: Results, where: Where, ending: str, network: str, moment: str, reading: str) -> Row:
    """S20: the error of the last stage ends above what it was.

    Args:
        results: ours.
        where: the approximate network.
        ending, network: how the key ends, and the network in words.
        moment: one of `MOMENTS`.
        reading: one of `READINGS`.
    """
    since, measured = MOMENTS[moment]
    fields = {"since": since, "measured": measured, "reading": READINGS[reading], "network": network}
    metric = f"{reading}_{stages(where[1])[-1]}"
    growth = _growth(results, where, metric, whole=moment == "-start")
    key = f"S20{moment}{'' if reading == 'mse' else '-energy'}{ending}"
    parts, ours = [part("", "above 0", [growth], BETTER)], ending in SUBSTITUTES.values()
    return claim(results, key, parts, where[0], said="S20", ours=ours, **fields)


def _fallen(results: Results, where: Where, ending: str, network: str) -> Row:
    """S27: every stage that has an error has less of it after the first tenth of the epochs."""
    begins = stages(where[1]) if "18" in where[1] else stages(where[1])[2:]
    parts = []
    for stage in begins:
        steps = list(results.curves(*where, f"mse_{stage}").columns)
        early = next((step for step in steps if step >= max(1, steps[-1] / 10)), None)
        what = Quantity(f"mse_{stage}", (0, early or 0), lambda v: -math.log10(v[1] / v[0]))
        sample = what.of(results, where) if early else Sample()
        parts.append(part(STAGE_TITLES[stage], "above 0", [sample], BETTER))
    ours = ending in SUBSTITUTES.values()
    return claim(results, f"S27{ending}", parts, where[0], said="S27", ours=ours, network=network)


#: Epochs before and after the first cut of the learning rate on ImageNet (S27).
CUT = (30, 35)


def _fallen_again(results: Results) -> Row:
    """The second half of S27: in how many of the five stages the error falls when the rate is cut first."""
    where = ("table2_imagenet", figure4_paper("table2_imagenet")[0])
    fell = [
        Quantity(f"mse_{stage}", CUT, lambda v: float(v[1] < v[0])).of(results, where)
        for stage in stages(where[1])
    ]
    count = per_seed(lambda *v: float(sum(v)), *fell)
    most = bound("stages of five", "most", count, least=3, form=lambda s: f"{min(s.numbers):.0f}")
    return claim(results, "S27-rate", [most], where[0])


def _growth(results: Results, where: Where, metric: str, whole: bool) -> Sample:
    """By seed log10 of an error after the last epoch by that after the first tenth of the epochs.

    With ``whole`` by that before training.
    """
    steps = list(results.curves(*where, metric).columns)
    early = next((step for step in steps if whole or step >= max(1, steps[-1] / 10)), None)
    if early is None or early == steps[-1]:
        return Sample()
    return Quantity(metric, (early, steps[-1]), lambda v: math.log10(v[1] / v[0])).of(results, where)
