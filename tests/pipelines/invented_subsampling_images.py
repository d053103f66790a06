"""Invented results of the experiments on images, and of those that train nothing (no test file itself)."""

from __future__ import annotations

import math

import numpy as np

from pipelines.subsampling import arms
from pipelines.subsampling.arms import (
    CONTROLS_CIFAR10,
    CONTROLS_REDUCED,
    EQUIVARIANCE,
    FIGURE4,
    REDUCED,
    ROLES,
    TABLE2,
)
from shared.report import published

PAPER = published.paper_values("subsampling")
EPOCHS = (*range(0, 21), 30, 35, 40)
#: Experiments whose p4 networks are followed through training.
TRACKED = (
    *("figure4", "table2_cifar10", "table2_reduced", "controls_cifar10"),
    *arms.FIGURE4_PANELS,
)
#: At most so many seeds; more would only take time.
SEEDS = 10
#: Arms and, where the paper has them, rows of Table 2.
ARMS = {
    "figure4": dict.fromkeys(FIGURE4, ""),
    "controls_cifar10": dict.fromkeys(CONTROLS_CIFAR10, ""),
    "table2_reduced": dict.fromkeys((*REDUCED, *CONTROLS_REDUCED), ""),
    **{
        f"table2_{dataset}": {name: f"{dataset}_{role}" for role, name in zip(ROLES, names)}
        for dataset, names in TABLE2.items()
    },
}
#: Parameters that the paper has no count of; multiply-accumulates of large networks (fact sheet 3.2, 3.3).
PARAMETERS = {
    "p4mcnn": 24328.0,
    "p4mresnet44_cifar10": 2.5e6,
    "resnet18_imagenet_standard": 11689512.0,
    "p4resnet18_imagenet_standard": 11424008.0,
}
MACS = {
    "p4resnet44_pcam": {96: 0.743e9, 97: 0.778e9},
    "p4resnet18_flowers102": {224: 108.7e9, 225: 112.3e9},
    "p4resnet18_imagenet_standard": {224: 7.02e9, 225: 7.96e9},
}


def trained(invented, experiment):
    """Accuracy at quarter turns as in Table 2, invariance, and errors by stage and epoch."""
    rows = []
    count = min(invented.seeds, SEEDS)
    for name, row in ARMS[experiment].items():
        exact = EQUIVARIANCE[name] == "exact"
        scores = _scores(count)
        seen, unseen = (_around(row, column, scores, invented) for column in ("seen", "unseen"))
        turned = seen if exact else (4 * unseen - seen) / 3
        for seed in range(count):
            found = [("accuracy", angle, (turned if angle else seen)[seed]) for angle in arms.QUARTERS]
            error = invented.exact_error if exact else 0.3
            found += [("invariance_error", 0, error / 2), ("invariance_error", EPOCHS[-1], error)]
            found += [("parameters", math.nan, 1e5), ("images_per_second", math.nan, 900.0)]
            if name.startswith("p4") and experiment in TRACKED:
                found += _stages(name, invented, seed)
            rows += [(f"{experiment}-{name}-{seed}", experiment, name, seed, *values) for values in found]
    return rows


def _scores(count):
    """The same seeds are good or bad for all networks, so their differences hardly scatter."""
    values = np.random.default_rng(7).normal(size=count)
    return (values - values.mean()) / values.std() if count > 1 else np.zeros(1)


def _around(row, column, scores, invented):
    if not row:
        return {"seen": 80.0, "unseen": 65.0}[column] + scores
    printed = PAPER["table2", row, column]
    return printed.value + invented.change.get(row, 0.0) + (printed.spread or 0.1) * scores


def _stages(name, invented, seed):
    exact, found = EQUIVARIANCE[name] == "exact", []
    for epoch in EPOCHS:
        grown = invented.growth ** (epoch / EPOCHS[-1]) * (0.5 if epoch else 1)  # all fall at first
        for number, stage in enumerate(arms.stages(name)):
            broken = not exact and (number > 1 or "resnet18" in name)
            again = (
                0.5 if "resnet18" in name and epoch > 30 and number < 3 else 1
            )  # and most when the rate is cut
            energy = 0.05 * grown * again * (1 + 0.01 * seed) if broken else (invented.exact_error / 10) ** 2
            for reading, factor in (("energy", 1), ("mse", 2), ("root", 0.01), ("l1", 3)):
                found.append((f"{reading}_{stage}", epoch, factor * energy))
        found += [("tracked_accuracy", epoch, 50.0 + epoch)]
        found += [("train_loss", epoch, 2.0 / (1 + epoch))] if epoch else []
    return found


def settings(experiment):
    """By arm the settings that the records keep, of the arms of experiments on images."""
    if experiment not in ARMS:
        return {}
    dataset = experiment.partition("_")[2]
    dataset = dataset if dataset in TABLE2 else "cifar10"
    common = {"dataset": dataset, "epochs": 30 if dataset == "pcam" else 200, "train_images": 0}
    common |= {
        "test_images": 0,
        "batch_size": 32 if dataset == "pcam" else 256,
        "lr": 0.001,
        "train_on": "train_and_valid" if dataset == "flowers102" else "train",
        "precision": "bf16",
        "width": 0,
    }
    if experiment == "table2_reduced":
        common |= {"blocks": 1, "width": 8, "epochs": 10, "train_images": 20_000, "batch_size": 128}
    if dataset == "imagenet":
        common |= {"epochs": 90}
    models = {name: name.rpartition("_")[0].replace("net8", "net44") for name in ARMS[experiment]}
    return {name: {**common, "model": model} for name, model in models.items()}


def inventory(seeds):
    """Every network: counts as published, exact at the sizes that fact sheet 2.7 gives."""
    rows = []
    for name in arms.INVENTORY:
        published_count = PAPER.get(("networks", name, "parameters"))
        count = published_count.value if published_count else PARAMETERS[name]
        period, offset, used, shown = _geometry(name)
        found = [("parameters", math.nan, count)]
        found += [("macs", size, MACS.get(name, {}).get(size, 1e6 * size)) for size in used]
        for size in shown:
            exact = size % period == offset
            stage = 0 if exact else 2 if "cnn" in name else 1 if "toy" in name or "standard" in name else 3
            found += [("exact", size, float(exact)), ("exact_p4m", size, float(exact))]
            found += [("breaks_stage", size, float(stage)), ("fits", size, 1.0)]
        for seed in range(seeds):
            rows += [(f"networks-{name}-{seed}", "networks", name, seed, *values) for values in found]
    return rows


def _geometry(name):
    """Period and offset of the exact sizes, sizes used, sizes shown."""
    if "cnn" in name:
        return 2, 0, (27, 28, 29), range(20, 37)
    if name == "toy":
        return 2, 1, (32, 33), range(20, 37)
    if "18" in name:
        return (32 if "standard" in name else 8), 1, (224, 225), range(192, 259)
    return (4, 1, (96, 97), range(88, 105)) if "pcam" in name else (4, 1, (29, 32, 33, 34, 36), range(28, 41))


def pictures(seeds):
    """Figure 2: a digit of 28 pixels a side, turned; cropped or not."""
    rows = []
    for name in ("plain", "cropped"):
        found = [
            (metric, i, (i * 7919 % 13) / 13) for metric in ("original", "picture") for i in range(28 * 28)
        ]
        rows += [
            (f"figure2-{name}-{seed}", "figure2", name, seed, *values)
            for seed in range(min(seeds, 3))
            for values in found
        ]
    return rows
