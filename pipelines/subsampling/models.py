"""Networks of the subsampling paper: Z2CNN, P4CNN and the toy of Figure 3."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipelines.subsampling.settings import Settings
from shared.nn import (
    Dropout,
    GlobalAvgPool,
    GroupBatchNorm,
    GroupConv,
    GroupPool,
    LiftingConv,
    SpatialMaxPool,
)

#: Blocks 1 to 6 have 3x3 kernels with padding 1, block 7 has 4x4 without; the pool follows block 2.
KERNELS = (3, 3, 3, 3, 3, 3, 4)
POOL_AFTER = 2
CLASSES = 10


def z2cnn(settings: Settings) -> nn.Sequential:
    """The plain network: seven convolutions of 20 channels (fact sheet 3.1; 25,570 parameters)."""
    width = settings.width or 20
    layers: list[nn.Module] = []
    for number, kernel in enumerate(KERNELS, 1):
        channels = settings.channels if number == 1 else width
        layers += [nn.Conv2d(channels, width, kernel, padding=1 if kernel == 3 else 0), nn.BatchNorm2d(width)]
        layers += _tail(number, settings, nn.MaxPool2d(2))
    return nn.Sequential(*layers, GlobalAvgPool(), nn.Linear(width, CLASSES))


def p4cnn(settings: Settings) -> nn.Sequential:
    """The p4 network: seven p4 convolutions of 10 fields (fact sheet 3.1; 24,990 parameters).

    Exactly invariant to quarter turns iff the input size is even (the 2x2 pool with stride 2 is the only
    subsampling), at least 8.
    """
    width = settings.width or 10
    layers: list[nn.Module] = []
    for number, kernel in enumerate(KERNELS, 1):
        padding = 1 if kernel == 3 else 0
        if number == 1:
            layers.append(LiftingConv(settings.channels, width, kernel, padding=padding))
        else:
            layers.append(GroupConv(width, width, kernel, padding=padding))
        layers += [GroupBatchNorm(width), *_tail(number, settings, SpatialMaxPool(2))]
    return nn.Sequential(*layers, GlobalAvgPool(), GroupPool(), nn.Linear(width, CLASSES))


def _tail(number: int, settings: Settings, pool: nn.Module) -> list[nn.Module]:
    """What follows the norm of block ``number``: ReLU, then dropout, then the pool."""
    layers: list[nn.Module] = [nn.ReLU()]
    if str(number) in settings.dropout_after:
        layers.append(Dropout(settings.dropout))
    if number == POOL_AFTER:
        layers.append(pool)
    return layers


class Toy(nn.Module):
    """One lifted 3x3 filter with stride 2, pooled over space and group, two outputs (14 parameters).

    At an even input size the stride breaks the symmetry and the network can learn to tell an image from
    its quarter turn; at an odd size it cannot (Figure 3).

    Shape:
        in  (batch, 1, size, size)
        out (batch, 2)
    """

    def __init__(self) -> None:
        super().__init__()
        self.lift = LiftingConv(1, 1, 3, stride=2, padding=1)
        self.pool = nn.Sequential(GlobalAvgPool(), GroupPool())
        self.head = nn.Linear(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.lift(x)))


def build(settings: Settings, seed: int) -> nn.Module:
    """The network of ``settings`` with the weights of ``seed``; the global random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if settings.model == "toy":
            return Toy()
        return z2cnn(settings) if settings.model == "z2cnn" else p4cnn(settings)


def count_parameters(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in model.parameters())
