"""Layers for finite groups acting on images, and the Lie algebra convolution on flattened ones.

Regular features are five-dimensional, ``(batch, channels, |G|, height, width)``; element ``g`` of the
group is index ``g`` of axis 2, in the order of `shared.algebra.groups`. Two-dimensional images stay ``(batch,
channels, height, width)``.

| layer | symmetry | condition |
|---|---|---|
| `LiftingConv`, `GroupConv` | C4, D4 and their subgroups | stride divides (size + 2 padding - K) |
| `SpatialMaxPool`, `SpatialAvgPool` | the same | the same |
| `GlobalAvgPool`, `GroupPool`, `GroupBatchNorm` | the same | always exact |
| `FitStride` | the same | always exact; makes the layer behind it so |
| `Dropout` | none while training | identity in eval mode |
| `ContinuousLifting`, `ContinuousGroupConv` | T(2), turns by 2 pi / n | strict; quarter turns on pixels |
| `ContinuousPointwise` | the same | full circles of angles |
| `ContinuousPointwise` | the same | grids that divide the circle |
| `LConv` | what commutes with its generators; learned ones: none given | see its docstring |

Steerable networks, whose fields are any representations, are made of `shared.nn.fields` and, with filters of
escnn or e2cnn, `shared.nn.baselines_steerable` (strict, or with a residual pathway) and
`shared.nn.baselines_partial` (with a learned degree of equivariance).

`Conv2d` is torch's, right on every processor; `RightConvolutions` makes the convolutions of any network so.
`shared.atlas.atlas` says for a whole network and input size which layers are exact.
Matrices that learn to be a representation, and how to read it off: `shared.nn.learned_representations`.
"""

from shared.nn.angles import AngleGrid, FixedAngles, PartialAngles, RandomAngles, one_draw, seed_angles
from shared.nn.continuous import (
    ContinuousGroupConv,
    ContinuousLifting,
    ContinuousPointwise,
    check_rotations,
    kept_rotations,
)
from shared.nn.conv import GroupConv, LiftingConv
from shared.nn.dropout import Dropout
from shared.nn.fit import FitStride
from shared.nn.kernel_networks import KernelNetwork, KernelSettings
from shared.nn.lconv import LConv, contraction_costs
from shared.nn.linear import ReplicaLinear
from shared.nn.norm import GroupBatchNorm
from shared.nn.pool import GlobalAvgPool, GroupPool, SpatialAvgPool, SpatialMaxPool
from shared.nn.strided import Conv2d, RightConvolutions

__all__ = [
    "AngleGrid",
    "ContinuousGroupConv",
    "ContinuousLifting",
    "ContinuousPointwise",
    "Conv2d",
    "Dropout",
    "FitStride",
    "FixedAngles",
    "GlobalAvgPool",
    "GroupBatchNorm",
    "GroupConv",
    "GroupPool",
    "KernelNetwork",
    "KernelSettings",
    "LConv",
    "LiftingConv",
    "PartialAngles",
    "RandomAngles",
    "ReplicaLinear",
    "RightConvolutions",
    "SpatialAvgPool",
    "SpatialMaxPool",
    "check_rotations",
    "contraction_costs",
    "kept_rotations",
    "one_draw",
    "seed_angles",
]
