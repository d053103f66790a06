"""A network as a list of layers that know where their inputs come from, and how sizes run through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from shared.algebra.groups import Group
from shared.atlas.layers import MERGES, Layer
from shared.base.errors import UserError

Size = tuple[int, int]
INPUT = 0


class DoesNotFitError(UserError):
    """The network does not fit the size of the input."""


@dataclass(frozen=True)
class Node:
    """A layer and the numbers of the nodes it reads; node 0 is the network's input.

    ``like`` is the node whose size a resize imitates.
    """

    layer: Layer
    inputs: tuple[int, ...]
    like: int | None = None


def node_size(node: Node, axis: int, sizes: Sequence[int]) -> int:
    """Size on one axis of what a node makes, from those of the input and of all nodes before it.

    Raises:
        DoesNotFitError: if the layer does not fit, or branches do not meet; the sentence names the layer.
    """
    got = [sizes[i] for i in node.inputs]
    _check_merge(node, axis, got)
    like = None if node.like is None else sizes[node.like]
    merged = max(got) if node.layer.kind in MERGES else got[0]
    out = node.layer.out_size(axis, merged, like)
    if out < 1:
        side = ("height", "width")[axis]
        raise DoesNotFitError(
            f"layer {node.layer.name!r} gets {got[0]} pixels on the {side} and would give none; use "
            f"a larger input than {sizes[0]}"
        )
    return out


def _check_merge(node: Node, axis: int, got: Sequence[int]) -> None:
    broadcast = node.layer.kind in ("add", "mul") and 1 in got
    if node.layer.kind in MERGES and len(set(got)) > 1 and not (broadcast and len(set(got)) == 2):
        side, counts = ("height", "width")[axis], " and ".join(map(str, got))
        raise DoesNotFitError(
            f"the branches that meet in {node.layer.name!r} have {counts} pixels on the {side}; make "
            "their strides, kernels and padding agree"
        )


@dataclass(frozen=True)
class Graph:
    """Layers in the order in which they run. Node 0 is the input, node i the i-th layer.

    Args:
        nodes: the layers.
        group: of the input if it is a regular feature map; None for an image.
        output: number of the node that is the result; the last if left out.
        reread: reads the network at another size, if its layers may depend on the size.
    """

    nodes: tuple[Node, ...]
    group: Group | None = None
    output: int = field(default=-1)
    reread: Callable[[Size], Graph] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.output < 0:
            object.__setattr__(self, "output", len(self.nodes))

    def __iter__(self) -> Iterator[tuple[int, Node]]:
        return iter(enumerate(self.nodes, start=1))

    @property
    def chain(self) -> bool:
        """Whether every layer reads the one before it."""
        return all(node.inputs == (i - 1,) and node.like is None for i, node in self)

    def with_layer(self, number: int, layer: Layer) -> Graph:
        """The same network with another layer at node ``number``."""
        nodes = list(self.nodes)
        nodes[number - 1] = replace(nodes[number - 1], layer=layer)
        return replace(self, nodes=tuple(nodes))

    def at(self, size: Size) -> Graph:
        """The network's layers at another size of the input.

        Raises:
            UserError: if the network cannot be read there.
        """
        return self if self.reread is None else self.reread(size)

    def axis_sizes(self, axis: int, size: int) -> list[int]:
        """Size of every node on one axis.

        Raises:
            DoesNotFitError: if a layer does not fit or branches do not meet; the sentence names the layer.
        """
        sizes = [size]
        for _, node in self:
            sizes.append(node_size(node, axis, sizes))
        return sizes

    def sizes(self, size: Size) -> list[Size]:
        """Height and width of every node; raises as `axis_sizes`."""
        return list(zip(self.axis_sizes(0, size[0]), self.axis_sizes(1, size[1])))

    def remainders(self, axis: int, size: int) -> list[int]:
        """Remainder of every layer on one axis (one less entry than nodes); raises as `axis_sizes`."""
        sizes = self.axis_sizes(axis, size)
        return [node.layer.remainder(axis, sizes[node.inputs[0]]) for _, node in self]
