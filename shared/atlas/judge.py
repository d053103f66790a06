"""Which layers of a network are exact, each by itself and up to its depth."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from shared.atlas.fingerprint import Map, equivariant, random_map, transform
from shared.atlas.graph import Graph, Node, Size
from shared.atlas.layers import Layer
from shared.atlas.rules import Ties, apply
from shared.atlas.symmetry import Symmetry
from shared.errors import UserError
from shared.groups import Group


def run(graph: Graph, x: Map, ties: Ties) -> Iterator[Map]:
    """Yield the maps of all nodes, the input first."""
    maps = [x]
    yield x
    for i, node in graph:
        like = None if node.like is None else maps[node.like]
        maps.append(apply(node.layer, f"layer {i}", [maps[j] for j in node.inputs], like, ties))
        yield maps[-1]


def _as_far_as_it_fits(graph: Graph, x: Map, ties: Ties) -> Iterator[Map]:
    """Yield maps until a layer does not fit: a network may read a rectangle but not the turned one."""
    with contextlib.suppress(UserError):
        yield from run(graph, x, ties)


@dataclass(frozen=True)
class Judgement:
    """Maps of all nodes for one input, and for each node the elements under which it is not exact."""

    maps: list[Map]
    broken: list[tuple[int, ...]]


def judge(graph: Graph, size: Size, symmetry: Symmetry, geometry: bool) -> Judgement:
    """Decide for each node which elements break it; the input, node 0, is never broken.

    Args:
        graph: the network.
        size: height and width of the input.
        symmetry: elements to test.
        geometry: judge the sampling grid alone, as if ordinary filters were tied.

    Raises:
        UserError: if the network does not fit the size.
    """
    graph.sizes(size)  # a size that does not fit is refused with a sentence before anything runs
    x = random_map("input", size, graph.group)
    before = list(run(graph, x, Ties(geometry)))
    broken: list[list[int]] = [[] for _ in before]
    for element in symmetry.tested(size):
        after = list(_as_far_as_it_fits(graph, transform(element, x), Ties(geometry, element)))
        for i, a in enumerate(before):
            if i >= len(after) or not equivariant(element, a, after[i]):
                broken[i].append(element)
    return Judgement(before, [tuple(elements) for elements in broken])


def exact_here(node: Node, maps: Sequence[Map], elements: Sequence[int], geometry: bool) -> tuple[int, ...]:
    """Elements that a layer by itself breaks, on generic inputs of the sizes that it reads.

    Args:
        node: the layer.
        maps: what the nodes of the graph make (`Judgement.maps`); only sizes and groups are used.
        elements: which elements of D4 to test.
        geometry: as in `judge`.
    """
    shapes = tuple((m.size, m.group, m.values.shape[1]) for m in (maps[i] for i in node.inputs))
    like = None if node.like is None else maps[node.like].size
    return _alone(node.layer.key, shapes, like, tuple(elements), geometry)


@lru_cache(maxsize=4096)
def _alone(
    layer: Layer,
    shapes: tuple[tuple[Size, Group | None, int], ...],
    like: Size | None,
    elements: tuple[int, ...],
    geometry: bool,
) -> tuple[int, ...]:
    inputs = [random_map(f"alone {i}", *shape) for i, shape in enumerate(shapes)]
    target = None if like is None else random_map("like", like, None)
    before = apply(layer, "alone", inputs, target, Ties(geometry))
    broken = []
    for element in elements:
        moved = [transform(element, x) for x in inputs]
        shape = None if target is None else transform(element, target)
        try:
            after = apply(layer, "alone", moved, shape, Ties(geometry, element))
        except UserError:  # reads the rectangle, but not the turned one
            after = None
        if after is None or not equivariant(element, before, after):
            broken.append(element)
    return tuple(broken)
