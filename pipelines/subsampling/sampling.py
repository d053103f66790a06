"""How much the choice of test images moves an accuracy: measured by the experiment ``sampling``, not assumed.

All seeds of an arm are tested on the same images, so their scatter does not show what other images would
have changed. For an accuracy c that is averaged over angles, that is the covariance over images of what two
seeds get right, divided by the number of images: seeds' own whims are in their scatter already, and
angles at which different images are hard average out. Taking the angles, and the seeds, as fully dependent
would give p (1 - p) instead, the most that it can be.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from shared.report.results import Results

EXPERIMENT = "sampling"


def rights(results: Results, arm: str) -> dict[int, pd.DataFrame]:
    """What each seed of an arm gets right: by seed 0 or 1 by image and test angle; empty without results."""
    if arm not in results.declared.experiment(EXPERIMENT).arms:
        return {}
    packed = results.curves(EXPERIMENT, arm, "right_at")
    angles = results.curves(EXPERIMENT, arm, "accuracy").columns
    bits = np.arange(len(angles))
    return {
        int(seed): pd.DataFrame(row.to_numpy(np.int64)[:, None] >> bits & 1, columns=angles)
        for seed, row in packed.iterrows()
        if np.isfinite(row).all()
    }


def image_means(right: pd.DataFrame, angles: Sequence[float] | None = None) -> np.ndarray:
    """By image the share of these angles, by default all, at which it is right."""
    return right[list(right.columns if angles is None else angles)].mean(axis=1).to_numpy()


def shared_covariance(by_seed: Sequence[np.ndarray]) -> float:
    """Covariance over images of one number of each image between two seeds, mean over pairs of seeds.

    NaN with fewer than two seeds.
    """
    if len(by_seed) < 2:
        return math.nan
    covariance = np.cov(np.stack(by_seed))
    return float(covariance[~np.eye(len(by_seed), dtype=bool)].mean())


@functools.lru_cache(maxsize=256)  # a curve asks for the same at each of its angles
def factor(results: Results, arms: tuple[str, ...], angles: tuple[float, ...]) -> float | None:
    """The shared covariance of an accuracy, or of the difference of two, as a share of the largest.

    At a single angle, where few images decide, it is that of all angles, each by itself.

    Args:
        results: ours.
        arms: one, or the first minus the second.
        angles: over which an accuracy is averaged.

    Returns:
        covariance between seeds over the sum of p (1 - p), with p the mean accuracy of an arm; None if the
        experiment has not two seeds of each arm.
    """
    found = [rights(results, arm) for arm in arms]
    seeds = sorted(set.intersection(*(set(one) for one in found)))
    tested = list(found[0][seeds[0]].columns) if seeds else []
    if len(seeds) < 2 or not set(angles) <= set(tested):
        return None
    shared, largest = 0.0, 0.0
    for group in [[angle] for angle in tested] if len(angles) == 1 else [angles]:
        means = [{seed: image_means(one[seed], group) for seed in seeds} for one in found]
        signed = [means[0][s] - means[1][s] if len(means) == 2 else means[0][s] for s in seeds]
        shared += shared_covariance(signed)
        rates = [float(np.mean([mean[s] for s in seeds])) for mean in means]
        largest += sum(rate * (1 - rate) for rate in rates)
    return max(0.0, shared) / largest if largest > 0 else 0.0


def deviation(
    results: Results, arms: Sequence[str], angles: Sequence[float], rates: Sequence[float]
) -> float:
    """Standard deviation between test images of what all seeds share (`shared.report.stats.drawn_error`).

    Args:
        results: ours.
        arms: as in the experiment: one, or the first minus the second.
        angles: those that were tested on a part of the images.
        rates: the accuracies of the arms, from 0 to 1.

    Returns:
        as large as measured, for these rates; not measured, the largest possible with independent arms.
    """
    measured = factor(results, tuple(arms), tuple(angles) if len(angles) > 1 else (0,))
    largest = sum(max(0.0, rate * (1 - rate)) for rate in rates)
    return math.sqrt(largest * (1.0 if measured is None else measured))
