"""The paper's networks by kind of run; "ours" is the same network as the CNN, with a loss term."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from pipelines.regular_latent import steerable
from pipelines.regular_latent.settings import Settings
from shared.base.errors import UserError

#: Classes of DDMNIST, the numbers 00 to 99.
NUMBERS = 100
#: Name of the submodule whose output is the latent vector.
LATENT = "latent"


def build(settings: Settings, seed: int, classes: int = NUMBERS) -> nn.Module:
    """The network of ``settings`` with the weights of ``seed``; the global random state is left alone.

    Args:
        settings: of the run.
        seed: of the weights.
        classes: outputs of networks for volumes.

    Raises:
        UserError: if there is no such network, or it needs a library that is not installed.
    """
    makers = {("ddmnist", "cnn"): ddmnist_cnn, ("medmnist", "cnn"): partial(medmnist_cnn, classes=classes)}
    for kind in ("ddmnist", "medmnist"):
        makers |= {(kind, model): partial(steerable.build, classes=classes) for model in steerable.SYSTEMS}
    make = makers.get((settings.kind, settings.model))
    if make is None:
        raise UserError(f"there is no network {settings.model} for {settings.kind}; choose another model")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(settings)


def _block(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding)
    return [convolution, nn.BatchNorm2d(outputs), nn.ELU()]


def ddmnist_cnn(settings: Settings) -> nn.Sequential:
    """CNN of Veefkind and Cesa (2024) with ``filters`` entries in the latent vector (section 4.1).

    33,742 parameters with 66 filters and 6 channels, 31,240 with 48 filters.

    Shape:
        in     (batch, 1, 56, 56)
        latent (batch, filters)
        out    (batch, 100)
    """
    c = settings.channels
    features = nn.Sequential(
        nn.Upsample(size=57, mode="nearest"),
        *_block(1, c, 7, padding=2),  # 55
        *_block(c, 2 * c, 5, padding=2),
        nn.AvgPool2d(5, 2, 1),  # 27
        *_block(2 * c, 4 * c, 3, 2, 2),  # 15
        nn.AvgPool2d(5, 2, 1),  # 7
        *_block(4 * c, 6 * c, 3, 2),  # 3
        *_block(6 * c, 6 * c, 3, padding=1),
        nn.AvgPool2d(5, 1, 1),  # 1
        nn.Conv2d(6 * c, settings.filters, 1),
    )
    head = nn.Sequential(nn.BatchNorm1d(settings.filters), nn.ELU(), nn.Linear(settings.filters, NUMBERS))
    return nn.Sequential(OrderedDict([("features", features), (LATENT, nn.Flatten()), ("head", head)]))


def medmnist_cnn(settings: Settings, classes: int) -> nn.Sequential:
    """CNN3D-ResNet of Veefkind and Cesa (2024): three residual blocks, no activation after their sums.

    With 6 channels 141,998 parameters for 2 classes and 142,439 for 11 (section 4.2).

    Shape:
        in     (batch, 1, 28, 28, 28)
        latent (batch, 8 channels)
        out    (batch, classes)
    """
    c = settings.channels
    blocks = [
        Residual(
            [*_block3d(1, c, 7, padding=2), *_block3d(c, 2 * c, 5, padding=2)],
            [nn.Conv3d(1, 2 * c, 7, padding=2)],
        ),
        nn.AvgPool3d(5, 2, 1),  # 13
        Residual(
            [*_block3d(2 * c, 4 * c, 3, 2, 1), nn.AvgPool3d(5, 2, 1), *_block3d(4 * c, 6 * c, 3, 2, 2)],
            [nn.AvgPool3d(5, 2), nn.Conv3d(2 * c, 6 * c, 3)],
        ),  # 3
        Residual(
            [*_block3d(6 * c, 6 * c, 3, padding=1), nn.AvgPool3d(3, 1), nn.Conv3d(6 * c, 8 * c, 1)],
            [nn.Conv3d(6 * c, 8 * c, 3)],
        ),  # 1
    ]
    features = nn.Sequential(nn.Upsample(size=29, mode="nearest"), *blocks)
    head = nn.Sequential(nn.BatchNorm1d(8 * c), nn.ELU(), nn.Linear(8 * c, classes))
    return nn.Sequential(OrderedDict([("features", features), (LATENT, nn.Flatten()), ("head", head)]))


def _block3d(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> list[nn.Module]:
    convolution = nn.Conv3d(inputs, outputs, kernel, stride, padding)
    return [convolution, nn.BatchNorm3d(outputs), nn.ELU()]


class Residual(nn.Module):
    """The sum of two paths through layers."""

    def __init__(self, path: Sequence[nn.Module], skip: Sequence[nn.Module]) -> None:
        super().__init__()
        self.path, self.skip = nn.Sequential(*path), nn.Sequential(*skip)

    def forward(self, x: Tensor) -> Tensor:
        return self.path(x) + self.skip(x)


def count_parameters(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def penalty(network: nn.Module) -> Tensor | float:
    """What a network adds to its loss by a method ``penalty()`` of its own; 0 if it has none."""
    own = getattr(network, "penalty", None)
    return own() if callable(own) else 0.0
