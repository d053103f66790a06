"""Correlation with a kernel of its own for each output pixel."""

from __future__ import annotations

import torch
from torch import Tensor


def positionwise(x: Tensor, kernels: Tensor, places: Tensor, size: tuple[int, int]) -> Tensor:
    """Apply one kernel per output pixel: a batched matrix product over positions.

    Args:
        x: the map, padded already.
        kernels: values at T taps for each output pixel, row by row.
        places: (row, column) of each tap in the window, counted from its corner, int64, (T, 2).
        size: height and width of the output.

    Shape:
        x (batch, C_in, n_in, height', width'), kernels (height width, T, n_in, C_in, n_out, C_out)
        -> (batch, C_out, n_out, height, width)
    """
    height, width = size
    n_out, c_out = kernels.shape[-2:]
    x = x.permute(3, 4, 0, 2, 1).flatten(3)  # pixels first
    windows = [x[r : r + height, c : c + width] for r, c in places.tolist()]
    unfolded = torch.stack(windows, 3).flatten(3).flatten(0, 1)
    y = torch.bmm(unfolded, kernels.flatten(4).flatten(1, 3))
    return y.view(height, width, -1, n_out, c_out).permute(2, 4, 3, 0, 1)
