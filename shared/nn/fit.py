"""A layer that changes the size of a map by a few pixels, so that the next layer's stride divides it."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from shared.nn.conv import Pair, pair
from shared.nn.pool import on_pixels

MODES = ("resize", "mean", "max")


def fitted_size(size: int, reach: int, stride: int, padding: int, grow: bool) -> int:
    """Size near ``size`` at which a layer leaves no remainder: stride divides (size + padding - reach).

    Args:
        size: pixels on one axis.
        reach: pixels from the first to the last tap of the layer's window.
        stride: of the layer.
        padding: of the layer, both ends together.
        grow: whether the size may grow. Then the nearest size is taken, the larger of two equally near ones
            (32 becomes 33, as in the paper); else the next smaller one.
    """
    remainder = (size + padding - reach) % stride
    if remainder == 0:
        return size
    smaller, larger = size - remainder, size - remainder + stride
    too_small = smaller < 1 or smaller + padding < reach
    return larger if grow and (too_small or larger - size <= remainder) else smaller


class FitStride(nn.Module):
    """Fit the size of a map to the stride of the layer that follows, so that this layer stays exact.

    A layer of stride s whose window spans K pixels is exact for quarter turns and mirrors iff r = (size + 2
    padding - K) mod s is 0 (subsampling paper, Eq. 3, with the padding). Where r is 0 this layer does
    nothing; elsewhere it takes the map to a size at which r is 0. It has no parameters, and is itself exact
    at every size, because it treats both ends of an axis alike:

    - "resize": bilinear interpolation with half-pixel centers, to the nearest such size, the larger of two;
    - "mean", "max": the mean or maximum over each r + 1 neighbors on an axis, which leaves size - r pixels.
      The layer that follows makes as many outputs as without, and its windows move to the center of the map.
      Before a max pool "max" widens the pool's windows by r: a 2x2 pool of stride 2 is a 3x3 one at odd
      sizes.

    Args:
        kernel_size, stride, padding, dilation: of the layer that follows.
        mode: "resize", "mean" or "max".

    Shape:
        in  (batch, channels, |G|, height, width) or (batch, channels, height, width)
        out the same with height', width'

    Raises:
        ValueError: on another mode, or if a map is too small to take r pixels away.
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair,
        padding: Pair = 0,
        dilation: Pair = 1,
        *,
        mode: Literal["resize", "mean", "max"] = "resize",
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
        self.kernel_size, self.stride = pair(kernel_size, "kernel_size", 1), pair(stride, "stride", 1)
        self.padding, self.dilation = pair(padding, "padding", 0), pair(dilation, "dilation", 1)
        self.mode = mode

    def _fitted(self, axis: int, size: int) -> int:
        reach = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
        return fitted_size(size, reach, self.stride[axis], 2 * self.padding[axis], self.mode == "resize")

    def forward(self, x: Tensor) -> Tensor:
        now = tuple(x.shape[-2:])
        size = self._fitted(0, now[0]), self._fitted(1, now[1])
        if size == now:
            return x
        if min(size) < 1:
            raise ValueError(f"a map of {now[0]}x{now[1]} pixels is too small for the stride {self.stride}")
        return on_pixels(lambda maps: self._change(maps, size), x, "FitStride")

    def _change(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        if self.mode == "resize":
            return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        windows = x.shape[-2] - size[0] + 1, x.shape[-1] - size[1] + 1
        return (F.max_pool2d if self.mode == "max" else F.avg_pool2d)(x, windows, stride=1)

    def extra_repr(self) -> str:
        geometry = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return f"{geometry}, dilation={self.dilation}, mode={self.mode}"
