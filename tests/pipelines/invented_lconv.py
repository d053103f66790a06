"""Invented results of the L-conv experiments whose verdicts are known (no test file itself)."""

from __future__ import annotations

import functools
import math

import pandas as pd

from pipelines.lconv import arms, counts
from pipelines.lconv.settings import Settings

COLUMNS = ["run", "experiment", "arm", "seed", "metric", "step", "value"]
#: Accuracies of Figures 2 and 4 that agree with all that the paper says.
LEVELS = {
    ("lconv", "default"): 96.0,
    ("cnn", "default"): 97.5,
    ("random", "default"): 91.0,
    ("fc", "default"): 94.5,
    ("lconv", "rotated"): 94.0,
    ("cnn", "rotated"): 92.5,
    ("random", "rotated"): 85.0,
    ("fc", "rotated"): 92.6,
    ("lconv", "scrambled"): 94.0,
    ("cnn", "scrambled"): 92.2,
    ("random", "scrambled"): 85.0,
    ("fc", "scrambled"): 92.6,
}
#: Accuracies of Figure 3: network, layers, variant.
LAYERS = {"lconv": (24, 22), "cnn": (23, 19), "cnn_pool": (28, 17), "fc": (20, 18), "fc_shallow": (21, 18)}


class Invented:
    """Results in the form of `shared.runs`, of some experiments.

    Args:
        change: added to the accuracy of (experiment, arm).
        experiments: those that have results.
        tier: the tier that they are of.
        seeds: their number.
    """

    def __init__(self, change=None, experiments=("figure4_mnist",), tier="paper", seeds=5):
        self.change, self.experiments, self.tier, self.seeds = change or {}, experiments, tier, seeds

    @functools.cache  # noqa: B019 (a handful of small objects)
    def read(self, paper, experiment, tier):
        rows = []
        if experiment in self.experiments and tier == self.tier:
            rows = [
                row for arm, metrics in self.arms(experiment) for row in self.of(experiment, arm, metrics)
            ]
        frame = pd.DataFrame(rows, columns=COLUMNS)
        return frame.astype({"seed": "int64", "step": "float64", "value": "float64"})

    def environments(self, paper, experiment, tier):
        settings = {"dataset": experiment.removeprefix("figure4_"), "epochs": 30, "batch_size": 32}
        runs = self.read(paper, experiment, tier)["run"].unique()
        return {run: {"inputs": {"settings": settings}} for run in runs}

    def of(self, experiment, arm, metrics):
        """Rows of one arm; seeds scatter by a tenth around each value, in all arms alike."""
        for seed in range(self.seeds):
            noise = 0.1 * math.sin(7 * seed + 1)
            for (metric, step), value in metrics.items():
                fixed = metric in ("parameters", "permutation", "step_seconds")
                change = self.change.get((experiment, arm), 0.0) if metric == "accuracy" else 0.0
                # the last epoch is a little worse than the best
                shown = value if fixed else value + change + noise - (step == 30)
                yield (f"{experiment}-{arm}-{seed}", experiment, arm, seed, metric, step, shown)

    def arms(self, experiment):
        if experiment.startswith("figure4_"):
            yield from self.one_layer(experiment.removeprefix("figure4_"))
        elif experiment == "figure3":
            yield from self.two_layers()

    def one_layer(self, data):
        pixels, channels = (784, 1) if "mnist" in data else (1024, 3)
        classes = 100 if data == "cifar100" else 10
        for (model, variant), level in LEVELS.items():
            found = {("accuracy", 14.0): level, ("accuracy", 30.0): level, ("test_accuracy", math.nan): level}
            settings = Settings(model=model)
            found["parameters", math.nan] = counts.trainable(settings, pixels, channels, classes)
            found["step_seconds", math.nan] = 0.0012 if model == "lconv" else 0.001
            found["permutation", math.nan] = 0xBEEF
            if model == "lconv":
                found |= {("captured_rotation", 0.0): 3.0, ("captured_rotation", 30.0): 9.0}
                found["control_rotation", math.nan] = 3.0
            yield arms.arm4(model, variant), found

    def two_layers(self):
        for model, levels in LAYERS.items():
            for layers in (1, 2):
                settings = Settings(model=model, layers=layers, rank=8)
                count = counts.trainable(settings, 1024, 3, 100)
                for variant, level in zip(("default", "scrambled"), levels):
                    metrics = {("accuracy", 14.0): level, ("parameters", math.nan): count}
                    yield arms.arm3(model, layers, variant), metrics
