"""The numbers that tables, figures and claims speak of, and how much of the paper's protocol they follow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from pipelines.subsampling import sampling
from pipelines.subsampling.arms import ANGLES, EQUIVARIANCE, FIGURE4, QUARTERS, REDUCED, TABLE2, TURNED, arm
from pipelines.subsampling.settings import Settings
from shared.base.paths import COMMITTED_TIERS
from shared.report import protocol, stats, text
from shared.report.build import Filled, Place, Quantity, Where, before_after, compared, curve, plain
from shared.report.results import Results
from shared.report.tables import Column, Sample
from shared.runs import config

#: Data sets that could not be had when results were recorded: declared, not looked up, so that the report is
#: the same on every machine.
NOT_AT_HAND = ("flowers102", "pcam", "cifar100", "imagenet")

#: Residual blocks per stage and fields of the first stage (fact sheet, section 3.2; p4m is our own).
RESNETS = {
    "resnet44": {"blocks": 7, "width": 32},
    "p4resnet44": {"blocks": 7, "width": 16},
    "p4mresnet44": {"blocks": 7, "width": 11},
    "resnet18": {"blocks": 2, "width": 64},
    "p4resnet18": {"blocks": 2, "width": 32},
}
_ONE_CYCLE = {"epochs": 200, "batch_size": 256, "lr": 0.001}
_CIFAR = {"train_images": 50_000, "test_images": 10_000, **_ONE_CYCLE}
_FLOWERS = {"train_on": "train_and_valid", "train_images": 2_040, "test_images": 6_149, **_ONE_CYCLE}
#: The paper's protocol on images by data set (fact sheet, sections 4 and 5); ImageNet's batch is not stated.
PROTOCOLS = {
    "cifar10": _CIFAR,
    "cifar100": _CIFAR,
    "flowers102": _FLOWERS,
    "pcam": {"train_images": 262_144, "test_images": 32_768, "epochs": 30, "batch_size": 32},
    "imagenet": {"train_images": 1_281_167, "test_images": 50_000, "epochs": 90},
}
#: The same on digits, as far as it is asked for.
DIGITS_TESTED = 60_000
LESS = {
    "blocks": "{ours} of {paper} blocks a stage",
    "width": "{ours} of {paper} fields in the first stage",
    "train_on": "the split {ours} without the validation images",
    "train_images": "{ours} of {paper} training images",
    "test_images": "{ours} of {paper} test images",
    "epochs": "{ours} of {paper} epochs",
    "batch_size": "batches of {ours} instead of {paper}",
    "lr": "a learning rate of {ours} instead of {paper}",
}
#: Speeds of training on one H100-class GPU in TFLOP/s: assumed, not measured (fact sheet, section 10).
SPEEDS = {"cifar10": 60, "cifar100": 60, "pcam": 15, "flowers102": 150, "imagenet": 150}
#: What a setting was before it existed; at that value it is not recorded (`shared.runs.api.added`).
_OLD = {field.name: field.metadata.get("absent", field.default) for field in fields(Settings)}


# -- quantities and columns --------------------------------------------------------------------------------


def sampling_error(results: Results, arms: Sequence[Where], what: Quantity) -> float:
    """Standard error (points) of an accuracy because it is tested on a part of the paper's test images.

    All seeds are tested on the same part, so their scatter does not show it. As large as the experiment
    ``sampling`` measures it (`pipelines.subsampling.sampling`); angles that are tested on all images have no
    part in it.

    Args:
        results: ours.
        arms: one, or two of which it is the first minus the second.
        what: the accuracy, a mean over its steps.
    """
    samples = [what.of(results, where) for where in arms]
    steps = ANGLES if what.steps is None else what.steps
    part, tested, whole = _tested_on_a_part(results, arms, steps)
    if not part or not all(sample.n for sample in samples):
        return 0.0
    names = [name.removesuffix("_image") for _, name in arms]
    rates = [sample.summary.mean / 100 for sample in samples]
    drawn = sampling.deviation(results, names, part, rates)
    return len(part) / len(steps) * stats.drawn_error(100 * drawn, tested, whole)


def _tested_on_a_part(
    results: Results, arms: Sequence[Where], steps: Sequence[float]
) -> tuple[list[float], int, int]:
    """The angles at which not all of the paper's images were tested, how many were there, and of how many."""
    whole = PROTOCOLS.get(dataset_of(arms[0][0]), {}).get("test_images", DIGITS_TESTED)
    found: dict[bool, int] = {}  # whether at quarter turns
    for quarter, key in ((True, "test_images"), (False, "sweep_images")):
        counts = [count for where in arms for count in results.settings(where[0], key, where[1])]
        found[quarter] = min([count for count in counts if count > 0], default=whole)
    part = [angle for angle in steps if found[angle % 90 == 0] < whole]
    return part, min((found[angle % 90 == 0] for angle in part), default=whole), whole


ACCURACY = Quantity("accuracy", shared_se=sampling_error)
UPRIGHT, ALL_QUARTERS = ACCURACY.at(0), ACCURACY.at(*QUARTERS)
OTHER_QUARTERS, ALL = ACCURACY.at(*TURNED), ACCURACY.at(*ANGLES)
#: Points of accuracy that turning costs: at 0 degrees minus the mean over the other quarter turns.
LOST = ACCURACY.at(0, *TURNED, reduce=lambda v: float(v[0] - np.mean(v[1:])))
HALF_TURN = ACCURACY.at(0, 180, reduce=lambda v: float(v[0] - v[1]))
ERROR_BEFORE = Quantity("invariance_error", [0], form=text.scientific)
ERROR_AFTER = Quantity("invariance_error", last=True, form=text.scientific)
PARAMETERS = Quantity("parameters", last=True, form=text.thousands, decimals=0, counted=True)
#: The averages of Table 2 on images: keys, titles, quantities.
SEEN_AND_UNSEEN = (
    ("seen", "Seen: accuracy in % at 0 degrees", UPRIGHT),
    ("unseen", "Unseen as printed: accuracy in %, mean over 0, 90, 180 and 270 degrees", ALL_QUARTERS),
    ("turned", "Unseen: accuracy in %, mean over 90, 180 and 270 degrees only", OTHER_QUARTERS),
)
#: Columns of several tables.
NETWORK = Column("network", "Network")
KIND = Filled("equivariance", "Equivariance", lambda place: kind(place))
SEEN = plain("seen", "Accuracy in % at 0 degrees", UPRIGHT)
TURNED_MEAN = plain("turned", "Accuracy in %, mean over 90, 180 and 270 degrees", OTHER_QUARTERS)
MEAN36 = plain("mean36", "Accuracy in %, mean over all 36 angles", ALL, absent="-")
INVARIANCE = before_after("invariance", "Invariance error, before → after training", "invariance_error")
COUNT = compared("parameters", "Parameters", PARAMETERS)


def whole_curve(arm: str = "", printed: str = "") -> Filled:
    """All angles as one verdict, against the numbers of this table or of another of paper.csv."""
    title = "All 36 angles as one curve; shown is the angle at which ours is furthest from the logs"
    at = (lambda place: (printed, place.line.key)) if printed else None
    return curve("curve", title, ACCURACY, arm, at)


def kind(place: Place) -> str:
    """How equivariant a line's network is: in its own words, or as its size has it."""
    return place.line.words.get("equivariance") or EQUIVARIANCE["_".join(place.where()[1].split("_")[:2])]


def trained(network: str, training: str, what: Quantity) -> Where:
    """Where a training on digits is found: Figure 5 has every angle of upright training, Table 1 the rest."""
    if training.startswith("biased"):
        return "figure6", arm(network, training)
    return "figure5" if training == "upright" and what.steps is None else "table1", arm(network, training)


def swept(results: Results, experiment: str, names: Sequence[str]) -> tuple[int, ...]:
    """The angles at which all of these arms were tested on the same images: all, or none of the quarters.

    The paper tier tests on more images at quarter turns than between them, and the first few images of
    MNIST are not as hard as the others; so a curve over all angles would show that, too.
    """
    counts = {
        key: {count for name in names for count in results.settings(experiment, key, name)}
        for key in ("test_images", "sweep_images")
    }
    same = counts["test_images"] == counts["sweep_images"]
    curves = [results.curves(experiment, name, "accuracy").columns for name in names]
    tested = [angle for angle in ANGLES if all(angle in columns for columns in curves)]
    return tuple(angle for angle in tested if same or angle not in QUARTERS)


def seed_spread(results: Results, where: Where) -> str:
    """Standard deviation between seeds (points), averaged over the test angles; "-" with fewer than two."""
    curves = results.curves(*where, "accuracy").dropna()
    return text.fixed(float(curves.std(ddof=1).mean()), 2) if len(curves) > 1 else "-"


def turns_apart(results: Results, where: Where, bases: Sequence[int] = (0,)) -> Sample:
    """By seed the largest difference (points) among an angle and its quarter turns, over the ``bases``."""
    steps = [base + turn for base in bases for turn in QUARTERS]
    return ACCURACY.at(*steps, reduce=lambda v: float(np.ptp(v.reshape(len(bases), -1), axis=1).max())).of(
        results, where
    )


def images_at(results: Results, where: Where, bases: Sequence[int]) -> int:
    """The images on which an accuracy at these angles and their quarter turns is tested; 0 if not known."""
    key = "test_images" if set(bases) <= set(QUARTERS) else "sweep_images"
    counts = results.settings(where[0], key, where[1])
    whole = PROTOCOLS["cifar10"]["test_images"]  # what 0, which is for images, stands for
    return min([count or whole for count in counts], default=0)


def in_images(apart: Sample, count: int) -> str:
    """Points of accuracy in images, the largest over seeds: ``1 of 6,000``; "" without results."""
    return f"{round(max(apart.numbers) * count / 100):,} of {count:,}" if apart.n and count else ""


# -- the authors' logs -------------------------------------------------------------------------------------


def logs(results: Results, table: str, row: str, angles: Sequence[float]) -> np.ndarray:
    """The paper's numbers at some angles; empty if one is not known."""
    found = [results.published(table, row, str(angle)) for angle in angles]
    return np.array([value.value for value in found if value] if all(found) else [])


def logged(results: Results, table: str, row: str, what: Quantity) -> str:
    """A quantity of the authors' mean accuracies by angle, with its sign; "-" if one is not known."""
    curve = logs(results, table, row, what.steps or ANGLES)
    return f"{what.reduce(curve):+.2f}" if len(curve) else "-"


def logged_range(results: Results, name: str, angles: Sequence[float]) -> float | None:
    """Best minus worst of the authors' curve of Figure 6 at some angles; None if it has none for this arm."""
    curve = logs(results, "figure6", name, angles)
    return float(np.ptp(curve)) if len(curve) else None


def logged_spread(results: Results, row: str, table: str = "figure5") -> float:
    """The authors' standard deviation between seeds, mean over a table's angles; NaN if not known."""
    printed = [results.published(table, row, str(angle)) for angle in ANGLES]
    spreads = [value.spread for value in printed if value and value.spread is not None]
    return sum(spreads) / len(spreads) if spreads else math.nan


# -- protocols ---------------------------------------------------------------------------------------------


def on_digits(results: Results, experiment: str) -> str:
    """Our protocol on digits in one sentence; "" if there are no runs."""
    tests, sweep = (results.settings(experiment, key) for key in ("test_images", "sweep_images"))
    tested = "{test_images} test images" + (
        "" if tests == sweep else " at quarter turns, {sweep_images} elsewhere"
    )
    trained = ("{dataset}", "{epochs} epochs in batches of {batch_size}", "{train_images} training images")
    return protocol.protocol(results, experiment, (*trained, tested, "{precision}"))


def on_images(results: Results, experiment: str, names: Sequence[str], against: bool = True) -> str:
    """Our protocol on images in one sentence; "" if there are no runs.

    With ``against`` a second one says where it is less than that of the paper's Table 2.
    """
    run = [name for name in names if results.tier(experiment, name)]
    if not run or not results.records(experiment):
        return ""
    trained = ("{dataset}", "{epochs} epochs", "{train_images} training images", "batches of {batch_size}")
    phrases = (*trained, "learning rate {lr}", "{test_images} test images", "{precision}")
    said = protocol.protocol(results, experiment, phrases, run, zero="all", read=setting)
    less = list(dict.fromkeys(phrase for name in run for phrase in reductions(results, experiment, name)))
    return f"{said} Unlike in the paper: {text.join(less)}." if less and against else said


def setting(results: Results, experiment: str, key: str, name: str) -> list[Any]:
    """The values of a setting in an arm's runs; a setting that is not recorded had its old value."""
    found = results.settings(experiment, key, name)
    return found or ([_OLD[key]] if results.records(experiment) and results.tier(experiment, name) else [])


def reductions(results: Results, experiment: str, name: str) -> list[str]:
    """Where a run followed less than the paper's protocol, one phrase each; empty also without runs."""
    datasets = setting(results, experiment, "dataset", name)
    models = setting(results, experiment, "model", name)
    if not datasets or not models:
        return []
    found = []
    for key, theirs in {**RESNETS.get(models[0], {}), **PROTOCOLS.get(datasets[0], {})}.items():
        ours = next(iter(setting(results, experiment, key, name)), 0)
        if ours not in (0, theirs):
            found.append(LESS[key].format(ours=protocol.number(ours), paper=protocol.number(theirs)))
    return found


def followed(results: Results, experiment: str, name: str) -> str:
    """What was run, for a table: how it differs from the paper's protocol, or that it does not."""
    tier = results.tier(experiment, name)
    if tier not in COMMITTED_TIERS:
        return tier or "-"
    return "\n".join(reductions(results, experiment, name)) or "network, images and epochs as in the paper"


def dataset_of(experiment: str) -> str:
    """``pcam`` for the experiment ``table2_pcam``."""
    return experiment.removeprefix("table2_")


def figure4_source(results: Results) -> tuple[str, tuple[str, str]]:
    """What stands in for Figure 4's data: experiment and arms (approximate, exact).

    ResNet-44 on CIFAR-10 where it was run, else ResNet-8.
    """
    if not results.tier("figure4", FIGURE4[0]) and results.tier("table2_reduced", REDUCED[0]):
        return "table2_reduced", (REDUCED[0], REDUCED[1])
    return "figure4", FIGURE4


def figure4_paper(experiment: str) -> tuple[str, str]:
    """Arms (approximate, exact) of one of `FIGURE4_PANELS`."""
    approximate, exact, _ = TABLE2[dataset_of(experiment)]
    return approximate, exact


def flop(results: Results, experiment: str, name: str) -> float | None:
    """Floating-point operations of one run of the paper tier: 6 x multiply-accumulates x images x epochs.

    None if the tier is not declared, its network is not one of the experiment ``networks``, or that was not
    run.
    """
    declared = config.load(results.paper).experiment(experiment)
    if "paper" not in declared.tiers:
        return None
    settings = declared.settings_of(name, "paper")
    if settings.blocks or settings.width or settings.dataset not in PROTOCOLS:
        return None
    stem = "_standard" if settings.stem == "standard" else ""
    macs = results.sample("networks", f"{settings.model}_{settings.dataset}{stem}", "macs", [settings.size])
    images = settings.train_images or PROTOCOLS[settings.dataset]["train_images"]
    return 6 * macs.numbers[0] * images * settings.epochs if macs.n else None


def cost(results: Results, experiment: str, name: str) -> str:
    """The command that runs an arm of Table 2 as the paper does, and an estimate of what one run takes."""
    command = f"`python -m pipelines.{results.paper} run {experiment} --tier paper`"
    operations, speed = flop(results, experiment, name), SPEEDS[dataset_of(experiment)]
    if operations is None:
        return f"{command}; what it costs follows from the experiment `networks`"
    hours = operations / (speed * 1e12) / 3600
    return (
        f"{command}: {_short(operations / 1e15)} PFLOP a run, estimated {_short(hours)} h at {speed} TFLOP/s"
    )


def _short(value: float) -> str:
    """Two or three digits: ``0.16``, ``8.8``, ``275``, ``4,900``."""
    if value >= 1000:
        return f"{round(value, -2):,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"
