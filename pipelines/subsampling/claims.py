"""The claims of the subsampling paper as tests over seeds (fact sheet, section 8): all rows; exactness.

The paper's Figure 4 is about PCam and ImageNet. What stands in for them while they are not at hand is another
network on other data: its rows are statements of ours, named after it, and do not count as the paper's.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from pipelines.subsampling import claims_digits as digits
from pipelines.subsampling import claims_images as images
from pipelines.subsampling.arms import (
    EQUIVARIANCE,
    EXACT,
    REDUCED,
    SHORT,
    SIDES,
    SIZES,
    TABLE2,
    arm,
)
from pipelines.subsampling.claims_images import FLOAT32
from pipelines.subsampling.quantities import (
    ERROR_AFTER,
    images_at,
    in_images,
    turns_apart,
)
from shared.report import text, verdicts
from shared.report.build import Quantity, Where, declared
from shared.report.claims import Part, bound, claim
from shared.report.results import Results
from shared.report.tables import Row, per_seed

#: Experiments whose results the claims speak about.
EXPERIMENTS = (
    *("layers", "table1", "figure5", "figure3", "figure6", "sizes", "quarters", "networks", "figure4"),
    *("sampling", "padding", "controls", "interpolation"),
    *("table2_cifar10", "table2_cifar100", "table2_flowers102", "table2_pcam", "table2_imagenet"),
    "table2_reduced",
)
#: Images by which an exact network's accuracy may differ between quarter turns, as float32 rounds (S3).
FEW_IMAGES = 2
#: Errors of single layers in float64, relative to the features: rounding, and more than it (S1).
ROUNDING, MORE = 1e-10, 1e-6


def rows(results: Results) -> Iterator[Row]:
    """One row per claim, in the order of the fact sheet; one about several data sets has a row for each."""
    yield from _condition(results)
    yield _toy(results)
    yield from _quarter_turns(results)
    yield from digits.trained_upright(results)
    yield from digits.biased(results)
    yield from digits.price(results)
    yield from digits.trained_on_turned(results)
    yield from images.table2(results)
    yield _invariant(results)
    yield from images.figure4(results)
    yield _one_pixel(results)
    yield from digits.remarks(results)


# -- exactness ---------------------------------------------------------------------------------------------


#: Cases of the experiment ``layers`` in words.
CASES = {"exact": "no remainder", "broken": "a remainder", "covered": "a remainder that a window covers"}


def _condition(results: Results) -> Iterator[Row]:
    """S1 as printed, on single layers; with padding, where it has an exception; and on trained networks."""
    kinds = {"convolution": "convolution", "pool": "max pool"}

    def parts(paddings: Sequence[int], cases: Sequence[str]) -> Iterator[Part]:
        for (kind, title), move, case in itertools.product(kinds.items(), ("turn", "mirror"), cases):
            exact = case == "exact" or (case == "covered" and kind == "pool")
            what = Quantity(f"{move}_{case}", paddings, np.max if exact else np.min)
            known, ends = ("exact", {"most": ROUNDING}) if exact else ("not exact", {"least": MORE})
            sample = what.of(results, ("layers", kind))
            yield bound(f"{title}, {move}, {CASES[case]}", known, sample, **ends)

    as_printed = list(parts((0,), ("exact", "broken")))
    yield claim(results, "S1", as_printed, "layers")
    yield claim(results, "S1-padding", list(parts((1, 2), tuple(CASES))), "layers", ours=True)
    yield _parity(results)


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
    fields = {"smallest": str(min(SIDES)), "largest": str(max(SIDES))}
    return claim(results, "S1-trained", parts, "sizes", ours=True, **fields)


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
    said = {"few": str(FEW_IMAGES), "data": "of the digits tested"}
    yield claim(results, "S3", parts, where[0], ours=True, **said)
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
