"""What a symbolic forward passes around: maps, their sizes, and the layers found so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.algebra.groups import Group, cyclic
from shared.atlas.graph import Node
from shared.atlas.layers import ADAPTIVE, MERGES, Layer
from shared.base.errors import UserError

BY_HAND = "describe it by hand: atlas(Chain([Layer(...), Branches(...), ...]), size), see shared.atlas.Layer"
_SPATIAL = ("lift", "group_conv", "conv", "max_pool", "avg_pool", "resize", "pad", *ADAPTIVE)


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
        return ("batch", "channels", *["group"] * self.oriented, *["height", "width"] * self.spatial)

    @property
    def shape(self) -> tuple[Extent, ...]:
        """Stand-in for ``x.shape``."""
        return tuple(Extent(self, axis) for axis in self.axes)

    def axis(self, dim: int) -> str:
        """Name of an axis given as torch takes it."""
        if not -len(self.axes) <= dim < len(self.axes):
            raise UserError(f"axis {dim} does not exist on a map with axes {', '.join(self.axes)}")
        return self.axes[dim]


@dataclass(frozen=True)
class Extent:
    """The size of a map along one of its axes, known only when the input size is."""

    ref: Ref
    axis: str


@dataclass(frozen=True)
class Constant:
    """A parameter or buffer that the forward uses by name."""

    shape: tuple[int, ...]

    def untied(self, ref: Ref) -> bool:
        """Whether it differs between pixels or orientations of a map that it is added to."""
        aligned = zip(reversed(self.shape), reversed(ref.axes))
        return any(size > 1 and axis in ("group", "height", "width") for size, axis in aligned)


def _kept(layer: Layer, group: Group) -> tuple[float, ...]:
    """The numbers that leave the orientations as they are in a resize by one size, or by one factor."""
    return (1.0,) if layer.output is None else (group.order,)


@dataclass
class Builder:
    """Collects layers and follows what kind of map each makes."""

    nodes: list[Node] = field(default_factory=list)

    def add(self, layer: Layer, *refs: Ref, like: Ref | None = None) -> Ref:
        """Append a layer and return its output.

        Raises:
            UserError: if the layer cannot read such a map.
        """
        self._check(layer, refs)
        inputs = tuple(ref.number for ref in refs)
        self.nodes.append(Node(layer, inputs, None if like is None else like.number))
        x, kind = refs[0], layer.kind
        group, spatial = x.group, x.spatial
        if kind in ("conv", "group_pool", "flatten"):
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
        if layer.kind in ("lift", "conv") and x.oriented:
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
