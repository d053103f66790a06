"""Which way to correlate a map with a dense kernel, and the way by gathered windows.

All ways agree to rounding. ``direct`` is torch's convolution of (batch, channels, height, width);
``gathered`` copies the windows side by side for one matrix product over the taps that there are; ``spectral``
and ``half_turn`` are `shared.nn.spectral` and `shared.nn.half_turn`. All but the first work on maps in
pixels-first memory, (height, width, batch, channels).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

Way = Literal["direct", "gathered", "spectral", "half_turn"]
#: Those for any kernel, and the one for kernels that commute with half turns.
WAYS, SYMMETRIC_WAYS = ("direct", "gathered", "spectral"), ("half_turn",)


def choose(
    batch: int,
    c_in: int,
    c_out: int,
    size: tuple[int, int],
    radius: int,
    taps: int,
    padding: str,
    border: str,
    symmetric: bool = False,
) -> Way:
    """The cheapest way on a CPU, by multiplications and rates measured on one core (AVX-512).

    Args:
        batch: images.
        c_in: channels in, times angles.
        c_out: channels out, times angles.
        size: height and width of the input.
        radius: of the square of taps.
        taps: that are not 0.
        padding: ``same`` or ``valid``.
        border: ``zeros`` or ``replicate``.
        symmetric: whether the kernel commutes with half turns.
    """
    shrink = 2 * radius if padding == "valid" else 0
    pixels = (size[0] - shrink) * (size[1] - shrink)
    pairs = c_in * c_out
    grow = 0 if padding == "valid" else radius if border == "zeros" else 2 * radius
    rows, columns = size[0] + grow, size[1] + grow
    frequencies = (rows // 2 + 1) * columns
    transforms = 2 * frequencies * columns * batch * (c_in + c_out)
    dense = pixels * (2 * radius + 1) ** 2 * batch * pairs
    costs: dict[Way, float] = {  # milliseconds of a step; a dense convolution is slow at few pixels
        "direct": dense * (1 + 8 / pixels) / 22e6,
        "gathered": pixels * taps * batch * (pairs + 30 * c_in) / 9.5e6,
        "spectral": 1 + 3 * (frequencies * (batch + taps) * pairs + transforms) / 10e6,
    }
    if symmetric:
        costs["half_turn"] = 1 + 2 * (frequencies * (batch + taps / 2) * pairs + transforms) / 9e6
    return min(costs, key=costs.__getitem__)


def pixels_first(x: Tensor) -> Tensor:
    """(batch, C, n, height, width) as (height, width, batch, n C), the angles outside the channels."""
    return x.permute(3, 4, 0, 2, 1).flatten(3)


def pixels_last(y: Tensor, angles: int) -> Tensor:
    """The inverse of `pixels_first`, as a view: the memory stays pixels first."""
    return y.unflatten(3, (angles, -1)).permute(2, 4, 3, 0, 1)


class _Windows(torch.autograd.Function):
    """(height', width', batch, C) -> (height, width, batch, T C), the taps side by side."""

    @staticmethod
    def forward(ctx, x: Tensor, places: list[tuple[int, int]], size: tuple[int, int]) -> Tensor:
        ctx.shape, ctx.places = x.shape, places
        height, width = size
        windows = x.new_empty(height, width, x.shape[2], len(places), x.shape[3])
        for t, (row, column) in enumerate(places):
            windows[:, :, :, t] = x[row : row + height, column : column + width]
        return windows.flatten(3)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:
        height, width = grad.shape[:2]
        grad = grad.unflatten(3, (len(ctx.places), -1))
        total = grad.new_zeros(ctx.shape)
        for t, (row, column) in enumerate(ctx.places):
            total[row : row + height, column : column + width] += grad[:, :, :, t]
        return total, None, None


def padded(x: Tensor, radius: int, border: str) -> Tensor:
    """(height, width, ...) with a border of ``radius`` pixels."""
    if border == "zeros":
        return F.pad(x, (0, 0) * (x.dim() - 2) + (radius,) * 4)
    rows, columns = (torch.arange(-radius, s + radius, device=x.device).clamp_(0, s - 1) for s in x.shape[:2])
    return x[rows][:, columns]


def gathered(x: Tensor, kernel: Tensor, offsets: Tensor, radius: int, padding: str, border: str) -> Tensor:
    """Correlate: ``y[u] = sum_t x[u + offsets[t]] kernel[t]``; arguments as in `shared.nn.spectral`.

    Shape:
        x (height, width, batch, C_in), kernel (T, C_in, C_out) -> (height', width', batch, C_out)
    """
    if padding == "same":
        x = padded(x, radius, border)
    size = (x.shape[0] - 2 * radius, x.shape[1] - 2 * radius)
    places = [(row, column) for row, column in (offsets + radius).tolist()]
    return _Windows.apply(x, places, size) @ kernel.flatten(0, 1)
