"""The size atlas: is this network exactly equivariant at this input size, and if not, where does it break?

    from shared.atlas import atlas
    print(atlas(network, 32).explain())

A subsampling layer of stride s and window K keeps quarter turns and mirrors exact if ``(size + 2 p - K) mod
s = 0`` on both axes (Edixhoven, Lengyel and van Gemert 2023, plus the padding that their equation omits).
That rule gives the explanations and the sizes to use instead. The verdict itself is decided by running the
network's geometry, with one channel and random weights, over a finite field (`shared.atlas.field`), so that
it also sees what the rule does not: padding, ceil mode, adaptive and anisotropic layers, resizing, branches,
and windows that hold the same pixels in spite of a remainder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral

from torch import nn

from shared.algebra.groups import Group
from shared.atlas.chain import Branches, Chain
from shared.atlas.graph import DoesNotFitError, Graph, Node, Size
from shared.atlas.judge import decide, exact_here, turned
from shared.atlas.layers import KINDS, Layer
from shared.atlas.modules import register
from shared.atlas.nearest import Alternative, Nearest
from shared.atlas.reasons import reason
from shared.atlas.report import Atlas, Row, make_row
from shared.atlas.symmetry import SYMMETRIES, Symmetry, find
from shared.atlas.trace import trace
from shared.base.errors import UserError

__all__ = [
    "KINDS", "SYMMETRIES", "Alternative", "Atlas", "Branches", "Chain", "Graph", "Layer", "Nearest", "Node",
    "Row", "SizeVerdict", "Symmetry", "atlas", "read", "register", "sizes",
]  # fmt: skip

Network = nn.Module | Chain | Graph | Iterable[Layer | Branches]


def read(
    network: Network,
    group: Group | None = None,
    size: int | Size = 33,
    in_channels: int | None = None,
) -> Graph:
    """Turn a module, or a description by hand, into a graph of layers.

    A module runs twice on random images and is followed layer by layer; it is left as it was.

    Args:
        network: a `torch.nn.Module`, a `Chain`, or a list of `Layer` and `Branches`.
        group: of the input if it is a regular feature map; found by itself for modules.
        size: of the images that a module runs on.
        in_channels: of these images; read from the first layer that says so if left out.

    Raises:
        UserError: if the module does something that the atlas does not know, or does not run on the images.
    """
    if isinstance(network, Graph):
        return network.at(_size(size))
    if isinstance(network, nn.Module):
        return trace(network, _size(size), group, in_channels)
    if isinstance(network, Chain):
        return network.graph()
    if not isinstance(network, Iterable):
        raise UserError(f"the atlas reads modules, and descriptions by layers, but not {network!r}")
    return Chain(tuple(network), group).graph()


def _size(size: int | Size) -> Size:
    both = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(both) != 2 or any(isinstance(n, bool) or not isinstance(n, Integral) or n < 1 for n in both):
        raise UserError(f"size must be pixels or (height, width), not {size!r}")
    return int(both[0]), int(both[1])


def atlas(
    network: Network,
    size: int | Size,
    symmetry: str | Group | Symmetry = "p4",
    *,
    geometry: bool = False,
    group: Group | None = None,
    in_channels: int | None = None,
) -> Atlas:
    """Say layer by layer whether a network is exactly equivariant at an input size.

    Args:
        network: a module, or a description by hand (see `read`).
        size: pixels of the input, one number or (height, width).
        symmetry: ``p4`` (quarter turns), ``p4m`` (and mirrors), ``rot180``, ``lr`` and ``ud`` (mirrors),
            ``ccw`` and ``cw`` (a single quarter turn, of interest for rectangular inputs), or a group.
        geometry: judge the sampling grid alone, as if every ordinary convolution and dense layer were tied
            over the group. Else an ordinary convolution of more than one pixel breaks the symmetry.
        group: of the input if it is a regular feature map and the first layer does not say so.
        in_channels: of the input, if no layer says so.

    Raises:
        UserError: if the network cannot be read (`register` teaches the atlas a module), or does not fit the
            size.
    """
    both, asked = _size(size), find(symmetry)
    graph = read(network, group, both, in_channels)
    judged = decide(graph, both, asked, geometry)
    elements, node_sizes, rows = asked.tested(both), graph.sizes(both), []
    others = _swapped(graph, both)
    for i, node in graph:
        here = exact_here(node, judged.maps, elements, geometry, others[i - 1])
        on_grid = not here or not exact_here(node, judged.maps, elements, True, others[i - 1])
        inputs = [node_sizes[j] for j in node.inputs]
        why = reason(node, inputs, node_sizes[i], asked, here, on_grid)
        rows.append(make_row(node.layer, (inputs[0], node_sizes[i]), not here, judged.broken[i], why))
    first = _first_break(graph, judged.broken)
    return Atlas(asked, both, tuple(rows), first is None, rows[first - 1] if first else None, graph, geometry)


def _swapped(graph: Graph, size: Size) -> Sequence[Node | None]:
    """For each node what it is when the axes of the input are swapped."""
    other = turned(graph, size, 1)
    return [None] * len(graph.nodes) if other is None else other.nodes


def _first_break(graph: Graph, broken: list[tuple[int, ...]]) -> int | None:
    """The earliest node that turns exact inputs into a broken map from which the output's break descends."""
    if not broken[graph.output]:
        return None
    reached, found = {graph.output}, []
    for i in range(graph.output, 0, -1):
        if i in reached:
            sources = [j for j in graph.nodes[i - 1].inputs if broken[j]]
            reached.update(sources)
            found += [] if sources else [i]
    return min(found)


@dataclass(frozen=True)
class SizeVerdict:
    """Verdict at one input size: ``exact``, and the layer that breaks it, or why the size does not fit."""

    size: Size
    exact: bool
    first_break: str
    output: Size | None


def sizes(
    network: Network,
    candidates: Iterable[int | Size],
    symmetry: str | Group | Symmetry = "p4",
    *,
    geometry: bool = False,
    group: Group | None = None,
    in_channels: int | None = None,
) -> list[SizeVerdict]:
    """Judge a network at many input sizes; a size that does not fit counts as not exact.

    Arguments as in `atlas`.

    Raises:
        UserError: if the network cannot be read.
    """
    asked, verdicts, known = find(symmetry), [], None
    for size in map(_size, candidates):
        try:
            graph = read(network, group, size, in_channels) if known is None else known.at(size)
        except DoesNotFitError as error:
            verdicts.append(SizeVerdict(size, False, str(error), None))
            continue
        known = graph
        try:
            broken = decide(graph, size, asked, geometry).broken
        except UserError as error:
            verdicts.append(SizeVerdict(size, False, str(error), None))
            continue
        first = _first_break(graph, broken)
        name = graph.nodes[first - 1].layer.name if first else ""
        verdicts.append(SizeVerdict(size, first is None, name, graph.sizes(size)[graph.output]))
    return verdicts
