"""Which layers of a network are exact, each by itself and up to its depth."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from shared.algebra.groups import Group
from shared.atlas.field import PrimeField
from shared.atlas.graph import Graph, Node, Size
from shared.atlas.layers import Layer
from shared.atlas.maps import Arithmetic, Map, transform
from shared.atlas.reals import Reals
from shared.atlas.rules import Runner, Ties
from shared.atlas.symmetry import Symmetry, swaps_axes
from shared.base.errors import UserError

_FIELD = PrimeField()
_ORDERS = ("max_pool", "adaptive_max", "global_max")
#: A verdict of the field is revised only if so many draws, in each of which the layer's output depends on the
#: input, show no difference.
_TELLING_DRAWS = 150
_MOST_DRAWS = 600
_LANES, _ENTRIES = 40, 1 << 21


def run(graph: Graph, x: Map, runner: Runner) -> Iterator[Map]:
    """Yield the maps of all nodes, the input first."""
    maps = [x]
    yield x
    for i, node in graph:
        like = None if node.like is None else maps[node.like]
        maps.append(runner(node.layer, f"layer {i}", [maps[j] for j in node.inputs], like))
        yield maps[-1]


@dataclass(frozen=True)
class Judgement:
    """Maps of all nodes for one input, and for each node the elements under which it is not exact."""

    maps: list[Map]
    broken: list[tuple[int, ...]]


def decide(graph: Graph, size: Size, symmetry: Symmetry, geometry: bool) -> Judgement:
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
    trial = _Trial(graph, size, geometry, _FIELD)
    broken = {element: trial.broken(element) for element in symmetry.tested(size)}
    if any(broken.values()) and any(_orders(node.layer) for _, node in graph):
        broken = _revise(graph, size, geometry, broken)
    count = len(trial.before)
    return Judgement(trial.before, [tuple(g for g in broken if i in broken[g]) for i in range(count)])


def _orders(layer: Layer) -> bool:
    return layer.kind in _ORDERS or (layer.kind == "group_pool" and layer.mode != "mean")


def turned(graph: Graph, size: Size, element: int) -> Graph | None:
    """The network's layers for the moved input: others, if they depend on a size whose axes are swapped.

    None if the network cannot read the moved input, or takes another way there.
    """
    if not swaps_axes(element) or size[0] == size[1]:
        return graph
    try:
        other = graph.at(size[::-1])
    except UserError:
        return None
    same = [node.inputs for node in other.nodes] == [node.inputs for node in graph.nodes]
    return other if same else None


class _Trial:
    """One set of inputs and weights."""

    def __init__(self, graph: Graph, size: Size, geometry: bool, numbers: Arithmetic) -> None:
        self.graph, self.geometry, self.numbers = graph, geometry, numbers
        self.x = numbers.random_map("input", size, graph.group)
        self.before = list(run(graph, self.x, Runner(numbers, Ties(geometry))))

    def broken(self, element: int) -> set[int]:
        """Nodes at which moving the input does not move the map."""
        after = list(self._as_far_as_it_fits(element))
        unreadable = turned(self.graph, self.x.size, element) is None
        return {
            i
            for i, before in enumerate(self.before)
            if i >= len(after)
            or (unreadable and i == self.graph.output)
            or not self.numbers.equivariant(element, before, after[i])
        }

    def _as_far_as_it_fits(self, element: int) -> Iterator[Map]:
        """Yield maps until a layer does not fit: a network may read a rectangle but not the turned one."""
        graph = turned(self.graph, self.x.size, element) or self.graph
        with contextlib.suppress(UserError):
            moved = transform(element, self.x)
            yield from run(graph, moved, Runner(self.numbers, Ties(self.geometry, element)))

    def telling(self, nodes: set[int]) -> dict[int, int]:
        """In how many lanes the map of each node depends on the input."""
        other = Map(self.x.values.flip(0), self.x.group)
        maps = list(run(self.graph, other, Runner(self.numbers, Ties(self.geometry))))
        return {i: int(self.numbers.differs(self.before[i].values, maps[i].values).sum()) for i in nodes}


def _revise(graph: Graph, size: Size, geometry: bool, broken: dict[int, set[int]]) -> dict[int, set[int]]:
    """Clear nodes at which maxima absorb what was broken: real numbers, many draws, no difference.

    The first round has four draws, which is enough to confirm almost all.
    """
    doubtful = {element: set(nodes) for element, nodes in broken.items()}
    told = dict.fromkeys(set().union(*broken.values()), 0)
    lanes, drawn, number = 4, 0, 0
    while any(doubtful.values()) and drawn < _MOST_DRAWS:
        trial = _Trial(graph, size, geometry, Reals(lanes, number))
        for element, nodes in doubtful.items():
            if nodes:
                nodes -= trial.broken(element)
        for i, count in trial.telling(set().union(*doubtful.values())).items():
            told[i] += count
        drawn, number = drawn + lanes, number + 1
        lanes = max(4, min(_LANES, _ENTRIES // max(m.values[0].numel() for m in trial.before)))
    cleared = {i for i, count in told.items() if count >= _TELLING_DRAWS}
    return {element: nodes - (doubtful[element] & cleared) for element, nodes in broken.items()}


def exact_here(
    node: Node, maps: Sequence[Map], elements: Sequence[int], geometry: bool, other: Node | None = None
) -> tuple[int, ...]:
    """Elements that a layer by itself breaks, on generic inputs of the sizes that it reads.

    Args:
        node: the layer.
        maps: what the nodes of the graph make (`Judgement.maps`); only sizes and groups are used.
        elements: which elements of D4 to test.
        geometry: as in `decide`.
        other: what stands in for the layer when the axes are swapped, if not the layer itself (`turned`).
    """
    shapes = tuple((m.size, m.group, m.values.shape[1]) for m in (maps[i] for i in node.inputs))
    like = None if node.like is None else maps[node.like].size
    swapped = node.layer if other is None else other.layer
    return _alone(node.layer.key, swapped.key, shapes, like, tuple(elements), geometry)


@lru_cache(maxsize=4096)
def _alone(
    layer: Layer,
    swapped: Layer,
    shapes: tuple[tuple[Size, Group | None, int], ...],
    like: Size | None,
    elements: tuple[int, ...],
    geometry: bool,
) -> tuple[int, ...]:
    inputs = [_FIELD.random_map(f"alone {i}", *shape) for i, shape in enumerate(shapes)]
    target = None if like is None else _FIELD.random_map("like", like, None)
    before = Runner(_FIELD, Ties(geometry))(layer, "alone", inputs, target)
    broken = []
    for element in elements:
        moved = [transform(element, x) for x in inputs]
        shape = None if target is None else transform(element, target)
        try:
            acting = swapped if swaps_axes(element) else layer
            after = Runner(_FIELD, Ties(geometry, element))(acting, "alone", moved, shape)
        except UserError:  # reads the rectangle, but not the turned one
            after = None
        if after is None or not _FIELD.equivariant(element, before, after):
            broken.append(element)
    return tuple(broken)
