"""Small networks with the geometry of those of the subsampling paper."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.algebra.groups import Group
from shared.nn import (
    Dropout,
    GlobalAvgPool,
    GroupBatchNorm,
    GroupConv,
    GroupPool,
    LiftingConv,
    SpatialMaxPool,
)


class Block(nn.Module):
    """Pre-activation block of the subsampling paper (fact sheet 3.2)."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = GroupBatchNorm(1), GroupBatchNorm(1)
        self.conv1 = GroupConv(1, 1, 3, stride=stride, padding=1, bias=False)
        self.conv2 = GroupConv(1, 1, 3, padding=1, bias=False)
        self.shortcut = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Sequential(GroupConv(1, 1, 1, stride=stride, bias=False), GroupBatchNorm(1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(torch.relu(self.norm1(x)))
        return self.conv2(F.relu(self.norm2(y))) + self.shortcut(x)


class ResNet(nn.Module):
    """One block a stage is enough for the geometry of ResNet44 and ResNet18."""

    def __init__(self, strides: tuple[int, ...], standard_stem: bool = False) -> None:
        super().__init__()
        self.stem: nn.Module = LiftingConv(1, 1, 3, padding=1, bias=False)
        if standard_stem:
            stem = [LiftingConv(1, 1, 7, stride=2, padding=3), GroupBatchNorm(1), nn.ReLU()]
            self.stem = nn.Sequential(*stem, SpatialMaxPool(3, 2, padding=1))
        self.stages = nn.ModuleList(Block(stride) for stride in strides)
        self.norm, self.pool, self.average = GroupBatchNorm(1), GroupPool(), GlobalAvgPool()
        self.head = nn.Linear(1, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.head(self.average(self.pool(torch.relu(self.norm(x)))))


def resnet44() -> ResNet:
    return ResNet((1, 2, 2))


def resnet18(standard_stem: bool) -> ResNet:
    return ResNet((1, 2, 2, 2), standard_stem)


def p4cnn() -> nn.Sequential:
    """Fact sheet 3.1."""
    layers: list[nn.Module] = []
    for number, kernel in enumerate((3, 3, 3, 3, 3, 3, 4), 1):
        conv = (
            LiftingConv(1, 1, kernel, padding=1)
            if number == 1
            else GroupConv(1, 1, kernel, padding=int(kernel == 3))
        )
        layers += [conv, GroupBatchNorm(1), nn.ReLU(), *[Dropout(0.3)] * (number in (1, 3, 4, 5))]
        layers += [SpatialMaxPool(2)] * (number == 2)
    return nn.Sequential(*layers, GlobalAvgPool(), GroupPool(), nn.Linear(1, 10))


def toy() -> nn.Sequential:
    """Fact sheet 3.4."""
    return nn.Sequential(
        LiftingConv(1, 1, 3, stride=2, padding=1), GlobalAvgPool(), GroupPool(), nn.Linear(1, 2)
    )


def lifted(*layers: nn.Module, group: Group | None = None) -> nn.Sequential:
    """A lifting convolution that keeps the size, an activation, and what is given."""
    return nn.Sequential(LiftingConv(1, 2, 3, padding=1, group=group), nn.ReLU(), *layers)
