"""Invented results of the subsampling experiments whose verdicts are known (no test file itself)."""

from __future__ import annotations

import functools
import math

import invented_subsampling_images as images
import numpy as np
import pandas as pd

from pipelines.subsampling import arms, tables
from pipelines.subsampling.arms import BIASES, EQUIVARIANCE, EXACT, NETWORKS, arm
from shared.report import published
from shared.report.results import Results
from shared.runs import config

ANGLES = range(0, 360, 10)
PAPER = published.paper_values("subsampling")
#: Seeds of experiments in which more would only take time.
FEW = 10
COLUMNS = ["run", "experiment", "arm", "seed", "metric", "step", "value"]
#: Experiments of our own on digits: accuracies that the paper does not print.
VARIANTS = {
    "sizes": arms.SIZES,
    **{name: config.load("subsampling").experiment(name).arms for name in ("shrinking", "quarters", "turns")},
    "dropout": config.load("subsampling").experiment("dropout").arms,
    "statistics": tuple(arm(name, way) for name in NETWORKS for way in arms.STATISTICS),
    "controls": tuple(arm(name, kind) for name in arms.CONTROL_NETWORKS for kind in arms.CONTROLS),
    "mirrors": arms.MIRRORS,
    "padding": tuple(arm(name, mode) for name, modes in arms.PADDED.items() for mode in modes),
    **{name: config.load("subsampling").experiment(name).arms for name in ("corners", "interpolation")},
    "repair": (*(arms.repaired(name, way) for name in arms.REPAIRED for way in arms.REPAIRS), EXACT),
}


def report(demo=False, **options):
    """`Results` on invented numbers; options are those of `Invented`."""
    return Results("subsampling", demo, Invented(**options))


def statuses(results):
    """Status of each claim."""
    table = tables.claims_table(results)
    return {row.key: cell.verdict.status for row, column, cell in table.cells() if column.key == "verdict"}


def single_layers():
    """Eq. 3 as it is: exact without a remainder, broken with one, but for a pool's first window."""
    rows = []
    for kind in ("convolution", "pool"):
        for seed in range(3):
            for padding in range(3):
                values = {"exact": 1e-16, "broken": 0.2}
                if padding:
                    values["covered"] = 0.0 if kind == "pool" else 0.2
                found = [
                    (f"{move}_{case}", padding, v)
                    for move in ("turn", "mirror")
                    for case, v in values.items()
                ]
                found += [(f"cases_{case}", padding, 10.0) for case in values]
                found += [("printed_wrong", padding, 7.0 * (padding > 0))]
                rows += [(f"{kind}-{seed}", "layers", kind, seed, *row) for row in found]
    return rows


def standardized(rng, count):
    """Numbers with mean exactly 0 and population standard deviation exactly 1."""
    values = rng.normal(size=count)
    return (values - values.mean()) / values.std()


class Invented:
    """Results in the form of `shared.runs`: seeds scattered around the paper's numbers.

    Args:
        seeds: number of seeds; at each angle their mean and spread are the paper's. What the paper has no
            curves of gets `FEW` seeds at most.
        change: added to the accuracy of an arm: keys are (network, training) on digits, where it may be a
            function of the angle, and a row of Table 2 (``cifar10_exact``) on images.
        exact_error: invariance error of the exact networks.
        tiers: at which tiers there are results.
        test_images: what the records say was tested on.
        only: experiments that have results; all if empty.
        growth: factor by which the error of an approximate network's last stage grows through training.
    """

    def __init__(
        self,
        seeds=60,
        change=None,
        exact_error=3e-7,
        tiers=("paper",),
        test_images=60_000,
        only=(),
        growth=4.0,
    ):
        self.seeds, self.change, self.tiers, self.test_images = seeds, change or {}, tiers, test_images
        self.exact_error, self.only, self.growth = exact_error, only, growth

    @functools.cache  # noqa: B019 (a handful of small objects)
    def read(self, paper, experiment, tier):
        rows = (
            self.rows(experiment) if tier in self.tiers and experiment in (self.only or [experiment]) else []
        )
        frame = pd.DataFrame(rows, columns=COLUMNS)
        return frame.astype({"seed": "int64", "step": "float64", "value": "float64"})

    def rows(self, experiment):
        if experiment.startswith(("table2_", "figure4", "controls_")):
            return images.trained(self, experiment)
        makers = {"networks": images.inventory, "figure2": images.pictures}
        if experiment in makers:
            return makers[experiment](min(self.seeds, FEW))
        if experiment in ("figure3", "layers"):
            return self.toy() if experiment == "figure3" else single_layers()
        if experiment == "sampling":
            return self.images_right()
        return self.variants(experiment) if experiment in VARIANTS else self.digits(experiment)

    def environments(self, paper, experiment, tier):
        settings = {"dataset": "mnist", "epochs": 50, "train_images": 8000, "precision": "float32"}
        settings["batch_size"] = 256
        settings |= {"test_images": self.test_images, "sweep_images": self.test_images}
        frame = self.read(paper, experiment, tier)
        of_arm = images.settings(experiment)
        pairs = frame[["run", "arm"]].drop_duplicates().itertuples(index=False)
        return {run: {"inputs": {"settings": of_arm.get(name, settings)}} for run, name in pairs}

    def digits(self, experiment):
        """Table 1 and Figures 5 and 6: the paper's numbers, also where it has none (one angle per image)."""
        trainings = {"table1": ("upright", "uniform"), "figure5": ("upright",)}.get(experiment)
        if trainings is None:
            ending = arms.BIAS_EXPERIMENTS[experiment]
            trainings = tuple(f"biased{std}{ending}" for std in BIASES)
        rows = []
        for training in trainings:
            for number, network in enumerate(NETWORKS):
                rng = np.random.default_rng([number, training == "upright"])
                curves = self.curves(network, training, rng)
                rows += self.arm_rows(experiment, network, arm(network, training), curves)
        return rows

    def arm_rows(self, experiment, network, name, curves):
        rows = []
        exact = EQUIVARIANCE[network] == "exact"
        for seed in range(len(next(iter(curves.values())))):
            found = [("accuracy", angle, curve[seed]) for angle, curve in curves.items()]
            found += [("invariance_error", 0, self.exact_error if exact else 3e-2)]
            found += [("invariance_error", 50, self.exact_error if exact else 0.4)]
            found += [("parameters", math.nan, 25570.0 if network == "z2cnn_28" else 24990.0)]
            found += self.epochs(experiment, name, seed)
            rows += [(f"{name}-{seed}", experiment, name, seed, *row) for row in found]
        return rows

    def epochs(self, experiment, name, seed):
        """Validation and training accuracy, around those of the logs where they are known."""
        for table, metric in (("validation", "validation_accuracy"), ("dropout", "train_accuracy")):
            for (of_table, row, column), paper in PAPER.items():
                if (of_table, row) == (table, name.replace("12345", "1345")):
                    scatter = (paper.spread or 0.3) * math.sin(7 * seed)
                    yield metric, int(column), paper.value + scatter

    def curves(self, network, training, rng):
        """Accuracy by angle, one value per seed; seeds are good or bad at all angles alike."""
        places = {"upright": ("figure5", network), "uniform": ("table1_angles", network)}
        table, row = places.get(training, ("figure6", f"{network}_{training.removesuffix('_image')}"))
        scores = standardized(rng, self.seeds)
        found = {}
        for angle in ANGLES:
            printed = PAPER[table, row, str(angle)]
            change = self.change.get((network, training), 0.0)
            change = change(angle) if callable(change) else change
            found[angle] = printed.value + change + printed.spread * scores
        return found

    def images_right(self):
        """Images that are right at all angles or none, for all seeds; 0, 1 and 8 are alike upside down."""
        rows = []
        for name in config.load("subsampling").experiment("sampling").arms:
            for seed in range(3):
                found = [("right_at", image, 2.0**36 - 1 if image % 4 else 0.0) for image in range(40)]
                found += [("accuracy", angle, 75.0) for angle in ANGLES]
                for digit in range(10):
                    at_180 = 90.0 if digit in (0, 1, 8) else 10.0
                    found += [
                        (f"class_accuracy_{digit}", angle, at_180 if angle == 180 else 10.0 + seed)
                        for angle in range(0, 360, 90)
                    ]
                rows += [(f"{name}-{seed}", "sampling", name, seed, *row) for row in found]
        return rows

    def variants(self, experiment):
        """Networks at other sizes and with other switches: 97 %, less 20 points at turns if they may."""
        rows = []
        for number, name in enumerate(VARIANTS[experiment]):
            network = "_".join(name.split("_")[:2])
            repaired = "_resize" in name or "_pool" in name
            exact = repaired or EQUIVARIANCE[network] == "exact"
            scores = 0.2 * standardized(np.random.default_rng(number), min(self.seeds, FEW))
            angles = range(0, 360, 90) if experiment == "sizes" else ANGLES
            exact = exact or name.endswith(("_circular", "_reflect", "_replicate"))  # no frame to read
            worse = 1 if name.endswith(("_nocrop", "_nearest")) else 0
            curves = {
                angle: 97.0 - (0 if exact or not angle else 20) - (worse if angle % 90 else 0) + scores
                for angle in angles
            }
            made = self.arm_rows(experiment, network if not exact else EXACT, name, curves)
            rows += made
            if experiment == "mirrors":
                rows += [
                    (*row[:4], "mirrored_accuracy", row[5], row[6] - 1)
                    for row in made
                    if row[4] == "accuracy"
                ]
                rows += [(*row[:4], "mirror_error", *row[5:]) for row in made if row[4] == "invariance_error"]
        return rows

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
                panels = (("input", side), ("filter", 3), ("map", half), ("map_of_rotated", half))
                for metric, pixels in panels:
                    found += [(metric, index, (index * 7919 % 13) / 13) for index in range(pixels**2)]
                rows += [(f"{name}-{seed}", "figure3", name, seed, *row) for row in found]
        return rows
