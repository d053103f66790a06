"""Two networks of the same depth: plain convolutions, and convolutions over positions and quarter turns."""

from __future__ import annotations

import torch
from torch import nn

from shared.nn import GlobalAvgPool, GroupBatchNorm, GroupConv, GroupPool, LiftingConv, SpatialMaxPool

from .settings import Settings

CLASSES = 10


def build(settings: Settings, seed: int) -> nn.Sequential:
    """The network of ``settings`` with the weights of ``seed``; the global random state is left alone.

    The p4 network ends with a maximum over the group, so it is invariant to quarter turns: exactly at
    sizes that divide by two, where the pool samples symmetrically.

    Shape:
        in  (batch, 1, size, size)
        out (batch, 10)
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _p4cnn(settings.width) if settings.model == "p4cnn" else _z2cnn(settings.width)


def _z2cnn(width: int) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()),
        *(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()),
        *(GlobalAvgPool(), nn.Linear(width, CLASSES)),
    )


def _p4cnn(width: int) -> nn.Sequential:
    return nn.Sequential(
        *(LiftingConv(1, width, 3, padding=1), GroupBatchNorm(width), nn.ReLU(), SpatialMaxPool(2)),
        *(GroupConv(width, width, 3, padding=1), GroupBatchNorm(width), nn.ReLU()),
        *(GroupConv(width, width, 3, padding=1), GroupBatchNorm(width), nn.ReLU()),
        *(GlobalAvgPool(), GroupPool(), nn.Linear(width, CLASSES)),
    )
