"""Correlation by small Fourier matrices with kernels that commute with half turns: real spectra.

A strict layer of SE(2) on full grids of n angles, n even, has ``K[j + n/2, k + n/2](-r) = K[j, k](r)``. So in
sums and differences of features at opposite angles its spectrum is real (sum to sum, difference to
difference) or imaginary (between them); with differences times i it is real throughout. Then a product with a
complex spectrum takes two real ones in place of the three of `shared.nn.spectral`, the kernel's spectrum is a
third of the numbers, and half of the taps determine it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from shared.nn.spectral import Axis, border_matrix, waves

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class _Row:
    """One frequency of the rows; matrices for sums and for differences.

    Attributes:
        start, parts: its rows in the row transform: real part, and imaginary part unless that is 0.
        analysis: (2 Q, parts width): real and imaginary part at each of Q frequencies, one after the other.
        taps: of the kernel, (Q, half of the taps): cosines, and sines.
        synthesis: (parts width', 2 Q).
    """

    start: int
    parts: int
    analysis: Pair
    taps: Pair
    synthesis: Pair


@dataclass(frozen=True)
class _Plan:
    first: Tensor
    last: Tensor
    rows: tuple[_Row, ...]
    size: Axis


def _woven(real: Tensor, imaginary: Tensor, dim: int) -> Tensor:
    """Rows or columns of the two in turn."""
    return torch.stack([real, imaginary], dim + 1).flatten(dim, dim + 1)


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
    taps = torch.tensor(offsets[len(offsets) // 2 :])
    doubled = torch.tensor([1.0] + [2.0] * (len(taps) - 1), dtype=torch.float64)

    def ready(*matrices: Tensor) -> tuple[Tensor, ...]:
        return tuple(m.to(device, dtype).contiguous() for m in matrices)

    first, last, rows, start = [], [], [], 0
    for p in range(periods[0] // 2 + 1):
        f = torch.tensor([p])
        own = 2 * p % periods[0] == 0  # its own conjugate: real rows, and half of the columns' frequencies
        q = torch.arange(periods[1] // 2 + 1 if own else periods[1])
        weight = torch.full((len(q),), 2.0, dtype=torch.float64)
        if own:
            weight[2 * q % periods[1] == 0] = 1.0
        weight /= 4 * periods[0] * periods[1]  # 4: of the sums and differences, there and back
        down = waves(f, torch.arange(periods[0]), periods[0]).conj() @ pad_rows.to(torch.complex128)
        first += [down.real] if own else [down.real, down.imag]
        up = waves(f, torch.arange(height) + origin, periods[0]).T
        last += [up.real] if own else [up.real, -up.imag]  # the real part of a product
        along = waves(q, torch.arange(periods[1]), periods[1]).conj() @ pad_columns.to(torch.complex128)
        along = along if own else torch.cat([along, 1j * along], 1)
        kernel = waves(f, taps[:, 0], periods[0]) * waves(q, taps[:, 1], periods[1]) * doubled
        back = waves(q, torch.arange(width) + origin, periods[1]).T * weight
        back = back if own else torch.cat([back, -1j * back])
        rows.append(
            _Row(
                start,
                1 if own else 2,
                ready(_woven(along.real, along.imag, 0), _woven(-along.imag, along.real, 0)),
                ready(kernel.real, kernel.imag),
                ready(_woven(back.real, -back.imag, 1), _woven(back.imag, back.real, 1)),
            )
        )
        start += 1 if own else 2
    return _Plan(*ready(torch.cat(first), torch.cat(last, 1)), tuple(rows), (height, width))


def _sums(x: Tensor) -> Tensor:
    """(height, width, batch, C) to sums and differences of its halves, (2, height, width, batch, C / 2)."""
    one, other = x.unflatten(3, (2, -1)).unbind(3)
    both = x.new_empty(2, *one.shape)
    torch.add(one, other, out=both[0])
    torch.sub(one, other, out=both[1])
    return both


def _halves(both: Tensor) -> Tensor:
    """Sums and differences of (2, ...) beside each other, (..., C)."""
    x = both.new_empty(*both.shape[1:4], 2, both.shape[4])
    torch.add(both[0], both[1], out=x[:, :, :, 0])
    torch.sub(both[0], both[1], out=x[:, :, :, 1])
    return x.flatten(3)


def _rows(matrix: Tensor, x: Tensor) -> Tensor:
    """A matrix along the rows of sums and of differences, (2, parts, width, batch channels)."""
    return torch.stack([matrix @ part.flatten(1) for part in x]).view(2, len(matrix), x.shape[2], -1)


def _spectra(row: _Row, x: Tensor, batch: int) -> list[Tensor]:
    """Of the rows of ``x`` that belong to a frequency, for sums and differences: (Q, 2 batch, channels)."""
    mine = slice(row.start, row.start + row.parts)
    found = [matrix @ part[mine].flatten(0, 1) for matrix, part in zip(row.analysis, x)]
    return [f.view(len(f) // 2, 2 * batch, -1) for f in found]


class _Correlation(torch.autograd.Function):
    """See `half_turn`; kernel (2, 2, T', C_in / 2, C_out / 2) in sums and differences of input and output."""

    @staticmethod
    def forward(ctx, x: Tensor, kernel: Tensor, plan: _Plan) -> Tensor:
        batch, sizes = x.shape[2], kernel.shape[3:]
        flat = kernel.flatten(3)
        rows = _rows(plan.first, _sums(x))
        out = x.new_empty(2, plan.last.shape[1], plan.size[1], batch * sizes[1])
        for row in plan.rows:
            spectra = _spectra(row, rows, batch)
            for to in range(2):
                product = None
                for f, spectrum in zip(range(2), spectra):
                    filters = _filter(row, flat, f, to).view(-1, *sizes)
                    product = (
                        torch.bmm(spectrum, filters)
                        if product is None
                        else product.baddbmm_(spectrum, filters)
                    )
                target = out[to, row.start : row.start + row.parts].flatten(0, 1)
                torch.mm(row.synthesis[to], product.view(-1, batch * sizes[1]), out=target)
        ctx.save_for_backward(x, kernel)
        ctx.plan = plan
        y = torch.stack([plan.last @ part.flatten(1) for part in out])
        return _halves(y.view(2, *plan.size, batch, sizes[1]))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, kernel = ctx.saved_tensors
        plan, (wants_x, wants_kernel, _) = ctx.plan, ctx.needs_input_grad
        batch, sizes = x.shape[2], kernel.shape[3:]
        flat = kernel.flatten(3)
        rows = _rows(plan.first, _sums(x)) if wants_kernel else None
        grads = _rows(plan.last.T, _sums(grad))
        grad_rows = x.new_empty(2, len(plan.first), x.shape[1], batch * sizes[0]) if wants_x else None
        grad_kernel = torch.zeros_like(flat) if wants_kernel else None
        for row in plan.rows:
            mine = slice(row.start, row.start + row.parts)
            products = [m.T @ g[mine].flatten(0, 1) for m, g in zip(row.synthesis, grads)]
            products = [p.view(len(p) // 2, 2 * batch, -1) for p in products]
            spectra = _spectra(row, rows, batch) if wants_kernel else [None, None]
            for f in range(2):
                found = None
                for to, product in zip(range(2), products):
                    if wants_kernel:
                        part = torch.bmm(spectra[f].transpose(1, 2), product).flatten(1)
                        sign = -1 if (f, to) == (0, 1) else 1
                        grad_kernel[f, to].addmm_(row.taps[f != to].T, part, alpha=sign)
                    if wants_x:
                        filters = _filter(row, flat, f, to).view(-1, *sizes).transpose(1, 2)
                        found = (
                            torch.bmm(product, filters) if found is None else found.baddbmm_(product, filters)
                        )
                if wants_x:
                    target = grad_rows[f, mine].flatten(0, 1)
                    torch.mm(row.analysis[f].T, found.view(-1, batch * sizes[0]), out=target)
        grad_x = None
        if wants_x:
            parts = torch.stack([plan.first.T @ part.flatten(1) for part in grad_rows])
            grad_x = _halves(parts.view(2, *x.shape[:3], sizes[0]))
        return grad_x, grad_kernel.view(kernel.shape) if wants_kernel else None, None


def _filter(row: _Row, kernel: Tensor, source: int, target: int) -> Tensor:
    """Real spectrum from sums (0) or differences (1) to such, (Q, C_in C_out / 4)."""
    found = row.taps[source != target] @ kernel[source, target]
    return found.neg_() if (source, target) == (0, 1) else found


def half_turn(
    x: Tensor,
    kernel: Tensor,
    offsets: Tensor,
    radius: int,
    padding: Literal["same", "valid"] = "same",
    border: Literal["zeros", "replicate"] = "zeros",
) -> Tensor:
    """Correlate as `shared.nn.spectral.spectral`, with a kernel that commutes with half turns.

    Args:
        x: the map; its channels are angles, then fields.
        kernel: values at the taps, with ``kernel[-1 - t]`` = ``kernel[t]`` with both angles turned by half.
        offsets: (row, column) of each tap from the center, such that ``offsets[-1 - t] = -offsets[t]``.
        radius: of the square that holds the taps.
        padding: ``same`` or ``valid``.
        border: what stands around a ``same`` map.

    Shape:
        x (height, width, batch, n C_in), kernel (T, n C_in, n C_out) -> (height', width', batch, n C_out)
    """
    taps = tuple(map(tuple, offsets.tolist()))
    plan = _plan(tuple(x.shape[:2]), taps, radius, padding, border, x.dtype, x.device)
    half = (
        kernel[len(taps) // 2 :].unflatten(2, (2, -1)).unflatten(1, (2, -1))
    )  # T', 2, C_in / 2, 2, C_out / 2
    one, other = half.unbind(1)
    both = torch.stack([one + other, one - other])  # 2, T', C_in / 2, 2, C_out / 2
    one, other = both.unbind(3)
    return _Correlation.apply(x.contiguous(), torch.stack([one + other, one - other], 1), plan)
