"""What a layer reads on one axis: windows of pixels, and their weights as fractions for what is linear.

Pools, resizing and padding treat the axes alike and separately, so one small table for each axis says all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from shared.atlas.layers import Layer
from shared.base.errors import UserError

Rows = Sequence[Sequence[tuple[int, Fraction]]]
RESIZES = ("nearest", "nearest-exact", "bilinear", "bicubic", "area")
PADS = ("zeros", "reflect", "replicate", "circular")
_LARGEST_DENOMINATOR = 1_000_000


@lru_cache(maxsize=256)
def taps(layer: Layer, axis: int, size: int) -> Tensor:
    """Pixel under each tap of each window, -1 for padding.

    Shape:
        the result is ``(windows, taps)``, ``int64``.
    """
    count = layer.out_size(axis, size)
    start = torch.arange(count)[:, None] * layer.stride[axis] - layer.padding[axis][0]
    index = start + torch.arange(layer.kernel[axis]) * layer.dilation[axis]
    return torch.where((index >= 0) & (index < size), index, -1)


@lru_cache(maxsize=256)
def windows(layer: Layer, axis: int, size: int, out: int) -> Tensor:
    """Pixels whose maximum or mean each output takes, for pools of every kind.

    Shape:
        the result is ``(out, size)``, ``bool``.
    """
    if not layer.windowed:
        return _adaptive(size, out)
    index = taps(layer, axis, size)
    read = torch.zeros(out, size + 1, dtype=torch.bool)
    read.scatter_(1, torch.where(index < 0, size, index), True)
    return read[:, :size]


def _adaptive(size: int, out: int) -> Tensor:
    """Windows [floor(j n / o), ceil((j + 1) n / o)) of an adaptive pool."""
    j, pixel = torch.arange(out)[:, None], torch.arange(size)
    return (pixel >= j * size // out) & (pixel < ((j + 1) * size + out - 1) // out)


@lru_cache(maxsize=256)
def weights(layer: Layer, axis: int, size: int, out: int) -> Rows:
    """What average pools, resizing and padding do on one axis: for each output its pixels and their weights.

    Raises:
        UserError: on a mode that is not known, or padding that does not fit the size.
    """
    if layer.kind == "resize" and layer.mode != "area":
        return _resize(layer, axis, size, out)
    if layer.kind == "pad":
        return _pad(layer, axis, size)
    if layer.kind == "slice":
        return [[(pixel, Fraction(1))] for pixel in layer.picked(axis, size)]
    read = windows(layer.key, axis, size, out)
    divisors = _divisors(layer, axis, size, read.sum(1)) if layer.windowed else read.sum(1).tolist()
    return [[(i, Fraction(1, d)) for i in row.nonzero()[:, 0].tolist()] for row, d in zip(read, divisors)]


def _divisors(layer: Layer, axis: int, size: int, inside: Tensor) -> list[int]:
    """Pixels that each window of an average pool counts: the fixed divisor is all put on axis 0."""
    if layer.divisor is not None:
        return [layer.divisor if axis == 0 else 1] * len(inside)
    if not layer.count_padding:
        return inside.tolist()
    low, high = layer.padding[axis]
    starts = [j * layer.stride[axis] - low for j in range(len(inside))]
    return [min(start + layer.kernel[axis], size + high) - start for start in starts]  # ceil mode clips there


def _pad(layer: Layer, axis: int, size: int) -> Rows:
    mode = layer.mode or "zeros"
    if mode not in PADS:
        raise UserError(f"padding mode {mode!r} of {layer.name!r} is not known; known are {', '.join(PADS)}")
    low, high = layer.padding[axis]
    pixels = torch.arange(1, size + 1, dtype=torch.float64)[None, None]
    filled = {"zeros": "constant"}.get(mode, mode)
    try:
        index = F.pad(pixels, (low, high), mode=filled)[0, 0].long() - 1
    except RuntimeError as error:
        raise UserError(
            f"layer {layer.name!r} cannot pad {size} pixels by {low} and {high} ({error})"
        ) from None
    return [[(i, Fraction(1))] if i >= 0 else [] for i in index.tolist()]


def _resize(layer: Layer, axis: int, size: int, out: int) -> Rows:
    if layer.mode not in RESIZES:
        raise UserError(f"{layer.name!r} resizes by {layer.mode!r}; the atlas knows {', '.join(RESIZES)}")
    if layer.mode.startswith("nearest"):
        return _nearest(layer, axis, size, out)
    cubic = layer.mode == "bicubic"
    return [_interpolate(source, size, cubic) for source in _sources(layer, axis, size, out)]


def _nearest(layer: Layer, axis: int, size: int, out: int) -> Rows:
    """Ask torch itself, whose index is rounded in single precision."""
    pixels = torch.arange(size, dtype=torch.float64)[None, None]
    factor = None if layer.scale is None else layer.scale[axis]
    target = {"size": out} if factor is None else {"scale_factor": factor}
    index = F.interpolate(pixels, mode=layer.mode, **target)[0, 0].long()
    return [[(i, Fraction(1))] if i >= 0 else [] for i in index.tolist()]


def _sources(layer: Layer, axis: int, size: int, out: int) -> list[Fraction]:
    """Where each output pixel lies on the input axis, in input pixels, as torch computes it."""
    if layer.align_corners:
        return [Fraction(j * (size - 1), out - 1) if out > 1 else Fraction(0) for j in range(out)]
    step = Fraction(size, out)
    if layer.scale is not None:  # the given factor counts, not the ratio of the rounded sizes
        step = Fraction(1 / layer.scale[axis]).limit_denominator(_LARGEST_DENOMINATOR)
    source = [step * (j + Fraction(1, 2)) - Fraction(1, 2) for j in range(out)]
    return source if layer.mode == "bicubic" else [max(s, Fraction(0)) for s in source]


def _interpolate(source: Fraction, size: int, cubic: bool) -> list[tuple[int, Fraction]]:
    """Pixels and weights; pixels beyond the edge are the edge's."""
    left = math.floor(source)
    t = source - left
    weights = [(left, 1 - t), (left + 1, t)]
    if cubic:
        weights = [(left + i, _cubic(abs(t - i))) for i in range(-1, 3)]
    return [(min(max(pixel, 0), size - 1), weight) for pixel, weight in weights]


def _cubic(x: Fraction) -> Fraction:
    """Keys' kernel with a = -3/4, as torch's."""
    a = Fraction(-3, 4)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4)
