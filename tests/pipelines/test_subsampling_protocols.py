"""The paper tier of every experiment is the paper's protocol (fact sheet, sections 3 to 5)."""

from __future__ import annotations

import pytest

from shared.runs import config

DIGITS = {
    "dataset": "mnist",
    "split": "swapped",
    "train_images": 8000,
    "validation_images": 2000,
    "test_images": 60_000,
    "angle_step": 10,
    "channels": 3,
    "width": 0,
    "crop": True,
    "dropout": 0.3,
    "dropout_after": "1345",
    "epochs": 50,
    "batch_size": 256,
    "optimizer": "adam",
    "lr": 0.01,
    "weight_decay": 1e-5,
    "schedule": "step",
    "step_every": 10,
    "step_factor": 0.5,
    "padding_mode": "zeros",
    "repair": "",
    "statistics": "running",
    "antialias": False,
}
#: Figure 6; the text draws an angle for each digit.
BIASED = DIGITS | {"training": "biased", "bias_mean": 45.0}
ONE_CYCLE = {
    "train_images": 0,
    "test_images": 0,
    "validation_images": 0,
    "crop": False,
    "epochs": 200,
    "batch_size": 256,
    "optimizer": "adam",
    "lr": 0.001,
    "weight_decay": 1e-5,
    "schedule": "one_cycle",
    "cycle_momentum": True,
    "selection": "last",
    "head": "group_first",
    "stem": "small",
    "blocks": 0,
    "width": 0,
}
CIFAR = ONE_CYCLE | {"augment": "crop_flip", "train_on": "train", "stage_widths": ()}
SGD = {"train_images": 0, "test_images": 0, "optimizer": "sgd", "momentum": 0.9, "schedule": "milestones"}
PROTOCOLS = {
    "table1": DIGITS,
    "figure5": DIGITS | {"training": "upright"},
    "figure6": BIASED | {"bias_per": "batch"},
    "turns": DIGITS,
    "corners": DIGITS | {"training": "upright", "selection": "last"},
    "dropout": {key: value for key, value in DIGITS.items() if key not in ("dropout_after", "angle_step")},
    "figure6_images": BIASED | {"bias_per": "image"},
    "figure3": {"lr": 0.1, "steps": 5000, "weight_decay": 0.0},
    "figure4": CIFAR | {"dataset": "cifar10", "track_every": 1, "track_images": 320},
    "table2_cifar10": CIFAR | {"dataset": "cifar10"},
    "table2_cifar100": CIFAR | {"dataset": "cifar100"},
    "controls_cifar10": CIFAR | {"dataset": "cifar10"},
    "table2_flowers102": ONE_CYCLE
    | {"dataset": "flowers102", "augment": "resized_crop", "train_on": "train_and_valid"},
    "table2_pcam": SGD
    | {
        "dataset": "pcam",
        "validation_images": 32_768,
        "lr": 0.001,
        "weight_decay": 1e-5,
        "milestones": (8, 16, 20, 24, 26, 28),
        "step_factor": 0.75,
        "batch_size": 32,
        "epochs": 30,
        "selection": "best",
        "head": "pixels_first",
    },
    "table2_imagenet": SGD
    | {
        "dataset": "imagenet",
        "augment": "resized_crop",
        "lr": 0.1,
        "weight_decay": 1e-4,
        "milestones": (30, 60, 80),
        "step_factor": 0.1,
        "warmup_epochs": 5,
        "batch_size": 256,
        "epochs": 90,
        "stem": "standard",
    },
}
#: Seeds of the paper tier: ten for digits, three for images; ImageNet is one run in the paper.
SEEDS = {
    **dict.fromkeys(("table1", "figure5", "figure6", "figure3"), 10),
    **dict.fromkeys(("figure4", "table2_cifar10"), 3),
    "table2_imagenet": 1,
}


def paper_settings(experiment):
    declared = config.load("subsampling").experiment(experiment)
    return {name: declared.settings_of(name, "paper") for name in declared.arms}


@pytest.mark.parametrize("experiment", PROTOCOLS)
def test_the_paper_tier_is_the_fact_sheets_protocol(experiment):
    for arm, settings in paper_settings(experiment).items():
        found = {name: getattr(settings, name) for name in PROTOCOLS[experiment]}
        assert found == PROTOCOLS[experiment], arm


@pytest.mark.parametrize("experiment", SEEDS)
def test_the_paper_tier_has_seeds_enough(experiment):
    runs = config.load("subsampling").experiment(experiment).runs("paper")
    by_arm = {}
    for run in runs:
        by_arm.setdefault(run.arm, []).append(run.seed)
    assert {tuple(seeds) for seeds in by_arm.values()} == {tuple(range(SEEDS[experiment]))}


def test_trainings_of_digits_are_those_of_their_names():
    for arm, settings in {**paper_settings("table1"), **paper_settings("figure5")}.items():
        model, size, training = arm.split("_")
        assert (settings.model, settings.size, settings.training) == (model, int(size), training)
    for experiment in ("figure6", "figure6_images"):
        for arm, settings in paper_settings(experiment).items():
            model, size, spread = arm.removesuffix("_image").split("_")
            assert (settings.model, settings.size) == (model, int(size))
            assert settings.bias_std == float(spread.removeprefix("biased"))


def test_pcam_has_its_own_widths_by_stage():
    widths = {arm: settings.stage_widths for arm, settings in paper_settings("table2_pcam").items()}
    assert widths == {"resnet44_96": (8, 14, 28), "p4resnet44_96": (4, 7, 14), "p4resnet44_97": (4, 7, 14)}
