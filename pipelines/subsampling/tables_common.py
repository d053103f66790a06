"""What several tables of the subsampling paper share: accuracies beside the paper's, errors, differences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from pipelines.subsampling.arms import ANGLES, QUARTERS, TURNED
from shared.report import text
from shared.report.results import Results, difference
from shared.report.tables import Cell, Sample, measured

#: Images that the paper's numbers on digits are tested on.
PAPER_TEST_IMAGES = 60_000
#: A note below cells that `sampling_error` widens.
FEWER_IMAGES = (
    "The interval of a difference includes the error of testing on fewer images than the paper's 60,000."
)


def accuracy_cell(
    results: Results,
    table: str,
    row: str,
    column: str,
    experiment: str,
    name: str,
    angles: Iterable[float] | None,
    whole: int = PAPER_TEST_IMAGES,
) -> Cell:
    """Accuracy of an arm at some test angles (all if None), beside the paper's number.

    Args:
        results: ours.
        table, row, column: the place of the paper's number, if it has one.
        experiment, name: experiment and arm.
        angles: test angles in degrees.
        whole: number of images that the paper tests on.
    """
    steps = None if angles is None else list(angles)
    sample = results.sample(experiment, name, "accuracy", steps)
    shared = sampling_error(results, experiment, name, sample, steps, whole)
    return results.cell(table, row, column, sample, experiment=experiment, shared_se=shared)


def sampling_error(
    results: Results,
    experiment: str,
    name: str,
    sample: Sample,
    angles: list[float] | None,
    whole: int = PAPER_TEST_IMAGES,
) -> float:
    """Standard error (points) of an accuracy because it is tested on a part of the paper's test images.

    All seeds are tested on the same part, so their scatter does not show it. Binomial, with the finite
    population correction; the angles are taken as fully dependent, since each turns the same images.
    """
    if not sample.n:
        return 0.0
    quarters_only = angles is not None and all(angle % 90 == 0 for angle in angles)
    key = "test_images" if quarters_only else "sweep_images"
    counts = [count for count in results.settings(experiment, key, name) if 0 < count < whole]
    if not counts:
        return 0.0
    rate, count = sample.summary.mean / 100, min(counts)
    return 100 * math.sqrt(max(0.0, rate * (1 - rate)) / count * (1 - count / whole))


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


def turned_cell(results: Results, experiment: str, name: str, metric: str = "accuracy") -> Cell:
    """A metric's mean over 90, 180 and 270 degrees, compared with nothing."""
    return plain_cell(results, experiment, name, metric, TURNED)


def plain_cell(
    results: Results, experiment: str, name: str, metric: str, angles: Iterable[float] | None
) -> Cell:
    """A metric of an arm at some steps (all if None), compared with nothing."""
    sample = results.sample(experiment, name, metric, None if angles is None else list(angles))
    return measured(sample, command=results.command(experiment))


def all_angles(results: Results, experiment: str, name: str, metric: str = "accuracy") -> Cell:
    """Mean over the 36 test angles of the paper; "-" where an arm was tested at other angles."""
    if results.tier(experiment, name) and not results.sample(experiment, name, metric, ANGLES).n:
        return Cell("-")
    return plain_cell(results, experiment, name, metric, ANGLES)


def lost(results: Results, experiment: str, name: str) -> Sample:
    """Points of accuracy that turning costs: at 0 degrees minus the mean over the other quarter turns."""
    return results.sample(
        experiment, name, "accuracy", (0, *TURNED), lambda values: float(values[0] - np.mean(values[1:]))
    )


def before_after(results: Results, experiment: str, name: str, metric: str = "invariance_error") -> str:
    """A relative error before and after training, means over seeds: ``8.6e-03 → 4.6e-01``; "" if unknown."""
    before = results.sample(experiment, name, metric, [0])
    after = results.last(experiment, name, metric)
    if not before.n or not after.n:
        return ""
    return f"{text.scientific(before.summary.mean)} → {text.scientific(after.summary.mean)}"


def seed_spread(results: Results, experiment: str, name: str) -> str:
    """Standard deviation between seeds (points), averaged over the test angles; "-" with fewer than two."""
    curves = results.curves(experiment, name, "accuracy").dropna()
    return text.fixed(float(curves.std(ddof=1).mean()), 2) if len(curves) > 1 else "-"


def gap(first: Sample, second: Sample) -> str:
    """First minus second with its 95 % interval over seeds; "-" without runs of one tier on both sides."""
    found = difference(first, second)
    if found is None or first.tier != second.tier:
        return "-"
    low, high = found.interval()
    return f"{text.signed(found.value, 2)} {text.interval(low, high, 2)}"


def protocol(results: Results, experiment: str, arms: Sequence[str] = ()) -> str:
    """Our protocol on digits in one sentence, read from what the runs recorded; "" if there are none."""

    def values(key: str) -> str:
        found = [results.settings(experiment, key, name) for name in arms or (None,)]
        unique = dict.fromkeys(value for of_arm in found for value in of_arm)
        return text.join([f"{v:,}" if isinstance(v, int) else str(v) for v in unique])

    if not values("epochs"):
        return ""
    tests, sweep = values("test_images"), values("sweep_images")
    tested = (
        f"{tests} test images"
        if tests == sweep
        else f"{tests} test images at quarter turns, {sweep} elsewhere"
    )
    return (
        f"Ours: {values('dataset')}, {values('epochs')} epochs in batches of {values('batch_size')}, "
        f"{values('train_images')} training images, {tested}, {values('precision')}."
    )
