"""Correlation with a kernel of its own for each output pixel."""

from __future__ import annotations

import torch
from torch import Tensor


def positionwise(x: Tensor, kernels: Tensor, places: Tensor, size: tuple[int, int]) -> Tensor:
    """Apply one kernel per output pixel: a batched matrix product over positions.

    Args:
        x: the map, padded already, in pixels-first memory.
        kernels: values at T taps for each output pixel, row by row.
        places: (row, column) of each tap in the window, counted from its corner, int64, (T, 2).
        size: height and width of the output.

    Shape:
        x (height', width', batch, C_in), kernels (height width, T, C_in, C_out)
        -> (height, width, batch, C_out)
    """
    height, width = size
    windows = [x[r : r + height, c : c + width] for r, c in places.tolist()]
    unfolded = torch.stack(windows, 3).flatten(3).flatten(0, 1)
    return torch.bmm(unfolded, kernels.flatten(1, 2)).view(height, width, -1, kernels.shape[-1])
