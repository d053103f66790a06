"""Arithmetic in a prime field, to decide what holds for generic weights.

If ``f(g x) = g f(x)`` holds for all inputs and weights, the two sides are equal residues. If it fails for
some, they are different polynomials (for maxima, different sets), which agree by chance with probability
about ``1e-6`` for each lane and pixel (Schwartz and Zippel). There is no rounding and no tolerance, and a
maximum cannot agree by luck. An activation is a scrambling of the field that keeps what its curve keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

from shared.algebra.groups import Group
from shared.atlas.layers import Layer
from shared.atlas.maps import Arithmetic, Map, generator, key

PRIME = 1_048_573  # below 2^20: a sum of 2^13 products stays below 2^53, exact in float64
_EXACT_TERMS = 1 << 13
_LARGEST_SET = 1 << 25
_KNOWN = 1 << 40


def in_field(value: Fraction) -> int:
    """The residue of a fraction."""
    return value.numerator * pow(value.denominator, -1, PRIME) % PRIME


def scramble(values: Tensor, seed: str) -> Tensor:
    """A fixed random function from integers to the field (the finalizer of splitmix64, keyed by ``seed``)."""
    v = values * -7046029254386353131 + key(seed)
    v = (v ^ ((v >> 30) & 0x3FFFFFFFF)) * -4658895280553007687
    v = (v ^ ((v >> 27) & 0x1FFFFFFFFF)) * -7723592293110705685
    return ((v ^ ((v >> 31) & 0x1FFFFFFFF)) & 0x7FFFFFFFFFFFFF) % PRIME


def set_value(values: Tensor, valid: Tensor, seed: str) -> Tensor:
    """One residue for the set of the distinct valid values on the last axis; the value itself if it is alone.

    It stands for a maximum: it does not depend on order or repetition, and on all members.
    """
    ordered = torch.where(valid, values, PRIME).sort(-1).values
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    first &= ordered < PRIME
    total = (scramble(ordered, seed) * first).sum(-1)
    return torch.where(first.sum(-1) == 1, ordered[..., 0], scramble(total, seed + " set"))


def over_windows(base: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Maxima over products of rows and columns.

    Shape:
        base ``(..., H, W)``, rows ``(H', H)`` and columns ``(W', W)``, both ``bool``; the result is
        ``(..., H', W')``.
    """
    row, row_valid = _padded_index(rows)
    column, column_valid = _padded_index(columns)
    taken = base[..., row, :][..., column].movedim(-3, -2).flatten(-2)  # (..., H', W', members)
    valid = (row_valid[:, None, :, None] & column_valid[None, :, None, :]).flatten(2)
    return set_value(taken, valid.expand_as(taken), "maximum")


def _padded_index(read: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of the True entries of each row, padded to equal length, and which of them count."""
    order = (~read).long().argsort(dim=1, stable=True)[:, : int(read.sum(1).max())]
    return order, read.gather(1, order)


def compose(x: Map, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Windows on ``x`` as windows on what ``x`` is a maximum of: max(max(a, b), c) = max(a, b, c)."""
    if x.maxima is None:
        return x.values, rows, columns
    base, inner_rows, inner_columns = x.maxima
    both = ((rows, inner_rows), (columns, inner_columns))
    outer_rows, outer_columns = ((outer.double() @ inner.double()) > 0 for outer, inner in both)
    return base, outer_rows, outer_columns


def through_maxima(x: Map, function: Callable[[Tensor], Tensor], group: Group | None) -> Map:
    """Apply a pixelwise function that never decreases: it commutes with maxima, so they stay maxima."""
    if x.maxima is None:
        return Map(function(x.values), group)
    base, rows, columns = x.maxima
    base = function(base)
    return Map(over_windows(base, rows, columns), group, (base, rows, columns))


class PrimeField(Arithmetic):
    """Residues modulo ``PRIME`` as ``int64``, in three lanes."""

    lanes = 3

    def draw(self, seed: str, shape: tuple[int, ...]) -> Tensor:
        return torch.randint(1, PRIME, shape, generator=generator(seed))

    def inputs(self, seed: str, shape: tuple[int, ...]) -> Tensor:
        return self.draw(seed, shape)

    def reduce(self, values: Tensor) -> Tensor:
        return values.long() % PRIME

    def matrix(self, rows: Sequence[Sequence[tuple[int, Fraction]]], size: int) -> Tensor:
        dense = torch.zeros(len(rows), size, dtype=torch.int64)
        for j, entries in enumerate(rows):
            for column, value in entries:
                dense[j, column] = (dense[j, column] + in_field(value)) % PRIME
        return dense.double()

    def convolve(self, x: Tensor, bank: Tensor, layer: Layer) -> Tensor:
        """In float64, in pieces small enough to be exact."""
        lanes, out, channels = bank.shape[:3]
        piece = max(1, _EXACT_TERMS // bank[0, 0, 0].numel())
        total: Tensor | int = 0
        for start in range(0, channels, piece):
            part, taps = x[:, start : start + piece], bank[:, :, start : start + piece]
            dense = part.double().reshape(1, -1, *part.shape[-2:])
            y = F.conv2d(dense, taps.double().flatten(0, 1), None, layer.stride, 0, layer.dilation, lanes)
            total = (total + y.long()) % PRIME
        return total.view(lanes, out, *total.shape[-2:])

    def scale(self, x: Map, factors: Tensor | float, summands: Tensor | float, rising: bool) -> Map:
        factors, summands = (
            n if isinstance(n, Tensor) else in_field(Fraction(n)) for n in (factors, summands)
        )

        def function(values: Tensor) -> Tensor:
            return (values * factors + summands) % PRIME

        return through_maxima(x, function, x.group) if rising else Map(function(x.values), x.group)

    def known(self, values: Tensor) -> Tensor:
        """Scaled to a fixed largest number and rounded: equal ones stay equal, others different."""
        largest = float(values.abs().max())
        whole = (values / (largest or 1.0) * _KNOWN).round().long()
        return torch.where((values != 0) & (whole % PRIME == 0), 1, whole % PRIME)

    def draw_positive(self, seed: str, shape: tuple[int, ...]) -> Tensor:
        return self.draw(seed, shape)

    def activate(self, x: Map, layer: Layer, seed: str) -> Map:
        kept = layer.bend
        if kept.identity_from_zero and x.nonnegative:
            return x

        def function(values: Tensor) -> Tensor:
            scrambled = scramble(values, seed)
            return torch.where(values == 0, 0, scrambled) if kept.keeps_zero else scrambled

        if kept.rising or (kept.rising_from_zero and x.nonnegative):
            return through_maxima(x, function, x.group)
        return Map(function(x.values), x.group)

    def normalize(self, values: Tensor, dims: tuple[int, ...], centered: bool, seed: str) -> Tensor:
        spread = scramble(values, seed).sum(dims, keepdim=True) % PRIME
        center = scramble(spread, seed + " center")
        if centered:
            share = pow(values[0, 0].numel(), -1, PRIME)
            center = values.sum(dims, keepdim=True) % PRIME * share % PRIME
        return (values - center) * scramble(spread, seed + " scale") % PRIME

    def maximum(self, x: Map, rows: Tensor, columns: Tensor) -> Map:
        base, all_rows, all_columns = compose(x, rows, columns)
        members = int(all_rows.sum(1).max() * all_columns.sum(1).max()) * base[:, :, :, 0, 0].numel()
        if members * len(rows) * len(columns) > _LARGEST_SET:
            base, all_rows, all_columns = x.values, rows, columns
        return Map(over_windows(base, all_rows, all_columns), x.group, (base, all_rows, all_columns))

    def copy(self, x: Map, values: Tensor, rows: Tensor, columns: Tensor) -> Map:
        return Map(values, x.group, compose(x, rows, columns))

    def pool_orientations(self, x: Map) -> Map:
        def function(values: Tensor) -> Tensor:
            last = values.movedim(2, -1)
            return set_value(last, torch.ones_like(last, dtype=torch.bool), "orientations").unsqueeze(2)

        return through_maxima(x, function, None)

    def differs(self, before: Tensor, after: Tensor) -> Tensor:
        return (before != after).flatten(1).any(1)
