"""What passes through a forward: maps, their axes by name, and the layers found so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.algebra.groups import Group, cyclic
from shared.atlas.graph import Node, Size, node_size
from shared.atlas.layers import ADAPTIVE, MERGES, TRANSPOSED, Layer
from shared.base.errors import UserError

BY_HAND = (
    "put it into a module of its own and register what that does (shared.atlas.register), or describe the "
    "network by hand (shared.atlas.Chain): docs/atlas.md shows both"
)
_SPATIAL = (
    "lift",
    "group_conv",
    "conv",
    TRANSPOSED,
    "max_pool",
    "avg_pool",
    "resize",
    "slice",
    "pad",
    *ADAPTIVE,
)
_PIXELS = ("height", "width")


@dataclass(frozen=True)
class Ref:
    """A map in the network: the node that makes it, its group if it is regular, and whether it has pixels."""

    number: int
    group: Group | None
    spatial: bool

    @property
    def oriented(self) -> bool:
        return self.group is not None

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the tensor's axes."""
        return ("batch", "channels", *["group"] * self.oriented, *_PIXELS * self.spatial)


#: A name and a size; sizes of 1 are left out.
Part = tuple[str, int]
#: One axis of a tensor, which may be made of several: a flattened image has pixels by (height, width).
Axis = tuple[Part, ...]


@dataclass(frozen=True)
class Track:
    """A tensor of the forward: which map it holds, and what its axes are.

    Args:
        ref: the map.
        axes: of the tensor.
        composite: whether its channels may differ in what is broken.
        flattened: name of what made channels of pixels, if anything did.
    """

    ref: Ref
    axes: tuple[Axis, ...]
    composite: bool = False
    flattened: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Axes in words."""
        return tuple(" by ".join(dict.fromkeys(name for name, _ in axis)) or "1" for axis in self.axes)

    def holding(self, name: str) -> list[int]:
        """Numbers of the axes that hold something of this name."""
        return [i for i, axis in enumerate(self.axes) if any(part == name for part, _ in axis)]

    def only(self, axis: int, *names: str) -> bool:
        """Whether an axis holds nothing but these names."""
        return all(part in names for part, _ in self.axes[axis])

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of the axes."""
        return tuple(math.prod(size for _, size in axis) for axis in self.axes)

    def canonical(self) -> Ref | None:
        """The map, if the axes are (batch, channels, [group], [height, width]); else None."""
        rest = len(self.axes) - 2 - self.ref.oriented
        if rest not in (0, 2):
            return None
        wanted = ("batch", "channels", *["group"] * self.ref.oriented, *_PIXELS[:rest])
        if not all(self.only(i, name) for i, name in enumerate(wanted)):
            return None
        return Ref(self.ref.number, self.ref.group, rest == 2)

    def permuted(self, order: Sequence[int]) -> Track:
        """With the axes in another order."""
        return Track(self.ref, tuple(self.axes[i] for i in order), self.composite, self.flattened)

    def with_axes(self, axes: Sequence[Axis]) -> Track:
        """The same map with other axes."""
        return Track(self.ref, tuple(axes), self.composite, self.flattened)

    def reshaped(self, shape: Sequence[int], name: str) -> Track:
        """In another shape.

        Raises:
            UserError: if an axis other than that of the channels would be cut.
        """
        parts = [part for axis in self.axes for part in axis]
        axes = []
        for size in shape:
            axis, left = [], size
            while left > 1 and parts:
                what, count = parts.pop(0)
                if left % count and what == "channels" and count % left == 0:
                    parts.insert(0, (what, count // left))
                    count = left
                elif left % count:
                    raise UserError(f"{name!r} cuts the axis of {what} in parts; {BY_HAND}")
                axis.append((what, count))
                left //= count
            axes.append(tuple(axis))
        mixed = any(_flattened(axis) for axis in axes) or len(axes) == 2
        return Track(self.ref, tuple(axes), self.composite, self.flattened or (name if mixed else ""))


def _flattened(axis: Axis) -> bool:
    names = {name for name, _ in axis}
    return "channels" in names and bool(names & {"group", *_PIXELS})


def canonical_axes(ref: Ref, shape: Sequence[int]) -> tuple[Axis, ...]:
    """Axes of a map's tensor of this shape."""
    return tuple(((name, size),) if size > 1 else () for name, size in zip(ref.axes, shape, strict=True))


def _kept(layer: Layer, group: Group) -> tuple[float, ...]:
    """The numbers that leave the orientations as they are in a resize by one size, or by one factor."""
    return (1.0,) if layer.output is None else (group.order,)


@dataclass
class Builder:
    """Collects layers and follows what kind of map each makes; with ``sizes``, of which size they are."""

    nodes: list[Node] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)

    def add(self, layer: Layer, *refs: Ref) -> Ref:
        """Append a layer and return its output.

        Raises:
            UserError: if the layer cannot read such a map, or does not fit its size.
        """
        self._check(layer, refs)
        node = Node(layer, tuple(ref.number for ref in refs))
        if self.sizes:
            self.sizes.append(tuple(node_size(node, a, [s[a] for s in self.sizes]) for a in (0, 1)))
        self.nodes.append(node)
        x, kind = refs[0], layer.kind
        group, spatial = x.group, x.spatial
        if kind in MERGES:
            group = next((ref.group for ref in refs if ref.oriented), None)
            spatial = any(ref.spatial for ref in refs)
        elif kind in ("conv", TRANSPOSED, "group_pool", "flatten"):
            group = None
        elif layer.tied:
            group = layer.group or cyclic(4)
        if kind == "flatten" or kind.startswith("global"):
            spatial = False
        return Ref(len(self.nodes), group, spatial)

    @staticmethod
    def _check(layer: Layer, refs: tuple[Ref, ...]) -> None:
        x, name = refs[0], layer.name
        if layer.kind in _SPATIAL and not x.spatial:
            raise UserError(f"layer {name!r} ({layer.kind}) needs a map with pixels, but gets a vector")
        if layer.kind in ("lift", "conv", TRANSPOSED) and x.oriented:
            raise UserError(f"layer {name!r} reads images, but gets regular features of {x.group.name}")
        if layer.kind == "group_conv" and x.group != (layer.group or cyclic(4)):
            has = x.group.name if x.oriented else "no group"
            raise UserError(
                f"layer {name!r} reads features of {(layer.group or cyclic(4)).name}, but gets {has}"
            )
        if layer.kind == "group_pool" and not x.oriented:
            raise UserError(
                f"layer {name!r} pools over a group, but its input has none: it would pool over pixels"
            )
        if layer.orientations not in (None, x.group.order if x.oriented else None):
            raise UserError(f"layer {name!r} resizes the orientations; give it their number on that axis")
        if layer.every_axis and x.oriented and (layer.output or layer.scale)[0] not in _kept(layer, x.group):
            raise UserError(
                f"layer {name!r} resizes the orientations, too; give a size or factor for each of three axes"
            )
        if layer.kind == "linear" and (x.spatial or x.oriented):
            raise UserError(
                f"layer {name!r} is dense but does not get a plain vector; pool or flatten before it"
            )
        if layer.kind in MERGES and len({ref.axes for ref in refs}) > 1:
            kinds = " and ".join(f"({', '.join(ref.axes)})" for ref in refs)
            raise UserError(f"tensors with axes {kinds} meet in {name!r}; give them the same axes")
        if layer.kind in MERGES and len({ref.group for ref in refs if ref.oriented}) > 1:
            raise UserError(f"features of different groups meet in {name!r}; use one group throughout")
