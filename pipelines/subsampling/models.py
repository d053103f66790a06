"""Networks of the subsampling paper for digits, Z2CNN, P4CNN, P4MCNN and the toy of Figure 3; and `build`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipelines.subsampling import resnets
from pipelines.subsampling.settings import IMAGE_MODELS, Settings
from shared.algebra.groups import Group, cyclic, dihedral
from shared.base.errors import UserError, unknown
from shared.nn import (
    Dropout,
    FitStride,
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
#: Fields per layer: 20 / sqrt |G|, which keeps the number of parameters.
WIDTHS = {"z2cnn": 20, "p4cnn": 10, "p4mcnn": 7}


def z2cnn(settings: Settings, classes: int = CLASSES) -> nn.Sequential:
    """The plain network: seven convolutions of 20 channels (fact sheet 3.1; 25,570 parameters)."""
    width = settings.width or WIDTHS["z2cnn"]
    layers: list[nn.Module] = []
    for number, kernel in enumerate(KERNELS, 1):
        channels = settings.channels if number == 1 else width
        layers += [nn.Conv2d(channels, width, kernel, **_padding(number, settings)), nn.BatchNorm2d(width)]
        layers += _tail(number, settings, nn.MaxPool2d(2))
    return nn.Sequential(*layers, GlobalAvgPool(), nn.Linear(width, classes))


def group_cnn(settings: Settings, group: Group, classes: int = CLASSES) -> nn.Sequential:
    """Seven group convolutions: P4CNN (C4, 10 fields, 24,990 parameters) or P4MCNN (D4, 7 fields, 24,328).

    Exactly invariant iff the input size is even (the 2x2 pool with stride 2 is the only subsampling), at
    least 8; with ``settings.repair`` at every size from 8.
    """
    width = settings.width or WIDTHS[settings.model]
    layers: list[nn.Module] = []
    for number, kernel in enumerate(KERNELS, 1):
        shape = {"group": group, **_padding(number, settings)}
        if number == 1:
            layers.append(LiftingConv(settings.channels, width, kernel, **shape))
        else:
            layers.append(GroupConv(width, width, kernel, **shape))
        layers += [GroupBatchNorm(width, group), *_tail(number, settings, SpatialMaxPool(2))]
    return nn.Sequential(*layers, GlobalAvgPool(), GroupPool(), nn.Linear(width, classes))


def _padding(number: int, settings: Settings) -> dict[str, int | str]:
    """What the convolution of block ``number`` adds around its input."""
    before = settings.padding_before_pool if number <= POOL_AFTER else ""
    return {"padding": 1 if KERNELS[number - 1] == 3 else 0, "padding_mode": before or settings.padding_mode}


def _tail(number: int, settings: Settings, pool: nn.Module) -> list[nn.Module]:
    """What follows the norm of block ``number``: ReLU, then dropout, then the pool, repaired if asked for."""
    layers: list[nn.Module] = [nn.ReLU()]
    if str(number) in settings.dropout_after:
        layers.append(Dropout(settings.dropout))
    if number == POOL_AFTER:
        if settings.repair:
            layers.append(FitStride(2, 2, mode="resize" if settings.repair == "resize" else "max"))
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


def build(settings: Settings, seed: int, classes: int = CLASSES) -> nn.Module:
    """The network of ``settings`` with the weights of ``seed``; the global random state is left alone.

    Args:
        settings: which network; ``size`` does not enter, all networks read images of any size.
        seed: of the weights.
        classes: number of outputs; the toy always has two.

    Raises:
        UserError: if the settings are not those of a network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _network(settings, classes)


def _network(settings: Settings, classes: int) -> nn.Module:
    if settings.model in IMAGE_MODELS:
        return resnets.resnet(settings, classes)
    if settings.model == "toy":
        return Toy()
    if settings.model == "z2cnn":
        return z2cnn(settings, classes)
    groups = {"p4cnn": cyclic(4), "p4mcnn": dihedral(4)}
    if settings.model not in groups:
        raise UserError(unknown("network", settings.model, [*WIDTHS, *IMAGE_MODELS, "toy"]))
    return group_cnn(settings, groups[settings.model], classes)


def count_parameters(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in model.parameters())
