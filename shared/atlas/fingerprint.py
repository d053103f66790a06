"""Maps of random elements of a prime field, to decide what holds for generic weights.

Each layer keeps its windows, strides, padding and ties (`shared.atlas.rules`), but has one channel, random
weights, and for an activation a scrambling of the field. If ``f(g x) = g f(x)`` holds for all inputs and
weights, the two sides are equal residues. If it fails for some, they are different polynomials (for maxima,
different sets), which agree by chance with probability about ``1e-6`` for each lane and pixel (Schwartz and
Zippel). There is no rounding and no tolerance, and a maximum cannot agree by luck.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from shared.atlas.axes import PRIME
from shared.atlas.symmetry import move
from shared.groups import Group

LANES = 3  # independent draws, run side by side


@dataclass(frozen=True)
class Map:
    """What flows between layers.

    Args:
        values: residues, shape ``(LANES, channels, orientations, H, W)``; vectors have H = W = 1.
        group: of a regular feature map, else None.
        maxima: if the values are maxima, what over: a base map, and for each output row and column which
            rows and columns of the base.
        nonnegative: whether the network's values, for which the residues stand, are never negative.
    """

    values: Tensor
    group: Group | None = None
    maxima: tuple[Tensor, Tensor, Tensor] | None = None
    nonnegative: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return tuple(self.values.shape[-2:])


def _number(seed: str) -> int:
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:6], "big")


def draw(seed: str, shape: tuple[int, ...]) -> Tensor:
    """Random residues other than 0 that depend on nothing but the arguments."""
    return torch.randint(1, PRIME, shape, generator=torch.Generator().manual_seed(_number(seed)))


def random_map(seed: str, size: tuple[int, int], group: Group | None, channels: int = 1) -> Map:
    """A generic input of the network or of one layer."""
    return Map(draw(seed, (LANES, channels, group.order if group else 1, *size)), group)


def transform(element: int, x: Map) -> Map:
    """Move a map by an element of D4."""
    return Map(move(element, x.values, x.group), x.group)


def equivariant(element: int, before: Map, after: Map) -> bool:
    """Whether ``after``, got from the moved input, is ``before`` moved."""
    return torch.equal(move(element, before.values, before.group), after.values)


def scramble(values: Tensor, seed: str) -> Tensor:
    """A fixed random function from integers to the field (the finalizer of splitmix64, keyed by ``seed``)."""
    v = values * -7046029254386353131 + _number(seed)
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


def common_group(inputs: Sequence[Map]) -> Group | None:
    """Group of branches that meet."""
    return next((x.group for x in inputs if x.group is not None), None)
