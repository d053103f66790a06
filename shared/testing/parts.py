"""Modules that random networks have besides layers: branches, and a gate."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """Sum of branches; a branch without layers is the identity."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        total = self.branches[0](x)
        for branch in list(self.branches)[1:]:
            total = total + branch(x)
        return total


class Concatenation(Residual):
    """Branches side by side in the channels."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class Gate(nn.Module):
    """Scales each map by a function of its mean, as squeeze-and-excitation does."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x.mean((-2, -1), keepdim=True).sigmoid()
