"""Every network before training: its parameters, and how far it is from the symmetry of its group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from pipelines.regular_latent import models, smoke_models
from pipelines.regular_latent.settings import Settings
from pipelines.regular_latent.smoke_flows import turn
from shared.runs.api import Context, Row

#: Images or volumes that the error is measured on.
MEASURED = {"ddmnist": (4, 1, 56, 56), "medmnist": (2, 1, 28, 28, 28)}
#: Classes of Nodule and Synapse, whose networks the paper counts.
VOLUME_CLASSES = 2
#: A motion of inputs, and the motion of outputs that goes with it.
Motion = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Count and measure the network ``settings.model`` of the task ``settings.task`` at its start.

    Rows: ``parameters``; ``symmetry_error`` (of that name below), of whole images or volumes moved by
    generators of the group, which predictions should not see, or of velocities, which they should follow.

    Raises:
        UserError: if there is no such network, or it needs a library that is not installed.
    """
    del context  # nothing to train
    task = replace(settings, kind=settings.task, task="", shifted=0.0)
    rows = {}
    for seed in seeds:
        if settings.task == "smoke":
            network, shape = smoke_models.build(task, seed), (2, 20, settings.size, settings.size)
        else:
            classes = VOLUME_CLASSES if settings.task == "medmnist" else models.NUMBERS
            network, shape = models.build(task, seed, classes), MEASURED[settings.task]
        images = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        error = symmetry_error(network, images, motions(settings.group, settings.task))
        rows[seed] = [
            Row("parameters", "", float(models.count_parameters(network))),
            Row("symmetry_error", "", error),
        ]
    return rows


def motions(group: str, task: str) -> list[Motion]:
    """Generators of a group on images, volumes or velocities; of SO(3) and O(3) those that permute voxels."""
    if task == "smoke":
        return [(_quarter_turn, _quarter_turn)]
    generators = {
        "C4": ["turn"],
        "D1": ["mirror"],
        "D4": ["turn", "mirror"],
        "S4": ["turn", "tilt"],
        "SO3": ["turn", "tilt"],
        "O3": ["turn", "tilt", "mirror"],
    }
    moves = {
        "turn": lambda x: x.rot90(1, (-2, -1)),
        "tilt": lambda x: x.rot90(1, (-3, -2)),
        "mirror": lambda x: x.flip(-1),
    }
    return [(moves[name], lambda logits: logits) for name in generators[group]]


def _quarter_turn(velocities: Tensor) -> Tensor:
    return turn(velocities, torch.ones(len(velocities), dtype=torch.long))


@torch.no_grad()
def symmetry_error(network: nn.Module, images: Tensor, moved: Sequence[Motion]) -> float:
    """Root mean square of f(g x) - g f(x), for the worst of the motions g, over the spread of f.

    The spread is the deviation of f between inputs. Batch norms have the statistics of the inputs; without
    that, an untrained deep network predicts nearly the same for all of them.
    """
    _settle(network.train(), images)
    network.eval()
    outputs = network(images)
    spread = (outputs - outputs.mean(0)).square().mean()
    changes = [(network(motion(images)) - follow(outputs)).square().mean() for motion, follow in moved]
    return float((max(changes) / spread).sqrt())


def _settle(network: nn.Module, images: Tensor) -> None:
    """Let batch norms take the statistics of the inputs."""
    norms = [module for module in network.modules() if hasattr(module, "momentum")]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
