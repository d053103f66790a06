"""The training loss of an image and its moved copy, and errors of equivariance (DDMNIST, MedMNIST3D)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.regular_latent.models import LATENT, penalty
from pipelines.regular_latent.settings import Settings
from shared.algebra.groups import Group
from shared.nn import latent

#: Seed of the random controls: one permutation representation for all runs.
CONTROL_SEED = 0
#: Images at once where no gradient is taken.
BATCH = 256
#: From a group and the size of the latent vector to how it is asked to move.
REPRESENTATIONS: dict[str, Callable[[Group, int], latent.PermutationAction]] = {
    "regular": latent.regular,
    "trivial": latent.trivial,
    "wrong_group": latent.wrong_group,
    "cosets": lambda group, size: latent.cosets(group, size, CONTROL_SEED),
    "shuffled": lambda group, size: latent.shuffled(group, size, CONTROL_SEED),
}


def representation(settings: Settings, group: Group, size: int) -> latent.PermutationAction | None:
    """How latent vectors are asked to move; None if nothing is asked of them.

    Raises:
        ValueError: if the latent vector is smaller than the group.
    """
    if settings.representation == "none":
        return None
    return REPRESENTATIONS[settings.representation](group, size)


def plain_loss(network: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of one image each, and what a network adds of its own."""
    return F.cross_entropy(network(x).float(), labels) + penalty(network)


def pair_loss(
    settings: Settings,
    action: latent.PermutationAction | None,
    network: nn.Module,
    images: tuple[Tensor, Tensor],
    g: Tensor,
    labels: Tensor,
) -> Tensor:
    """Task loss of both images of each pair and the weighted latent loss (Equation 3).

    Args:
        settings: of the run; ``shifted``, ``weight`` and ``forwards`` count.
        action: how latent vectors are asked to move, or None.
        network: with a submodule ``latent``.
        images: x and g x.
        g: the elements, (batch,).
        labels: (batch,).
    """
    if settings.forwards == "joint":
        outputs, features = latent.tapped(network, LATENT, torch.cat(images))
        (first, second), (z, moved_z) = outputs.chunk(2), features.chunk(2)
    else:
        (first, z), (second, moved_z) = (latent.tapped(network, LATENT, x) for x in images)
    task = F.cross_entropy(first.float(), labels) * (1 - settings.shifted)
    if settings.shifted:
        task = task + F.cross_entropy(second.float(), labels) * settings.shifted
    if action is None:
        return task
    return task + settings.weight * latent.latent_loss(action, z.float(), moved_z.float(), g)


@torch.no_grad()
def latent_errors(
    network: nn.Module,
    actions: dict[str, latent.PermutationAction],
    images: tuple[Tensor, Tensor],
    g: Tensor,
) -> dict[str, float]:
    """How far outputs are from staying, and latent vectors from moving as each of some actions has it.

    An error is ``|W(g) E(x) - E(g x)|`` by ``|E(g x)|``, norms over all images: 0 for an equivariant encoder,
    about 1.4 for unrelated vectors. ``output_error`` is the same of the logits, which should not change.

    Args:
        network: in eval mode; its submodule ``latent`` is not needed without actions.
        actions: by name of the error.
        images, g: as in `pair_loss`.
    """
    layer = LATENT if actions else ""
    found = [[latent.tapped(network, layer, part) for part in x.split(BATCH)] for x in images]
    (outputs, z), (moved_outputs, moved_z) = ([torch.cat(p) for p in zip(*parts)] for parts in found)
    errors = {name: relative_error(action(z, g), moved_z) for name, action in actions.items()}
    return {"output_error": relative_error(outputs, moved_outputs), **errors}


def relative_error(first: Tensor, second: Tensor) -> float:
    """Norm of the difference by that of the second."""
    return ((first - second).norm() / second.norm().clamp_min(1e-12)).item()
