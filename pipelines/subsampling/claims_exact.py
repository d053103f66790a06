"""Claims about exactness itself: S1 to S3, S18 of the logits, and S21."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from pipelines.subsampling.arms import (
    EQUIVARIANCE,
    EXACT,
    FULLY_SWEPT,
    QUARTERS,
    REDUCED,
    SHORT,
    SIDES,
    SIZES,
    TABLE2,
    arm,
)
from pipelines.subsampling.claims_common import FLOAT32, bound
from pipelines.subsampling.tables_checks import in_images, spread, tested
from shared import verdicts
from shared.report import text
from shared.report.claims import Part, row
from shared.report.results import Results
from shared.report.tables import Row, Sample

#: Images by which an exact network's accuracy may differ between quarter turns, as float32 rounds (S3).
FEW_IMAGES = 2
#: Test images of CIFAR-10, where the settings say "all".
CIFAR_TEST_IMAGES = 10_000
#: S21: label, network of the experiment ``networks``, its exact size, and the sizes one pixel off.
ONE_PIXEL = (
    ("toy", "toy", 33, (32,)),
    ("P4CNN", "p4cnn", 28, (27, 29)),
    ("p4 ResNet-44", "p4resnet44_cifar10", 33, (32,)),
    ("p4 ResNet-18", "p4resnet18_flowers102", 225, (224,)),
    ("p4 ResNet-18, 7x7 stem", "p4resnet18_imagenet_standard", 225, (224,)),
)


def sizes(results: Results) -> Row:
    """S1 as far as trained networks show it: exact at one parity, not exact at the other."""
    errors = {name: results.last("sizes", name, "invariance_error") for name in SIZES}
    groups = {}
    for word in ("exact", "approximate"):
        found = [errors[name] for name in SIZES if EQUIVARIANCE[name] == word]
        groups[word] = _joined(found, max if word == "exact" else min)
    parts = [
        bound("even sizes", "exact", groups["exact"], most=FLOAT32),
        bound("odd sizes", "not exact", groups["approximate"], least=FLOAT32),
    ]
    statement = (
        f"P4CNN from {min(SIDES)} to {max(SIDES)} pixels, trained, is invariant to quarter turns exactly "
        "where its pool leaves no remainder (largest error of the even sizes, smallest of the odd ones). "
        "The statement itself, for random weights, all kernels, strides and paddings, mirrors and "
        "rectangles, is checked by property tests (`tests/`), not by runs"
    )
    return row("S1", statement, parts, command=results.command("sizes"))


def _joined(samples: list[Sample], pick: Callable[..., float]) -> Sample:
    """By seed the largest or smallest of several samples; empty if one of them is."""
    seeds = set.intersection(*(set(sample.values) for sample in samples))
    values = {seed: pick(sample.values[seed] for sample in samples) for seed in sorted(seeds)}
    return Sample(values, verdicts.shortest([sample.tier for sample in samples]) if values else "")


def toy(results: Results) -> Row:
    """S2: at 32 pixels the toy learns to tell the two samples apart, at 33 it cannot."""
    parts = []
    for name, label in (("toy_32", "32 pixels"), ("toy_33", "33 pixels")):
        loss = results.last("figure3", name, "loss")
        lowest = results.sample("figure3", name, "loss", reduce=np.min)
        gap = results.sample("figure3", name, "logit_gap", reduce=np.max)
        accuracy = results.sample("figure3", name, "accuracy")
        if name == "toy_32":
            bounds = [
                verdicts.within(loss.numbers, most=0.01, tier=loss.tier),
                verdicts.within(accuracy.numbers, least=100, tier=loss.tier),
            ]
        else:
            bounds = [
                verdicts.within(loss.numbers, most=math.log(2) + 1e-3, tier=loss.tier),
                verdicts.within(lowest.numbers, least=math.log(2) - 1e-3, tier=loss.tier),
                verdicts.within(gap.numbers, most=1e-6, tier=loss.tier),
            ]
        ours = ""
        if loss.n:
            worst = max(loss.numbers, key=lambda value: abs(value - (0 if name == "toy_32" else math.log(2))))
            ours = f"loss {text.fixed(worst, 4)}"
            ours += f", gap {text.scientific(max(gap.numbers))}" if name == "toy_33" else ""
        known = "tells them apart" if name == "toy_32" else "cannot"
        parts.append(Part(label, known, ours, verdicts.every(bounds)))
    statement = (
        "One p4 filter with stride 2 learns to tell an image from its quarter turn at 32 pixels (loss below "
        "0.01, all correct); at 33 the loss stays at ln 2 and the logits agree to 1e-6 at every step"
    )
    return row("S2", statement, parts, command=results.command("figure3"))


def quarter_turns(results: Results) -> Iterator[Row]:
    """S3 of the paper's own network; and on CIFAR-10, where all four quarter turns are always tested."""
    statement = (
        f"A trained exact network's accuracy differs by at most {FEW_IMAGES} images between quarter turns"
    )
    name = next(iter(FULLY_SWEPT))
    apart, images = spread(results, name, (0,)), tested(results, name, (0,))
    part = _few(FULLY_SWEPT[name][0], "1 of 60,000 images", apart, images)
    yield row("S3", f"{statement} (of the digits tested)", [part], command=results.command("quarters"))
    experiment, name = "table2_cifar10", TABLE2["cifar10"][1]
    if not results.tier(experiment, name) and results.tier("table2_reduced", REDUCED[1]):
        experiment, name = "table2_reduced", REDUCED[1]
    apart = results.sample(experiment, name, "accuracy", QUARTERS, lambda v: float(np.ptp(v)))
    counts = results.settings(experiment, "test_images", name)
    images = min([count or CIFAR_TEST_IMAGES for count in counts], default=CIFAR_TEST_IMAGES)
    part = _few(SHORT[name], "", apart, images)
    yield row("S3-cifar10", f"{statement} (CIFAR-10)", [part], command=results.command(experiment), ours=True)


def _few(label: str, known: str, apart: Sample, images: int) -> Part:
    """By how many of the images tested an accuracy differs between quarter turns, in every run."""
    counted = in_images(apart, images)
    # half an image of slack, since accuracies come as rounded percentages
    most = 100 * (FEW_IMAGES + 0.5) / images if images else 0.0
    verdict = verdicts.within(apart.numbers, most=most, tier=apart.tier)
    return Part(label, known, f"{counted} images" if counted else "", verdict)


def invariant(results: Results) -> Row:
    """S18 of the logits: the exact network is invariant to float32 accuracy, before and after training."""
    parts = []
    for training, label in (("upright", "upright"), ("uniform", "turned")):
        errors = results.sample("table1", arm(EXACT, training), "invariance_error", reduce=np.max)
        parts.append(bound(label, "exact", errors, most=FLOAT32))
    statement = (
        "The exact network is invariant to quarter turns before and after training: the logits change by at "
        f"most {FLOAT32:g} of their size in every run. So its accuracy at a and a + 90 degrees is equal (S3)"
    )
    return row("S18", statement, parts, command=results.command("table1"))


def one_pixel(results: Results) -> Row:
    """S21, from what the atlas says of the built networks."""
    parts = []
    for label, network, exact, others in ONE_PIXEL:
        switch = results.sample(
            "networks", network, "exact", (exact, *others), lambda v: float(v[0] - max(v[1:]))
        )
        known = f"{exact} exact, {text.join([str(other) for other in others])} not"
        ours = ("as the paper" if min(switch.numbers) == 1 else "no switch") if switch.n else ""
        parts.append(Part(label, known, ours, verdicts.exactly(switch.numbers, 1, tier=switch.tier)))
    statement = (
        "One pixel of input size switches each of the paper's networks between exact and approximate "
        "(decided by the size atlas for the networks as built; tests hold the atlas against measured errors)"
    )
    return row("S21", statement, parts, command=results.command("networks"))
