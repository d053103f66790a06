"""The claims of the subsampling paper as tests over seeds (fact sheet, section 8).

The paper's Figure 4 is about PCam and ImageNet. What stands in for them while they are not at hand is another
network on other data: its rows are statements of ours, named after it, and do not count as the paper's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from pipelines.subsampling.arms import (
    ANGLES,
    APPROXIMATE,
    BIASES,
    DATASETS,
    EQUIVARIANCE,
    EXACT,
    FIGURE4_PANELS,
    NETWORKS,
    PLAIN,
    QUARTERS,
    REDUCED,
    ROLES,
    SHORT,
    SIDES,
    SIZES,
    STAGE_TITLES,
    TABLE2,
    TURNED,
    arm,
    stages,
)
from pipelines.subsampling.quantities import (
    ACCURACY,
    ALL_QUARTERS,
    ERROR_AFTER,
    UPRIGHT,
    dataset_of,
    figure4_paper,
    figure4_source,
    images_at,
    in_images,
    logged,
    logged_range,
    logged_spread,
    swept,
    trained,
    turns_apart,
)
from shared.report import claims, text, verdicts
from shared.report.build import Quantity, Where, declared
from shared.report.claims import Pair, Part, Rule, above, bound, compare, part, reference, within
from shared.report.results import Results
from shared.report.tables import Row, Sample, per_seed

#: Experiments whose results the claims speak about.
EXPERIMENTS = (
    *("table1", "figure5", "figure3", "figure6", "sizes", "quarters", "networks", "figure4"),
    *("table2_cifar10", "table2_cifar100", "table2_flowers102", "table2_pcam", "table2_imagenet"),
    "table2_reduced",
)
#: Invariance error up to which a float32 network counts as exact.
FLOAT32 = 1e-5
#: Differences below these (points) count as none; the second must resolve the 0.13 that the logs show.
MARGIN_PRINTED, MARGIN_MEAN = 0.5, 0.1
#: The same between test angles of a plain network, whose accuracies scatter more.
MARGIN_ANGLES = 1.0
#: Images by which an exact network's accuracy may differ between quarter turns, as float32 rounds (S3).
FEW_IMAGES = 2
#: Largest difference between angles (points) at which a curve still counts as flat.
FLAT = 2.0
#: Each row is judged also by runs of a shorter protocol; to be decided row by row.
claim = partial(claims.claim, at_lite=True)
#: The rule "the first is better than the second".
BETTER = above()


def rows(results: Results) -> Iterator[Row]:
    """One row per claim, in the order of the fact sheet; one about several data sets has a row for each."""
    yield _parity(results)
    yield _toy(results)
    yield from _quarter_turns(results)
    yield from _trained_upright(results)
    yield from _biased(results)
    pairs = [(other, EXACT, other) for other in (*APPROXIMATE, PLAIN)]
    yield _pairs(results, "S11", pairs, "upright", UPRIGHT)
    yield from _trained_on_turned(results)
    yield from _table2(results)
    yield _invariant(results)
    yield from _figure4(results)
    yield _one_pixel(results)


# -- exactness ---------------------------------------------------------------------------------------------


def _parity(results: Results) -> Row:
    """S1 as far as trained networks show it: exact at one parity, not exact at the other."""
    errors = {name: ERROR_AFTER.of(results, ("sizes", name)) for name in SIZES}
    even, odd = (
        per_seed(pick, *(errors[name] for name in SIZES if EQUIVARIANCE[name] == word))
        for word, pick in (("exact", max), ("approximate", min))
    )
    parts = [
        bound("even sizes", "exact", even, most=FLOAT32),
        bound("odd sizes", "not exact", odd, least=FLOAT32),
    ]
    return claim(results, "S1", parts, "sizes", smallest=str(min(SIDES)), largest=str(max(SIDES)))


def _toy(results: Results) -> Row:
    """S2: at 32 pixels the toy learns to tell the two samples apart, at 33 it cannot."""

    def every(size: int, bounds: Sequence[tuple[Quantity, float, float]]) -> verdicts.Verdict:
        samples = [(what.of(results, ("figure3", f"toy_{size}")), *ends) for what, *ends in bounds]
        return verdicts.every([bound("", "", s, least=low, most=high).verdict for s, low, high in samples])

    loss, lowest = Quantity("loss", last=True), Quantity("loss", reduce=np.min)
    right, gap, chance = Quantity("accuracy"), Quantity("logit_gap", reduce=np.max), math.log(2)
    told = every(32, [(loss, -math.inf, 0.01), (right, 100, math.inf)])
    stays = [(loss, -math.inf, chance + 1e-3), (lowest, chance - 1e-3, math.inf), (gap, -math.inf, 1e-6)]
    cannot = every(33, stays)
    losses = [loss.of(results, ("figure3", name)).numbers for name in ("toy_32", "toy_33")]
    gaps = gap.of(results, ("figure3", "toy_33")).numbers
    ours = ["", ""]
    if losses[0]:
        ours[0] = f"loss {text.fixed(max(losses[0], key=abs), 4)}"
    if losses[1]:
        worst = max(losses[1], key=lambda value: abs(value - chance))
        ours[1] = f"loss {text.fixed(worst, 4)}, gap {text.scientific(max(gaps))}"
    parts = [
        Part("32 pixels", "tells them apart", ours[0], told),
        Part("33 pixels", "cannot", ours[1], cannot),
    ]
    return claim(results, "S2", parts, "figure3")


def _quarter_turns(results: Results) -> Iterator[Row]:
    """S3 of the paper's own network; and on CIFAR-10, where all four quarter turns are always tested."""

    def few(label: str, known: str, where: Where, images: int) -> Part:
        # half an image of slack, since accuracies come as rounded percentages
        most = 100 * (FEW_IMAGES + 0.5) / images if images else 0.0
        shown = f"{in_images(turns_apart(results, where), images)} images" if images else ""
        return bound(label, known, turns_apart(results, where), most=most, form=lambda _: shown)

    swept_fully = declared(results, "quarters")[0]
    where = ("quarters", swept_fully.key)
    parts = [few(swept_fully.title, "1 of 60,000 images", where, images_at(results, where, (0,)))]
    yield claim(results, "S3", parts, where[0], few=str(FEW_IMAGES), data="of the digits tested")
    where = ("table2_cifar10", TABLE2["cifar10"][1])
    if not results.tier(*where) and results.tier("table2_reduced", REDUCED[1]):
        where = ("table2_reduced", REDUCED[1])
    parts = [few(SHORT[where[1]], "", where, images_at(results, where, (0,)))]
    said = {"said": "S3", "few": str(FEW_IMAGES), "data": "CIFAR-10"}
    yield claim(results, "S3-cifar10", parts, where[0], ours=True, **said)


def _invariant(results: Results) -> Row:
    """S18 of the logits: the exact network is invariant to float32 accuracy, before and after training."""
    worst = Quantity("invariance_error", reduce=np.max)
    parts = [
        bound(label, "exact", worst.of(results, ("table1", arm(EXACT, training))), most=FLOAT32)
        for training, label in (("upright", "upright"), ("uniform", "turned"))
    ]
    return claim(results, "S18", parts, "table1", most=f"{FLOAT32:g}")


#: S21: label, network of the experiment ``networks``, its exact size, and the sizes one pixel off.
ONE_PIXEL = (
    ("toy", "toy", 33, (32,)),
    ("P4CNN", "p4cnn", 28, (27, 29)),
    ("p4 ResNet-44", "p4resnet44_cifar10", 33, (32,)),
    ("p4 ResNet-18", "p4resnet18_flowers102", 225, (224,)),
    ("p4 ResNet-18, 7x7 stem", "p4resnet18_imagenet_standard", 225, (224,)),
)


def _one_pixel(results: Results) -> Row:
    """S21, from what the atlas says of the built networks."""
    parts = []
    for label, network, size, others in ONE_PIXEL:
        what = Quantity("exact", (size, *others), lambda v: float(v[0] - max(v[1:])))
        switch = what.of(results, ("networks", network))
        known = f"{size} exact, {text.join([str(other) for other in others])} not"
        ours = ("as the paper" if min(switch.numbers) == 1 else "no switch") if switch.n else ""
        parts.append(Part(label, known, ours, verdicts.exactly(switch.numbers, 1, tier=switch.tier)))
    return claim(results, "S21", parts, "networks")


# -- digits ------------------------------------------------------------------------------------------------


def _pairs(
    results: Results,
    key: str,
    pairs: Sequence[tuple[str, str, str]],
    training: str,
    what: Quantity = ACCURACY,
    *,
    rule: Rule = BETTER,
    known: str = "",
    **options: Any,
) -> Row:
    """A claim on the differences of networks.

    Args:
        results: ours.
        key: of the claim.
        pairs: two networks, and the column of the reference in paper.csv, which is a network, too.
        training: of all of them.
        what: the accuracy that is compared.
        rule: what each difference obeys.
        known: key of the reference, if it is another claim's.
        options: as `claim` has them.
    """
    compared = [
        (
            SHORT[column],
            trained(first, training, what),
            trained(second, training, what),
            reference(results.published("claims", known or key, column)),
        )
        for first, second, column in pairs
    ]
    return claim(results, key, compare(results, what, rule, compared), compared[0][1][0], **options)


def _logged(
    results: Results, table: str, network: str, where: Where, what: Quantity, rule: Rule, label: str = ""
) -> Part:
    """A part about one number of a curve by seed, beside the same number of the authors' logs."""
    return part(label, logged(results, table, network, what), [what.of(results, where)], rule)


def _trained_upright(results: Results) -> Iterator[Row]:
    """S4 to S8."""
    smallest = ACCURACY.at(*QUARTERS, reduce=lambda v: float(v[0] - v[1:].max()))
    parts = [
        _logged(results, "figure5", n, ("figure5", arm(n, "upright")), smallest, above(10.0), SHORT[n])
        for n in APPROXIMATE
    ]
    yield claim(results, "S4", parts, "figure5")
    pairs = [(EXACT, other, other) for other in APPROXIMATE]
    yield _pairs(results, "S5", pairs, "upright", headline=True)
    yield _pairs(results, "S6", [(n, PLAIN, n) for n in APPROXIMATE], "upright")
    spread = f"{logged_spread(results, EXACT):.2f}"
    parts = [
        part(
            SHORT[network],
            f"sd {logged_spread(results, network):.2f} against {spread}",
            [_deviations(results, network), _deviations(results, EXACT)],
            BETTER,
            paired=False,
        )
        for network in APPROXIMATE
    ]
    yield claim(results, "S7", parts, "figure5")
    excess = ACCURACY.at(*TURNED, reduce=lambda v: float(v[1] - max(v[0], v[2])))
    parts = [_logged(results, "figure5", PLAIN, ("figure5", arm(PLAIN, "upright")), excess, BETTER)]
    yield claim(results, "S8", parts, "figure5")


def _deviations(results: Results, network: str) -> Sample:
    """For each seed its distance from the mean over seeds, averaged over angles (Levene's transformation)."""
    where = ("figure5", arm(network, "upright"))
    curves = results.curves(*where, "accuracy").dropna()
    distances = (curves - curves.mean()).abs().mean(axis=1)
    values = {int(seed): float(value) for seed, value in distances.items()}
    return Sample(values, results.tier(*where) if values else "")


def _biased(results: Results) -> Iterator[Row]:
    """S9 twice (the gap, and that a wider spread of angles narrows it) and S10; one angle per batch."""
    said = {
        (std, other): results.published("significance", f"biased{std}_mean36_{other}", "difference")
        for std in BIASES
        for other in APPROXIMATE
    }
    place = {(n, std): ("figure6", arm(n, f"biased{std}")) for n in (EXACT, *APPROXIMATE) for std in BIASES}
    pairs = [
        (f"{SHORT[n]}, {std} degrees", place[EXACT, std], place[n, std], reference(said[std, n]))
        for std in BIASES
        for n in APPROXIMATE
    ]
    yield claim(results, "S9", compare(results, ACCURACY, BETTER, pairs), "figure6")
    parts = []
    for n in APPROXIMATE:
        printed = [said[std, n] for std in BIASES]
        known = f"{printed[0].value - printed[1].value:+.2f}" if all(printed) else "-"
        ours = {key: ACCURACY.of(results, where) for key, where in place.items()}
        parts.append(part(SHORT[n], known, [ours[EXACT, std] - ours[n, std] for std in BIASES], BETTER))
    yield claim(results, "S9-spread", parts, "figure6")
    parts = []
    for std in BIASES:
        angles = swept(results, "figure6", [place[EXACT, std][1]])
        flat = ACCURACY.at(*angles or ANGLES, reduce=lambda curve: FLAT - float(np.ptp(curve)))
        theirs = logged_range(results, place[EXACT, std][1], angles)
        known = "-" if theirs is None else f"{FLAT - theirs:+.2f}"
        parts.append(part(f"{std} degrees", known, [flat.of(results, place[EXACT, std])], BETTER))
    yield claim(results, "S10", parts, "figure6", flat=f"{FLAT:g}")


def _trained_on_turned(results: Results) -> Iterator[Row]:
    """S12 to S14; S13 twice, as the paper says it and as its authors' logs do; what follows from the data."""
    exact = [(EXACT, other, other) for other in APPROXIMATE]
    for key, what, margin in (("S12", UPRIGHT, MARGIN_PRINTED), ("S13", ACCURACY, MARGIN_MEAN)):
        yield _pairs(results, key, exact, "uniform", what, rule=within(margin), margin=f"{margin:g}")
    yield _pairs(results, "S13-logs", exact, "uniform", known="S13")
    pairs = [(network, PLAIN, network) for network in NETWORKS if network != PLAIN]
    yield _pairs(results, "S14", pairs, "uniform", UPRIGHT, where="at 0 degrees")
    yield _pairs(results, "S14-mean", pairs, "uniform", said="S14", where="averaged over all angles")
    # Initialization, training and a 28-pixel input have the symmetry of the square, so that the accuracy at a
    # quarter turn has the same distribution over seeds as at 0 degrees, whatever the network is.
    where, rule, parts = ("table1", arm(PLAIN, "uniform")), within(MARGIN_ANGLES), []
    for angle in TURNED:
        what = ACCURACY.at(0, angle, reduce=lambda v: float(v[1] - v[0]))
        parts.append(_logged(results, "table1_angles", PLAIN, where, what, rule, f"{angle} degrees"))
    yield claim(results, "S14-angles", parts, "table1", ours=True, margin=f"{MARGIN_ANGLES:g}")


# -- Table 2 -----------------------------------------------------------------------------------------------

#: Networks of the paper by data set, and our reduced one, for which the paper has no numbers.
ARMS = {**TABLE2, "reduced": REDUCED}
#: Data sets on which the paper finds the approximate network ahead on upright images; elsewhere neither.
AHEAD = ("cifar10", "cifar100", "reduced")
#: Rotations as the paper means them.
ROTATIONS = {"seen": UPRIGHT, "unseen": ALL_QUARTERS}


def _table2(results: Results) -> Iterator[Row]:
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
        which, rule = "the approximate network beats the exact one", BETTER
        if dataset not in AHEAD:
            which = f"exact and approximate are the same (within {MARGIN_PRINTED} points)"
            rule = within(MARGIN_PRINTED)
        parts = [_roles(results, dataset, "seen", "approximate", "exact", rule=rule)]
        yield judged("S16", dataset, parts, which=which)
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
    """Second half of S15: the gap on CIFAR is larger than on Flowers102 and PCam."""
    parts = []
    for other in ("flowers102", "pcam"):
        pairs = [_pair(results, data, "unseen", "exact", "approximate") for data in ("cifar10", other)]
        known = f"{float(pairs[0][3]) - float(pairs[1][3]):+.2f}"
        samples = [
            ALL_QUARTERS.of(results, exact) - ALL_QUARTERS.of(results, approximate)
            for _, exact, approximate, _ in pairs
        ]
        parts.append(part(DATASETS[other], known, samples, above(), paired=False))
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


def _figure4(results: Results) -> Iterator[Row]:
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


def _growth(results: Results, where: Where, metric: str, whole: bool) -> Sample:
    """By seed log10 of an error after the last epoch by that after the first tenth of the epochs.

    With ``whole`` by that before training.
    """
    steps = list(results.curves(*where, metric).columns)
    early = next((step for step in steps if whole or step >= max(1, steps[-1] / 10)), None)
    if early is None or early == steps[-1]:
        return Sample()
    return Quantity(metric, (early, steps[-1]), lambda v: math.log10(v[1] / v[0])).of(results, where)
