"""Every network before training: its parameters, and how far its predictions move when its input does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from pipelines.regular_latent import models, smoke_models
from pipelines.regular_latent.settings import Settings
from shared.runs.api import Context, Row

#: Images or volumes that the error is measured on.
MEASURED = {"ddmnist": (4, 1, 56, 56), "medmnist": (2, 1, 28, 28, 28)}
#: Classes of Nodule and Synapse, whose networks the paper counts.
VOLUME_CLASSES = 2


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Count and measure the network ``settings.model`` of the task ``settings.task`` at its start.

    Rows: ``parameters``, and on DDMNIST and volumes ``symmetry_error`` (`symmetry_error`) for whole images
    moved by generators of the group.

    Raises:
        UserError: if there is no such network, or it needs a library that is not installed.
    """
    rows = {}
    for seed in seeds:
        network = _build(replace(settings, kind=settings.task, task=""), seed)
        rows[seed] = [Row("parameters", "", float(models.count_parameters(network)))]
        if settings.task in MEASURED:
            random = torch.Generator().manual_seed(seed)
            images = torch.randn(MEASURED[settings.task], generator=random)
            error = symmetry_error(network, images, motions(settings.group))
            rows[seed].append(Row("symmetry_error", "", error))
    return rows


def _build(settings: Settings, seed: int) -> nn.Module:
    if settings.kind == "smoke":
        return smoke_models.build(settings, seed)
    return models.build(settings, seed, VOLUME_CLASSES if settings.kind == "medmnist" else models.NUMBERS)


def motions(group: str) -> list[Callable[[Tensor], Tensor]]:
    """Generators of a group on images or volumes; of SO(3) and O(3) those that permute voxels."""
    turn, tilt, mirror = (
        lambda x: x.rot90(1, (-2, -1)),
        lambda x: x.rot90(1, (-3, -2)),
        lambda x: x.flip(-1),
    )
    return {
        "D1": [mirror],
        "C4": [turn],
        "D4": [turn, mirror],
        "S4": [turn, tilt],
        "SO3": [turn, tilt],
        "O3": [turn, tilt, mirror],
    }[group]


@torch.no_grad()
def symmetry_error(network: nn.Module, images: Tensor, moved: Sequence[Callable[[Tensor], Tensor]]) -> float:
    """How far predictions move with the input: root mean square change of logits, of the worst motion.

    In units of their deviation between images; the statistics of batch norms are those of the images,
    without which an untrained deep network predicts the same for all.
    """
    _settle(network.train(), images)
    network.eval()
    logits = network(images)
    spread = (logits - logits.mean(0)).square().mean()
    changes = [(network(motion(images)) - logits).square().mean() for motion in moved]
    return float((max(changes) / spread).sqrt())


def _settle(network: nn.Module, images: Tensor) -> None:
    """Let batch norms take the statistics of the images."""
    norms = [module for module in network.modules() if hasattr(module, "momentum")]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
