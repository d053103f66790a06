"""How much of the paper's protocol a run of Table 2 followed, in words, and what a run would take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from pipelines.subsampling.settings import Settings
from shared import config
from shared.paths import COMMITTED_TIERS
from shared.report import text
from shared.report.results import Results

#: Residual blocks per stage and fields of the first stage (fact sheet, section 3.2; p4m is our own).
NETWORKS = {
    "resnet44": {"blocks": 7, "width": 32},
    "p4resnet44": {"blocks": 7, "width": 16},
    "p4mresnet44": {"blocks": 7, "width": 11},
    "resnet18": {"blocks": 2, "width": 64},
    "p4resnet18": {"blocks": 2, "width": 32},
}
_ONE_CYCLE = {"epochs": 200, "batch_size": 256, "lr": 0.001}
_CIFAR = {"train_images": 50_000, "test_images": 10_000, **_ONE_CYCLE}
_FLOWERS = {"train_on": "train_and_valid", "train_images": 2_040, "test_images": 6_149, **_ONE_CYCLE}
#: The paper's protocol by data set (fact sheet, sections 4 and 5); ImageNet's batch is not stated.
PROTOCOLS = {
    "cifar10": _CIFAR,
    "cifar100": _CIFAR,
    "flowers102": _FLOWERS,
    "pcam": {"train_images": 262_144, "test_images": 32_768, "epochs": 30, "batch_size": 32},
    "imagenet": {"train_images": 1_281_167, "test_images": 50_000, "epochs": 90},
}
WORDS = {
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
#: What a setting was before it existed; at that value it is not recorded (`shared.interface.added`).
_OLD = {field.name: field.metadata.get("absent", field.default) for field in fields(Settings)}


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
    paper = {**NETWORKS.get(models[0], {}), **PROTOCOLS.get(datasets[0], {})}
    found = []
    for key, theirs in paper.items():
        ours = next(iter(setting(results, experiment, key, name)), 0)
        if ours not in (0, theirs):
            found.append(WORDS[key].format(ours=_number(ours), paper=_number(theirs)))
    return found


def followed(results: Results, experiment: str, name: str) -> str:
    """What was run, for a table: how it differs from the paper's protocol, or that it does not."""
    tier = results.tier(experiment, name)
    if tier not in COMMITTED_TIERS:
        return tier or "-"
    return "\n".join(reductions(results, experiment, name)) or "network, images and epochs as in the paper"


def protocol(results: Results, experiment: str, names: Sequence[str], against: bool = True) -> str:
    """Our protocol on images in one sentence, read from what the runs recorded; "" if there are none.

    With ``against`` a second one says where it is less than that of the paper's Table 2.
    """
    run = [name for name in names if results.tier(experiment, name)]
    if not run or not results.records(experiment):
        return ""

    def values(key: str) -> str:
        found = [value for name in run for value in setting(results, experiment, key, name)]
        return text.join([_number(value) for value in dict.fromkeys(found)])

    lacking = list(dict.fromkeys(phrase for name in run for phrase in reductions(results, experiment, name)))
    less = f" Unlike in the paper: {text.join(lacking)}." if lacking and against else ""
    return (
        f"Ours: {values('dataset')}, {values('epochs')} epochs, {values('train_images')} training images, "
        f"batches of {values('batch_size')}, learning rate {values('lr')}, {values('test_images')} test "
        f"images, {values('precision')}.{less}"
    )


def _number(value: object) -> str:
    if value == 0:
        return "all"
    return f"{value:,}" if isinstance(value, int) else str(value)


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


def cost(results: Results, experiment: str, name: str, dataset: str) -> str:
    """The command that runs an arm as the paper does, and an estimate of what one run takes."""
    command = f"`python -m pipelines.{results.paper} run {experiment} --tier paper`"
    operations = flop(results, experiment, name)
    if operations is None:
        return f"{command}; what it costs follows from the experiment `networks`"
    hours = operations / (SPEEDS[dataset] * 1e12) / 3600
    return (
        f"{command}: {_short(operations / 1e15)} PFLOP a run, estimated {_short(hours)} h at "
        f"{SPEEDS[dataset]} TFLOP/s"
    )


def _short(value: float) -> str:
    """Two or three digits: ``0.16``, ``8.8``, ``275``, ``4,900``."""
    if value >= 1000:
        return f"{round(value, -2):,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"
