"""Arithmetic in float64, to see whether a maximum absorbs what a layer breaks.

The field knows that maxima of maxima are maxima, but not order: ``max(a, (a + b) / 2, b) = max(a, b)``. So
what it calls broken is looked at again with real numbers if there are maxima, on draws that tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

from shared.atlas.layers import Layer
from shared.atlas.maps import Arithmetic, Map, generator

_ROUNDING = 1e-9
_SPIKE = 6.0
#: Arguments of activations that have no defaults.
_ARGUMENTS = {"clamp": (-0.5, 0.7), "threshold": (0.3, -1.0)}


def curve(name: str, values: Tensor, seed: str, arguments: tuple[float, ...] = ()) -> Tensor:
    """Apply an activation by name; a wave stands for those that have no single form."""
    if name == "prelu":
        slope = torch.randn(len(values), 1, 1, 1, 1, generator=generator(seed), dtype=values.dtype)
        return torch.where(values < 0, slope * values, values)
    if name == "channel_max":  # of one channel
        return values
    if name in _ARGUMENTS:
        arguments = arguments or _ARGUMENTS[name]
    if name in ("pow", "softmax", "log_softmax"):
        return torch.sin(3 * values + 1)
    function = getattr(F, name, None) or getattr(torch, name)
    return torch.nan_to_num(function(values, *arguments))


class Reals(Arithmetic):
    """Float64 in as many lanes as asked for; each round draws anew.

    Inputs are, lane by lane in turn: normal about a random mean; the same with heavy tails; a single high
    pixel above negative ones; a single low pixel below positive ones. Half of the single pixels lie on the
    border, where remainders are.
    """

    def __init__(self, lanes: int, number: int) -> None:
        self.lanes, self.round = lanes, f" round {number}"

    def draw(self, seed: str, shape: tuple[int, ...]) -> Tensor:
        scale = (2 / max(1, torch.Size(shape[1:]).numel())) ** 0.5
        return scale * torch.randn(shape, generator=generator(seed + self.round), dtype=torch.float64)

    def inputs(self, seed: str, shape: tuple[int, ...]) -> Tensor:
        numbers = generator(seed + self.round)
        x = torch.randn(shape, generator=numbers, dtype=torch.float64)
        x[1::4] = x[1::4] ** 3
        x[:, :] += 2 * torch.randn(shape[0], 1, 1, 1, 1, generator=numbers, dtype=torch.float64)
        height, width = shape[-2:]
        for lane in range(shape[0]):
            if lane % 4 > 1:
                sign = 1.0 if lane % 4 == 2 else -1.0
                row, column = (self._position(n, numbers) for n in (height, width))
                x[lane] = -sign * x[lane].abs()
                x[lane, ..., row, column] = sign * _SPIKE
        return x

    @staticmethod
    def _position(size: int, numbers: torch.Generator) -> int:
        ends = int(torch.randint(4, (), generator=numbers))
        return {0: 0, 1: size - 1}.get(ends, int(torch.randint(size, (), generator=numbers)))

    def reduce(self, values: Tensor) -> Tensor:
        return values

    def matrix(self, rows: Sequence[Sequence[tuple[int, Fraction]]], size: int) -> Tensor:
        dense = torch.zeros(len(rows), size, dtype=torch.float64)
        for j, entries in enumerate(rows):
            for column, value in entries:
                dense[j, column] += float(value)
        return dense

    def convolve(self, x: Tensor, bank: Tensor, layer: Layer) -> Tensor:
        lanes, out = bank.shape[:2]
        y = F.conv2d(
            x.reshape(1, -1, *x.shape[-2:]), bank.flatten(0, 1), None, layer.stride, 0, layer.dilation, lanes
        )
        return y.view(lanes, out, *y.shape[-2:])

    def activate(self, x: Map, layer: Layer, seed: str) -> Map:
        return Map(curve(layer.curve, x.values, seed + self.round, layer.arguments), x.group)

    def scale(self, x: Map, factors: Tensor | float, summands: Tensor | float, rising: bool) -> Map:
        return Map(x.values * factors + summands, x.group)

    def known(self, values: Tensor) -> Tensor:
        return values

    def draw_positive(self, seed: str, shape: tuple[int, ...]) -> Tensor:
        return self.draw(seed, shape).abs()

    def normalize(self, values: Tensor, dims: tuple[int, ...], centered: bool, seed: str) -> Tensor:
        center = values.mean(dims, keepdim=True)
        if not centered:  # a norm over several channels, of which there is one here
            center = center + 0.3 * values.abs().mean(dims, keepdim=True)
        return (values - center) / ((values - center).square().mean(dims, keepdim=True) + 1e-5).sqrt()

    def maximum(self, x: Map, rows: Tensor, columns: Tensor) -> Map:
        """Axis by axis: the maximum over a rectangle is that over its rows of those over its columns."""
        lowest = torch.tensor(-torch.inf, dtype=torch.float64)
        tall = torch.stack([x.values[..., row, :].amax(-2) for row in rows], -2)
        wide = torch.stack([torch.where(column, tall, lowest).amax(-1) for column in columns], -1)
        return Map(wide, x.group)

    def copy(self, x: Map, values: Tensor, rows: Tensor, columns: Tensor) -> Map:
        return Map(values, x.group)

    def pool_orientations(self, x: Map) -> Map:
        return Map(x.values.amax(2, keepdim=True))

    def differs(self, before: Tensor, after: Tensor) -> Tensor:
        gap, scale = ((t.flatten(1)).abs().amax(1) for t in (before - after, before))
        return gap > _ROUNDING * scale
