"""Correlation with a kernel of its own for each output pixel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

#: Taps of one row of a kernel, next to each other: its row, and the first and last-but-one column.
TapRow = tuple[int, int, int]


def tap_rows(places: Tensor) -> list[TapRow]:
    """Rows of taps that are given row by row, without gaps within a row.

    Shape:
        places: (row, column) of each tap, (T, 2)
    """
    columns: dict[int, list[int]] = {}
    for row, column in places.tolist():
        columns.setdefault(row, []).append(column)
    return [(row, found[0], found[-1] + 1) for row, found in columns.items()]


class _Positionwise(torch.autograd.Function):
    """See `positionwise`. Windows are laid side by side along columns only; rows are reached by shifting."""

    @staticmethod
    def forward(ctx, x: Tensor, rows: Sequence[TapRow], size: tuple[int, int], *kernels: Tensor) -> Tensor:
        height, width = size
        batch, c_in = x.shape[2:]
        side = max(last for _, _, last in rows)
        windows = x.new_empty(len(x), width, batch, side, c_in)
        for column in range(side):
            windows[:, :, :, column] = x[:, column : column + width]
        windows = windows.flatten(3)
        y = x.new_zeros(height * width, batch, kernels[0].shape[2])
        for (row, first, last), kernel in zip(rows, kernels):
            seen = windows[row : row + height].flatten(0, 1)[:, :, first * c_in : last * c_in]
            y.baddbmm_(seen, kernel)
        ctx.save_for_backward(windows, *kernels)
        ctx.rows, ctx.size, ctx.shape = rows, size, x.shape
        return y.view(height, width, batch, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        windows, *kernels = ctx.saved_tensors
        height, width = ctx.size
        grad = grad.contiguous().flatten(0, 1)
        c_in = ctx.shape[3]
        wants_x = ctx.needs_input_grad[0]
        grad_windows = torch.zeros_like(windows) if wants_x else None
        grads = []
        for (row, first, last), kernel in zip(ctx.rows, kernels):
            part = slice(first * c_in, last * c_in)
            seen = windows[row : row + height].flatten(0, 1)[:, :, part]
            grads.append(torch.bmm(seen.transpose(1, 2), grad))
            if wants_x:
                grad_windows[row : row + height].flatten(0, 1)[:, :, part].baddbmm_(
                    grad, kernel.transpose(1, 2)
                )
        grad_x = None
        if wants_x:
            grad_x = grad.new_zeros(ctx.shape)
            side = windows.shape[3] // c_in
            for column in range(side):
                part = slice(column * c_in, (column + 1) * c_in)
                grad_x[:, column : column + width] += grad_windows[..., part]
        return grad_x, None, None, *grads


def positionwise(
    x: Tensor, kernels: Sequence[Tensor], rows: Sequence[TapRow], size: tuple[int, int]
) -> Tensor:
    """Apply one kernel per output pixel: batched matrix products over positions, one for each row of taps.

    Args:
        x: the map, padded already, in pixels-first memory.
        kernels: values at the taps of each row, for each output pixel row by row.
        rows: which taps these are, counted from the corner of the window.
        size: height and width of the output.

    Shape:
        x (height', width', batch, C_in), kernels (height width, taps of the row x C_in, C_out)
        -> (height, width, batch, C_out)
    """
    # under autocast kernels come in 16 bits from a matrix product, a map may not
    return _Positionwise.apply(x.to(kernels[0].dtype), rows, size, *kernels)
