"""A linear layer for several replicas side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ReplicaLinear(nn.Module):
    """Several independent linear layers, each on its own block of features.

    Args:
        layers: `torch.nn.Linear` layers of equal shape; their parameters are copied, frozen as in the first.

    Shape:
        in  (batch, replicas * in_features)
        out (batch, replicas * out_features)

    Raises:
        ValueError: if there are no layers, or they differ in shape or in having a bias.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        if len({(layer.weight.shape, layer.bias is None) for layer in layers}) != 1:
            raise ValueError(f"replicas need one or more layers, all of one shape, not {list(layers)}")
        self.in_features, self.out_features = layers[0].in_features, layers[0].out_features
        self.weight = _joined([layer.weight for layer in layers])
        self.bias = None
        if layers[0].bias is not None:
            self.bias = _joined([layer.bias for layer in layers])

    def forward(self, x: Tensor) -> Tensor:
        width = self.weight.shape[0] * self.in_features
        if x.ndim != 2 or x.shape[1] != width:
            raise ValueError(f"ReplicaLinear expects (batch, {width}), not {tuple(x.shape)}")
        blocks = x.unflatten(1, (self.weight.shape[0], self.in_features)).transpose(0, 1)
        y = blocks @ self.weight.transpose(1, 2)
        if self.bias is not None:
            y = y + self.bias[:, None]
        return y.transpose(0, 1).flatten(1)


def _joined(parameters: Sequence[nn.Parameter]) -> nn.Parameter:
    values = torch.stack([parameter.detach() for parameter in parameters])
    return nn.Parameter(values, requires_grad=parameters[0].requires_grad)
