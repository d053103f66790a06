"""What flows between layers when the atlas runs a network's geometry, and what it asks of numbers."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from shared.algebra.groups import Group
from shared.atlas.layers import Layer
from shared.atlas.symmetry import move


@dataclass(frozen=True)
class Map:
    """The output of a layer.

    Args:
        values: shape ``(lanes, channels, orientations, H, W)``, lanes being independent draws; vectors have
            H = W = 1.
        group: of a regular feature map, else None.
        maxima: if the values are maxima, what over: a base map, and for each output row and column which
            rows and columns of the base.
        nonnegative: whether a network's values here are never negative.
    """

    values: Tensor
    group: Group | None = None
    maxima: tuple[Tensor, Tensor, Tensor] | None = None
    nonnegative: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return tuple(self.values.shape[-2:])


def transform(element: int, x: Map) -> Map:
    """Move a map by an element of D4."""
    return Map(move(element, x.values, x.group), x.group)


def common_group(inputs: Sequence[Map]) -> Group | None:
    """Group of branches that meet."""
    return next((x.group for x in inputs if x.group is not None), None)


def generator(seed: str) -> torch.Generator:
    """Random numbers that depend on nothing but the seed."""
    return torch.Generator().manual_seed(key(seed))


def key(seed: str) -> int:
    """A 48-bit number for a seed."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:6], "big")


class Arithmetic(ABC):
    """Numbers to run a network's geometry on; weights and inputs are drawn from their seeds."""

    lanes: int

    @abstractmethod
    def draw(self, seed: str, shape: tuple[int, ...]) -> Tensor:
        """Weights; the first axis is lanes."""

    @abstractmethod
    def inputs(self, seed: str, shape: tuple[int, ...]) -> Tensor:
        """Values of an input map."""

    @abstractmethod
    def reduce(self, values: Tensor) -> Tensor:
        """Bring sums and products of two numbers back into range."""

    @abstractmethod
    def matrix(self, rows: Sequence[Sequence[tuple[int, Fraction]]], size: int) -> Tensor:
        """A matrix of fractions, given by its entries (column, value) row by row; float64."""

    @abstractmethod
    def convolve(self, x: Tensor, bank: Tensor, layer: Layer) -> Tensor:
        """Cross-correlation, unpadded, of (lanes, channels, H, W) with (lanes, out, channels, k, k)."""

    @abstractmethod
    def activate(self, x: Map, layer: Layer, seed: str) -> Map:
        """Apply an activation."""

    @abstractmethod
    def scale(self, x: Map, factors: Tensor | float, summands: Tensor | float, rising: bool) -> Map:
        """Multiply and add; ``rising`` if the factors are positive and the summands equal at all pixels."""

    @abstractmethod
    def known(self, values: Tensor) -> Tensor:
        """Known numbers, float64, as these numbers."""

    @abstractmethod
    def draw_positive(self, seed: str, shape: tuple[int, ...]) -> Tensor:
        """Weights that are positive, if that means anything."""

    @abstractmethod
    def normalize(self, values: Tensor, dims: tuple[int, ...], centered: bool, seed: str) -> Tensor:
        """Shift and scale by unordered statistics; if ``centered``, to mean zero over ``dims``."""

    @abstractmethod
    def maximum(self, x: Map, rows: Tensor, columns: Tensor) -> Map:
        """Maximum over windows, given as ``bool`` (out, in) by axis."""

    @abstractmethod
    def copy(self, x: Map, values: Tensor, rows: Tensor, columns: Tensor) -> Map:
        """Map of ``values`` that are copied from ``x``, given as `maximum`'s windows of one pixel or none."""

    @abstractmethod
    def pool_orientations(self, x: Map) -> Map:
        """Maximum over orientations."""

    @abstractmethod
    def differs(self, before: Tensor, after: Tensor) -> Tensor:
        """For each lane whether two maps of one shape differ."""

    def random_map(self, seed: str, size: tuple[int, int], group: Group | None, channels: int = 1) -> Map:
        """A generic input of the network or of one layer."""
        return Map(self.inputs(seed, (self.lanes, channels, group.order if group else 1, *size)), group)

    def equivariant(self, element: int, before: Map, after: Map) -> bool:
        """Whether ``after``, got from the moved input, is ``before`` moved."""
        moved = move(element, before.values, before.group)
        return moved.shape == after.values.shape and not bool(self.differs(moved, after.values).any())
