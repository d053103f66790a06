"""Lifting and group convolution by expanding the filters into one dense convolution.

The bank is one gather from the free parameters: index arithmetic done once per layer, no rotation of
activations, one `conv2d` per forward (Cohen and Welling 2016, equations 10 and 11).
"""

from __future__ import annotations

import math
from numbers import Integral

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.algebra.actions import grid_permutation
from shared.algebra.groups import Group, cyclic
from shared.nn.derived import DerivedBuffers
from shared.nn.strided import conv2d

Pair = int | tuple[int, int]
#: What stands outside the map, by the names of `torch.nn.Conv2d`. All treat both ends of an axis alike.
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def pair(value: Pair, name: str, least: int) -> tuple[int, int]:
    """Return ``value`` as (height, width).

    Raises:
        ValueError: if it is not one or two integers of at least ``least``.
    """
    both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(both) != 2 or any(isinstance(v, bool) or not isinstance(v, Integral) or v < least for v in both):
        raise ValueError(f"{name} must be one or two integers of at least {least}, not {value!r}")
    return int(both[0]), int(both[1])


class _RegularConv(DerivedBuffers):
    """What lifting and group convolution share: parameters, checks and the dense convolution."""

    _bank_index: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        *,
        group: Group | None = None,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
    ) -> None:
        super().__init__()
        self.group = group if group is not None else cyclic(4)
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        if self.kernel_size[0] != self.kernel_size[1]:
            raise ValueError(f"kernel_size must be square, not {kernel_size!r}: a turn swaps its sides")
        self.stride, self.dilation = pair(stride, "stride", 1), pair(dilation, "dilation", 1)
        self.padding = pair(padding, "padding", 0)
        if padding_mode not in PADDING_MODES:
            raise ValueError(f"padding_mode must be one of {', '.join(PADDING_MODES)}, not {padding_mode!r}")
        self.padding_mode = padding_mode
        if min(in_channels, out_channels, groups) < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"in_channels={in_channels} and out_channels={out_channels} must be positive "
                f"multiples of groups={groups}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        free = (out_channels, in_channels // groups, *self._free_axes(), *self.kernel_size)
        self.weight = nn.Parameter(torch.empty(free))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.derive("_bank_index", self._index)
        self.reset_parameters()

    def _free_axes(self) -> tuple[int, ...]:
        raise NotImplementedError

    def _index(self) -> Tensor:
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Uniform in +-1/sqrt(in_channels / groups k^2); the orientations of the input are not in the fan-in.

        This is the initialization of the released p4 networks (subsampling paper, authors' code).
        """
        bound = 1 / math.sqrt(self.weight.shape[1] * self.kernel_size[0] * self.kernel_size[1])
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def _dense(self, x: Tensor, bank: Tensor) -> Tensor:
        """Convolve (batch, channels, height, width) with the bank; return the five-dimensional features."""
        order = self.group.order
        bias = None if self.bias is None else self.bias.repeat_interleave(order)
        padding = self.padding
        if self.padding_mode != "zeros":
            height, width = padding
            x, padding = F.pad(x, (width, width, height, height), mode=self.padding_mode), (0, 0)
        y = conv2d(x, bank, bias, self.stride, padding, self.dilation, self.groups)
        return y.unflatten(1, (self.out_channels, order))

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"group={self.group.name}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, bias={self.bias is not None}, padding_mode={self.padding_mode}"
        )


class LiftingConv(_RegularConv):
    """Convolution from an image to regular features of a group of quarter turns and mirrors.

    ``y[b, o, g] = bias[o] + sum_c x[b, c] * (g . weight[o, c])`` (cross-correlation).

    Equivariant to the group (C1, C2, C4, D1, D2 or D4): exact when (size + 2 padding - K) is divisible by
    the stride on both axes, K = dilation (kernel_size - 1) + 1, and stride, padding and dilation are the
    same on both axes; otherwise approximate (see `shared.atlas`).

    Args:
        in_channels: channels of the image.
        out_channels: regular fields out.
        kernel_size: side of the square filter.
        group: the point group; C4 (p4) if not given, `dihedral(4)` for p4m.
        stride: step of the output grid, as in `torch.nn.Conv2d`; so are padding, dilation and groups.
        padding: pixels added on each side.
        dilation: distance between filter taps.
        groups: blocks of channels that do not see each other.
        bias: one bias per output field, shared by all orientations.
        padding_mode: what the added pixels hold, "zeros", "reflect", "replicate" or "circular". Each adds the
            same to both ends of an axis, so none changes which sizes are exact.

    Shape:
        in  (batch, in_channels, height, width)
        out (batch, out_channels, |G|, height', width')

    Raises:
        ValueError: on a kernel that is not square or arguments that do not fit together.
    """

    def _free_axes(self) -> tuple[int, ...]:
        return ()

    def _index(self) -> Tensor:
        return grid_permutation(self.group, self.kernel_size[0]).reshape(-1)

    def filter_bank(self) -> Tensor:
        """Dense filters, shape (out_channels |G|, in_channels / groups, k, k)."""
        out, channels, *side = self.weight.shape
        order = self.group.order
        turned = self.weight.flatten(2)[:, :, self._bank_index].view(out, channels, order, *side)
        return turned.transpose(1, 2).reshape(out * order, channels, *side)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(
                f"LiftingConv expects (batch, {self.in_channels}, height, width), not {tuple(x.shape)}"
            )
        return self._dense(x, self.filter_bank())


class GroupConv(_RegularConv):
    """Convolution from regular features to regular features.

    ``y[b, o, g] = bias[o] + sum_{c, h} x[b, c, h] * (g . weight[o, c, g^-1 h])`` (cross-correlation).

    Equivariance, arguments and errors as in `LiftingConv`.

    Shape:
        in  (batch, in_channels, |G|, height, width)
        out (batch, out_channels, |G|, height', width')
    """

    def _free_axes(self) -> tuple[int, ...]:
        return (self.group.order,)

    def _index(self) -> Tensor:
        group, taps = self.group, self.kernel_size[0] ** 2
        turned = grid_permutation(group, self.kernel_size[0])  # (g, tap)
        relative = torch.tensor(group.table[group.inverse])  # (g, h) -> g^-1 h
        return (relative[:, :, None] * taps + turned[:, None, :]).reshape(-1)

    def filter_bank(self) -> Tensor:
        """Dense filters, shape (out_channels |G|, in_channels |G| / groups, k, k)."""
        out, channels, order, *side = self.weight.shape
        bank = self.weight.flatten(2)[:, :, self._bank_index].view(out, channels, order, order, *side)
        return bank.transpose(1, 2).reshape(out * order, channels * order, *side)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 5 or x.shape[1:3] != (self.in_channels, self.group.order):
            raise ValueError(
                f"GroupConv expects (batch, {self.in_channels}, {self.group.order}, height, width), "
                f"not {tuple(x.shape)}"
            )
        return self._dense(x.flatten(1, 2), self.filter_bank())
