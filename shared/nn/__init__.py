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
| `LConv` | what commutes with its generators; learned ones: none given | see its docstring |

`Conv2d` is torch's, right on every processor; `RightConvolutions` makes the convolutions of any network so.
`shared.atlas.atlas` says for a whole network and input size which layers are exact.
"""

from shared.nn.conv import GroupConv, LiftingConv
from shared.nn.dropout import Dropout
from shared.nn.fit import FitStride
from shared.nn.lconv import LConv, contraction_costs
from shared.nn.linear import ReplicaLinear
from shared.nn.norm import GroupBatchNorm
from shared.nn.pool import GlobalAvgPool, GroupPool, SpatialAvgPool, SpatialMaxPool
from shared.nn.strided import Conv2d, RightConvolutions

__all__ = [
    "Conv2d",
    "Dropout",
    "FitStride",
    "GlobalAvgPool",
    "GroupBatchNorm",
    "GroupConv",
    "GroupPool",
    "LConv",
    "LiftingConv",
    "ReplicaLinear",
    "RightConvolutions",
    "SpatialAvgPool",
    "SpatialMaxPool",
    "contraction_costs",
]
