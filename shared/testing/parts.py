"""What random networks have besides layers: branches, a gate, and what networks of others do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import prune

from shared import nn as ours


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


def _turned(x: Tensor) -> Tensor:
    return torch.rot90(x, 1, (-2, -1))


def _filtered(x: Tensor, kernel: list[list[float]]) -> Tensor:
    """Each channel by a constant kernel."""
    weight = torch.tensor(kernel).to(x).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(x, weight, padding=1, groups=x.shape[1])


#: What networks of others do in their forward, on images (batch, channels, height, width); some of it, of
#: channels or pixels, on features, too.
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    # across channels
    "glu": lambda x: F.glu(x, 1),
    "softmax": lambda x: x.softmax(1),
    "layer norm": lambda x: F.layer_norm(x, x.shape[1:]),
    "unit": lambda x: F.normalize(x, dim=1),
    "attention": lambda x: x * x.mean(1, keepdim=True).sigmoid(),
    "largest": lambda x: x - x.amax(1, keepdim=True),
    "reversed": lambda x: x.flip(1),
    "rolled": lambda x: x + x.roll(1, 1),
    "sorted": lambda x: x.sort(1).values,
    "every other": lambda x: x[:, ::2],
    "halves": lambda x: torch.cat(x.chunk(2, 1)[::-1], 1),
    "scale": lambda x: x / (1 + x.abs().mean()),
    "counted": lambda x: x / x.shape[1],
    # over batch or orientations
    "centered": lambda x: x - x.mean(0, keepdim=True),
    "orientations": lambda x: x * x.mean(2, keepdim=True),
    "one orientation": lambda x: x[:, :, 0],
    "next orientation": lambda x: x.roll(1, 2),
    "flattened": lambda x: x.flatten(1, 2),
    # of pixels
    "cropped": lambda x: x[..., 1:-1, 1:-1],
    "cropped at one side": lambda x: x[..., 1:],
    "subsampled": lambda x: x[..., ::2, ::2],
    "mirrored": lambda x: x.flip(-1),
    "transposed": lambda x: x.transpose(-1, -2),
    "permuted": lambda x: x.permute(0, 1, 3, 2),
    "turned": _turned,
    "ramp": lambda x: x * torch.arange(1, x.shape[-1] + 1).to(x),
    "ones": lambda x: x + torch.ones_like(x),
    "nothing": lambda x: x + 0 * x.detach().clamp(0, 1),
    "blurred": lambda x: _filtered(x, [[1, 2, 1], [2, 4, 2], [1, 2, 1]]),
    "edges": lambda x: _filtered(x, [[1, 0, -1], [2, 0, -2], [1, 0, -1]]),
    # at random, in eval mode, too
    "dropped": lambda x: F.dropout(x, 0.5),
}


class Apply(nn.Module):
    """One of `FUNCTIONS`."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        return FUNCTIONS[self.name](x)

    def extra_repr(self) -> str:
        return self.name


class Continuous(nn.Module):
    """A lifting to ``angles`` orientations with continuous kernels, without the angles that it returns."""

    def __init__(self, channels: int, angles: int) -> None:
        super().__init__()
        self.channels, self.angles = channels, angles
        self.layer = ours.ContinuousLifting(channels, channels, ours.FixedAngles(angles), kernel_size=3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


class OnPixels(nn.Module):
    """A Lie algebra convolution on the flattened pixels of an image."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.channels, self.height, self.width = channels, height, width
        self.layer = ours.LConv(channels, channels, height * width, 2, rank=3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(2).transpose(1, 2)).transpose(1, 2).view_as(x)


class MirroredConv2d(nn.Conv2d):
    """A convolution whose subclass does something else than its name says."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).flip(-1)


HOOKS: dict[str, Callable[[nn.Module], Any]] = {
    "doubles": lambda layer: layer.register_forward_hook(lambda module, inputs, y: 2 * y),
    "mirrors": lambda layer: layer.register_forward_hook(lambda module, inputs, y: y.flip(-1)),
    "looks": lambda layer: layer.register_forward_hook(lambda module, inputs, y: None),
    "slopes": lambda layer: layer.register_forward_pre_hook(
        lambda module, inputs: (inputs[0] * torch.arange(1, inputs[0].shape[-1] + 1).to(inputs[0]),)
    ),
    "scales gradients": lambda layer: [p.register_hook(torch.sign) for p in layer.parameters()],
    "other forward": lambda layer: setattr(
        layer, "forward", lambda x: type(layer).forward(layer, x).flip(-1)
    ),
    "weight norm": lambda layer: (
        hasattr(layer, "weight") and torch.nn.utils.parametrizations.weight_norm(layer)
    ),
    "pruned": lambda layer: prune.l1_unstructured(layer, "weight", 0.5) if hasattr(layer, "weight") else None,
}


def change(network: nn.Module, layer: str, hook: str) -> None:
    """Do one of `HOOKS` to a layer of a network."""
    HOOKS[hook](network.get_submodule(layer))


def freeze(network: nn.Module, layer: str) -> None:
    """Train this layer no more."""
    network.get_submodule(layer).requires_grad_(False)


def tie(network: nn.Module, first: str, second: str) -> None:
    """Let two parameters be one."""
    parent, _, leaf = second.rpartition(".")
    setattr(network.get_submodule(parent), leaf, network.get_parameter(first))
