"""Two networks of the same depth: plain convolutions, and convolutions over positions and quarter turns."""

from __future__ import annotations

import torch
from torch import nn

from shared.nn import GlobalAvgPool, GroupBatchNorm, GroupConv, GroupPool, LiftingConv, SpatialMaxPool

from .settings import Settings

CLASSES = 10


def build(settings: Settings, seed: int) -> nn.Sequential:
    """The network of ``settings`` with the weights of ``seed``; the global random state is left alone.

    The p4 network ends with a maximum over the group, so it is invariant to quarter turns: exactly at even
    sizes, where the pool samples symmetrically.

    Shape:
        in  (batch, 1, size, size)
        out (batch, 10)
    """
    network = _p4cnn if settings.model == "p4cnn" else _z2cnn
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return network(settings.width, settings.size // 2)


def _z2cnn(width: int, rest: int) -> nn.Sequential:
    """Plain layers; ``rest`` is the side of the feature maps after the pool."""
    return nn.Sequential(
        *(nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()),
        *(nn.Conv2d(width, width, rest), nn.BatchNorm2d(width), nn.ReLU()),
        *(GlobalAvgPool(), nn.Linear(width, CLASSES)),
    )


def _p4cnn(width: int, rest: int) -> nn.Sequential:
    """The same with p4 layers of ``width`` regular fields."""
    return nn.Sequential(
        *(LiftingConv(1, width, 3, padding=1), GroupBatchNorm(width), nn.ReLU(), SpatialMaxPool(2)),
        *(GroupConv(width, width, 3, padding=1), GroupBatchNorm(width), nn.ReLU()),
        *(GroupConv(width, width, rest), GroupBatchNorm(width), nn.ReLU()),
        *(GlobalAvgPool(), GroupPool(), nn.Linear(width, CLASSES)),
    )
