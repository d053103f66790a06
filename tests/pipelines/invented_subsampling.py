"""Invented results of the subsampling experiments whose verdicts are known (no test file itself)."""

from __future__ import annotations

import functools
import math

import numpy as np
import pandas as pd

from pipelines.subsampling.arms import EXACT, NETWORKS, arm
from shared.report import published

ANGLES = range(0, 360, 10)
PAPER = published.paper_values("subsampling")
COLUMNS = ["run", "experiment", "arm", "seed", "metric", "step", "value"]


def standardized(rng, count):
    """Numbers with mean exactly 0 and population standard deviation exactly 1."""
    values = rng.normal(size=count)
    return (values - values.mean()) / values.std()


class Invented:
    """Results in the form of `shared.runs`: seeds scattered around the paper's numbers.

    Args:
        seeds: number of seeds; at each angle their mean and spread are the paper's.
        change: added to the accuracy of an arm at an angle.
        exact_error: invariance error of the exact networks.
        tiers: at which tiers there are results.
        test_images: what the records say was tested on.
    """

    def __init__(self, seeds=60, change=None, exact_error=3e-7, tiers=("paper",), test_images=60_000):
        self.seeds, self.change, self.tiers, self.test_images = seeds, change or {}, tiers, test_images
        self.exact_error = exact_error

    @functools.cache  # noqa: B019 (a handful of small objects)
    def read(self, paper, experiment, tier):
        rows = []
        if tier in self.tiers:
            rows = self.toy() if experiment == "figure3" else self.digits(experiment)
        frame = pd.DataFrame(rows, columns=COLUMNS)
        return frame.astype({"seed": "int64", "step": "float64", "value": "float64"})

    def environments(self, paper, experiment, tier):
        settings = {"dataset": "mnist", "epochs": 50, "train_images": 8000, "precision": "float32"}
        settings |= {"test_images": self.test_images, "sweep_images": self.test_images}
        runs = self.read(paper, experiment, tier)["run"].unique()
        return {run: {"inputs": {"settings": settings}} for run in runs}

    def digits(self, experiment):
        rows = []
        for training in ("upright", "uniform") if experiment == "table1" else ("upright",):
            for number, network in enumerate(NETWORKS):
                curves = self.curves(
                    network, training, np.random.default_rng([number, training == "upright"])
                )
                for seed in range(self.seeds):
                    name = arm(network, training)
                    run = f"{name}-{seed}"
                    exact = network == EXACT
                    found = [("accuracy", angle, curves[angle][seed]) for angle in ANGLES]
                    found += [("invariance_error", 0, self.exact_error if exact else 3e-2)]
                    found += [("invariance_error", 50, self.exact_error if exact else 0.4)]
                    found += [("parameters", math.nan, 25570.0 if network == "z2cnn_28" else 24990.0)]
                    rows += [(run, experiment, name, seed, *row) for row in found]
        return rows

    def curves(self, network, training, rng):
        """Accuracy by angle, one value per seed; seeds are good or bad at all angles alike."""
        table = "figure5" if training == "upright" else "table1_angles"
        scores = standardized(rng, self.seeds)
        found = {}
        for angle in ANGLES:
            printed = PAPER[table, network, str(angle)]
            change = self.change.get((network, training), 0.0)
            found[angle] = printed.value + change + printed.spread * scores
        return found

    def toy(self):
        rows = []
        for name, final in (("toy_32", 0.0015), ("toy_33", math.log(2))):
            side = int(name[-2:])
            for seed in range(3):
                found = [
                    ("loss", 0, 0.75),
                    ("loss", 100, final),
                    ("accuracy", math.nan, 100.0 if side == 32 else 50.0),
                ]
                found += (
                    [("logit_gap", 0, 1e-3), ("logit_gap", 100, 6.0)]
                    if side == 32
                    else [("logit_gap", 100, 1e-7)]
                )
                half = (side + 1) // 2
                for metric, pixels in (
                    ("input", side),
                    ("filter", 3),
                    ("map", half),
                    ("map_of_rotated", half),
                ):
                    found += [(metric, index, (index * 7919 % 13) / 13) for index in range(pixels**2)]
                rows += [(f"{name}-{seed}", "figure3", name, seed, *row) for row in found]
        return rows
