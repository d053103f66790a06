"""Correlation of a map with a dense kernel by small Fourier matrices, in real numbers.

Maps stay in memory as pixels, batch, channels, so that each transform is one matrix product with all images
and channels as columns: no FFT and no transposed copies. The padding is part of the transform's matrix. A
product of complex numbers takes three real ones, ``a c``, ``b d`` and ``(a + b)(c + d)``; the sums before and
after are part of the matrices, too. So the whole is ``y = G [(D k) * (R x)]`` with real matrices R, D and G
and, for each of 3 x frequencies, a product of (batch, C_in) and (C_in, C_out) matrices; its gradients are the
transposed products.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Axis = tuple[int, int]


@dataclass(frozen=True)
class _Row:
    """One frequency of the rows: where it lies in the transformed rows, and its matrices along columns.

    Attributes:
        start, parts: its rows in the row transform: real part, and imaginary part unless that is 0.
        analysis: R, (3 Q, parts width): real part, imaginary part and their sum at Q frequencies.
        taps: D, (3 Q, T), the same of the kernel.
        synthesis: G, (parts width', 3 Q).
    """

    start: int
    parts: int
    analysis: Tensor
    taps: Tensor
    synthesis: Tensor


@dataclass(frozen=True)
class _Plan:
    """Matrices for one size of map: ``first`` (parts, height) and ``last`` (height', parts), and the rows."""

    first: Tensor
    last: Tensor
    rows: tuple[_Row, ...]
    size: Axis


def border_matrix(side: int, radius: int, padding: str, border: str) -> tuple[Tensor, int, int]:
    """The padding of one axis as a matrix (padded, side), the place of tap 0, and the size of the output."""
    if padding == "valid":
        return torch.eye(side, dtype=torch.float64), radius, side - 2 * radius
    if border == "zeros":  # the circle is longer by the radius, so that what wraps around meets zeros
        return torch.eye(side + radius, side, dtype=torch.float64), 0, side
    places = torch.arange(-radius, side + radius).clamp(0, side - 1)
    return torch.eye(side, dtype=torch.float64)[places], radius, side


def waves(frequencies: Tensor, places: Tensor, period: int) -> Tensor:
    """exp(2 pi i f x / period), complex128, (frequencies, places)."""
    phase = (frequencies[:, None] * places[None] % period).double() * (2 * math.pi / period)
    return torch.polar(torch.ones_like(phase), phase)


def _threefold(real: Tensor, imaginary: Tensor) -> Tensor:
    return torch.cat([real, imaginary, real + imaginary])


@functools.lru_cache(maxsize=64)
def _plan(
    size: Axis,
    offsets: tuple[Axis, ...],
    radius: int,
    padding: str,
    border: str,
    dtype: torch.dtype,
    device: torch.device,
) -> _Plan:
    pad_rows, origin, height = border_matrix(size[0], radius, padding, border)
    pad_columns, _, width = border_matrix(size[1], radius, padding, border)
    periods = (len(pad_rows), len(pad_columns))
    taps = torch.tensor(offsets) + origin
    first, last, rows, start = [], [], [], 0
    for p in range(periods[0] // 2 + 1):
        f = torch.tensor([p])
        own = 2 * p % periods[0] == 0  # its own conjugate: real rows, and half of the columns' frequencies
        q = torch.arange(periods[1] // 2 + 1 if own else periods[1])
        weight = torch.full((len(q),), 1.0 if not own else 2.0, dtype=torch.float64)
        if own:
            weight[2 * q % periods[1] == 0] = 1.0
        else:
            weight *= 2
        weight /= periods[0] * periods[1]
        down = waves(f, torch.arange(periods[0]), periods[0]).conj() @ pad_rows.to(torch.complex128)
        first += [down.real] if own else [down.real, down.imag]
        up = waves(f, torch.arange(height), periods[0]).T
        last += [up.real] if own else [up.real, -up.imag]  # the real part of a product
        along = waves(q, torch.arange(periods[1]), periods[1]).conj() @ pad_columns.to(torch.complex128)
        analysis = along if own else torch.cat([along, 1j * along], 1)
        kernel = waves(f, taps[:, 0], periods[0]) * waves(q, taps[:, 1], periods[1])
        back = waves(q, torch.arange(width), periods[1]).T * weight
        # with products P1, P2, P3: real part P1 - P2, imaginary part P3 - P1 - P2
        real = torch.cat([back.real + back.imag, -back.real + back.imag, -back.imag], 1)
        imaginary = torch.cat([back.imag - back.real, -back.imag - back.real, back.real], 1)
        rows.append(
            _Row(
                start,
                1 if own else 2,
                *(
                    m.to(device, dtype).contiguous()
                    for m in (
                        _threefold(analysis.real, analysis.imag),
                        _threefold(kernel.real, kernel.imag),
                        real if own else torch.cat([real, imaginary]),
                    )
                ),
            )
        )
        start += 1 if own else 2
    matrices = (m.to(device, dtype).contiguous() for m in (torch.cat(first), torch.cat(last, 1)))
    return _Plan(*matrices, tuple(rows), (height, width))


class _Correlation(torch.autograd.Function):
    """See `spectral`; x (height, width, batch, C_in), kernel (T, C_in, C_out)."""

    @staticmethod
    def forward(ctx, x: Tensor, kernel: Tensor, plan: _Plan) -> Tensor:
        height, width, batch, c_in = x.shape
        taps, _, c_out = kernel.shape
        flat = kernel.view(taps, -1)
        rows = (plan.first @ x.view(height, -1)).view(-1, width, batch * c_in)
        out = x.new_empty(plan.last.shape[1], plan.size[1], batch * c_out)
        for row in plan.rows:
            mine = slice(row.start, row.start + row.parts)
            spectrum = (row.analysis @ rows[mine].view(row.parts * width, -1)).view(-1, batch, c_in)
            filters = (row.taps @ flat).view(-1, c_in, c_out)
            product = torch.bmm(spectrum, filters).view(-1, batch * c_out)
            torch.mm(row.synthesis, product, out=out[mine].view(row.parts * plan.size[1], -1))
        ctx.save_for_backward(x, kernel)
        ctx.plan = plan
        return (plan.last @ out.view(len(out), -1)).view(*plan.size, batch, c_out)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, kernel = ctx.saved_tensors
        plan, (wants_x, wants_kernel, _) = ctx.plan, ctx.needs_input_grad
        height, width, batch, c_in = x.shape
        taps, _, c_out = kernel.shape
        flat, grad = kernel.view(taps, -1), grad.contiguous()
        rows = (plan.first @ x.view(height, -1)).view(-1, width, batch * c_in) if wants_kernel else None
        grads = (plan.last.T @ grad.view(len(grad), -1)).view(-1, plan.size[1], batch * c_out)
        grad_rows = x.new_empty(len(plan.first), width, batch * c_in) if wants_x else None
        grad_kernel = torch.zeros_like(flat) if wants_kernel else None
        for row in plan.rows:
            mine = slice(row.start, row.start + row.parts)
            product = row.synthesis.T @ grads[mine].view(row.parts * plan.size[1], -1)
            product = product.view(-1, batch, c_out)
            if wants_kernel:
                spectrum = (row.analysis @ rows[mine].view(row.parts * width, -1)).view(-1, batch, c_in)
                found = torch.bmm(spectrum.transpose(1, 2), product)
                grad_kernel.addmm_(row.taps.T, found.view(len(found), -1))
            if wants_x:
                filters = (row.taps @ flat).view(-1, c_in, c_out)
                found = torch.bmm(product, filters.transpose(1, 2)).view(-1, batch * c_in)
                torch.mm(row.analysis.T, found, out=grad_rows[mine].view(row.parts * width, -1))
        grad_x = plan.first.T @ grad_rows.view(len(grad_rows), -1) if wants_x else None
        return (
            grad_x.view(x.shape) if wants_x else None,
            grad_kernel.view(kernel.shape) if wants_kernel else None,
            None,
        )


def spectral(
    x: Tensor,
    kernel: Tensor,
    offsets: Tensor,
    radius: int,
    padding: Literal["same", "valid"] = "same",
    border: Literal["zeros", "replicate"] = "zeros",
) -> Tensor:
    """Correlate: ``y[u] = sum_t x[u + offsets[t]] kernel[t]``, to the rounding of the transforms.

    Args:
        x: the map.
        kernel: values at the taps.
        offsets: (row, column) of each tap from the center, int64, (T, 2).
        radius: of the square that holds the taps; it is what ``valid`` takes off each side.
        padding: ``same`` or ``valid``.
        border: what stands around a ``same`` map.

    Shape:
        x (height, width, batch, C_in), kernel (T, C_in, C_out) -> (height', width', batch, C_out)
    """
    taps = tuple(map(tuple, offsets.tolist()))
    plan = _plan(tuple(x.shape[:2]), taps, radius, padding, border, x.dtype, x.device)
    return _Correlation.apply(x.contiguous(), kernel.contiguous(), plan)
