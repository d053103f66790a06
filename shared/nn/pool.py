"""Spatial pools that leave the orientations alone, and the pool over the group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.nn.conv import Pair, pair


def on_pixels(function: Callable[[Tensor], Tensor], x: Tensor, name: str) -> Tensor:
    """Apply a function of images to an image, or to each orientation of regular features.

    Shape:
        in and out (batch, channels, height, width) or (batch, channels, |G|, height, width)

    Raises:
        ValueError: if ``x`` has other axes; the sentence names the layer ``name``.
    """
    if x.dim() not in (4, 5):
        raise ValueError(f"{name} expects four or five axes, not shape {tuple(x.shape)}")
    if x.dim() == 4:
        return function(x)
    return function(x.flatten(1, 2)).unflatten(1, x.shape[1:3])


class _SpatialPool(nn.Module):
    def __init__(
        self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, *, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else pair(stride, "stride", 1)
        self.padding = pair(padding, "padding", 0)
        self.dilation = (1, 1)
        self.ceil_mode = ceil_mode
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size)):
            raise ValueError(f"padding {padding!r} must be at most half of kernel_size {kernel_size!r}")

    def _pool(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        return on_pixels(self._pool, x, type(self).__name__)

    def extra_repr(self) -> str:
        window = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return f"{window}, ceil_mode={self.ceil_mode}"


class SpatialMaxPool(_SpatialPool):
    """Maximum over windows of pixels, orientation by orientation.

    Exact for quarter turns and mirrors when (size + 2 padding - kernel_size) is divisible by the stride
    on both axes and the layer is the same on both; otherwise approximate (subsampling paper, Eq. 3).

    Shape:
        in  (batch, channels, |G|, height, width) or (batch, channels, height, width)
        out the same with height', width'

    Raises:
        ValueError: on sizes below their least, padding of more than half a window, another shape of input.
    """

    def _pool(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding, ceil_mode=self.ceil_mode)


class SpatialAvgPool(_SpatialPool):
    """Mean over windows of pixels, orientation by orientation; padding counts as zeros.

    Exactness, shape and errors as in `SpatialMaxPool`.
    """

    def _pool(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode)


class _PixelMean(torch.autograd.Function):
    """`Tensor.mean` over the last two axes, whose gradient is a view.

    Torch's own gradient is a contiguous tensor. Behind activations in channels_last memory, the next
    layer's backward pass would then walk through two memory orders at once: slower than the convolution.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.mean((-2, -1))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.shape = inputs[0].shape

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        height, width = ctx.shape[-2:]
        return (grad / (height * width))[..., None, None].expand(ctx.shape)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        return tangent.mean((-2, -1))


class GlobalAvgPool(nn.Module):
    """Mean over all pixels; exact for every symmetry of the grid, of any size.

    Shape:
        in  (..., height, width)
        out (...)
    """

    def forward(self, x: Tensor) -> Tensor:
        return _PixelMean.apply(x)


class GroupPool(nn.Module):
    """Pool over the group (coset pooling): turns equivariant features into features of the plain image.

    Exact always. After a global pool its output is invariant.

    Args:
        mode: "max" or "mean".

    Shape:
        in  (batch, channels, |G|, ...)
        out (batch, channels, ...)

    Raises:
        ValueError: on another mode, or an input with fewer than three axes.
    """

    def __init__(self, mode: Literal["max", "mean"] = "max") -> None:
        super().__init__()
        if mode not in ("max", "mean"):
            raise ValueError(f"mode must be 'max' or 'mean', not {mode!r}")
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() < 3:
            raise ValueError(f"GroupPool expects (batch, channels, |G|, ...), not {tuple(x.shape)}")
        return x.amax(2) if self.mode == "max" else x.mean(2)

    def extra_repr(self) -> str:
        return self.mode
