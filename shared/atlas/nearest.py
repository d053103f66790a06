"""Input sizes that keep a network exact, and changes that keep the size.

On one axis the sizes at which no layer of a chain leaves a remainder are ``a, a + S, a + 2 S, ...``: going
backwards from one output pixel, ``n_in = s (n_out - 1) + K - 2 p``, gives ``a``, and ``S`` is the product of
the strides. With branches or ceil mode the sizes are searched. What is found is then judged like any size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from shared.atlas.graph import Graph, Size
from shared.atlas.judge import decide
from shared.atlas.layers import TRANSPOSED, Layer
from shared.atlas.symmetry import Symmetry
from shared.base.errors import UserError

Pair = tuple[Layer, Layer]
Change = Callable[[Layer, Size, Size], Layer | None]
_TRIES = 4  # candidates without remainder that are judged before giving up: no size helps
_LARGEST_STEP = 4096
_FURTHEST_READ = 34  # where the network has to run at each size that is tried


def _text(size: Size) -> str:
    return str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"


@dataclass(frozen=True)
class Nearest:
    """The next exact input sizes on both sides, (height, width); None if there is none."""

    below: Size | None
    above: Size | None

    def sentence(self, size: Size, exact: bool) -> str:
        """Say it in words."""
        found = [_text(s) for s in (self.below, self.above) if s is not None]
        if not found:
            return f"no {'other ' if exact else ''}input size near {_text(size)} is exact"
        return f"nearest {'other ' if exact else ''}exact sizes to {_text(size)}: {' and '.join(found)}"


@dataclass(frozen=True)
class Alternative:
    """Layers to change so that the network is exact at the size it was asked for.

    Args:
        changes: pairs of the layer as it is and as it could be.
        sentence: the same in words.
    """

    changes: tuple[Pair, ...]
    sentence: str


def is_exact(graph: Graph, size: Size, symmetry: Symmetry, geometry: bool = False) -> bool:
    """Whether the output is exact; False also where the network does not fit the size."""
    try:
        graph = graph.at(size)
        return not decide(graph, size, symmetry, geometry).broken[graph.output]
    except UserError:
        return False


def chain_sizes(graph: Graph, axis: int) -> tuple[int, int] | None:
    """Smallest size without remainder and the step to the next ones; None if the graph is no such chain."""
    searched = ("resize", "slice", TRANSPOSED)
    if (
        not graph.chain
        or graph.reread
        or any(node.layer.kind in searched or node.layer.fit for _, node in graph)
    ):
        return None
    size, step = 1, 1
    for _, node in reversed(list(graph)):
        layer = node.layer
        if layer.windowed or layer.kind == "pad":
            size, step = layer.size_before(axis, size), step * layer.stride[axis]
        elif layer.kind.startswith("global") or (layer.output is not None and layer.output[axis] is not None):
            size, step = 1, 1  # takes any size
    first = size if size >= 1 else size + step * math.ceil((1 - size) / step)
    return first, step


def _total_step(graph: Graph, axis: int) -> int:
    """Product of the strides on the way down; after so many pixels the remainders repeat."""
    steps = [1]
    for _, node in graph:
        widest = max(steps[i] for i in node.inputs)
        steps.append(widest * node.layer.stride[axis] if node.layer.windowed else widest)
    return min(max(steps), _LARGEST_STEP)


def _no_remainder(graph: Graph, axis: int, size: int) -> bool:
    try:
        return not any(graph.at((size, size)).remainders(axis, size))
    except UserError:
        return False


def candidates(graph: Graph, axis: int, size: int, direction: int) -> Iterator[int]:
    """Sizes beyond ``size`` in one direction at which no layer leaves a remainder, nearest first."""
    pattern = chain_sizes(graph, axis)
    if pattern is not None:
        first, step = pattern
        above = max(0, (size - first) // step + 1)
        turns = (
            range(above, above + _TRIES) if direction > 0 else range(-((first - size) // step) - 1, -1, -1)
        )
        yield from (first + step * t for t in turns)
        return
    furthest = _FURTHEST_READ if graph.reread else 2 * _total_step(graph, axis) + 64
    for distance in range(1, furthest):
        other = size + direction * distance
        if other < 1:
            return
        if _no_remainder(graph, axis, other):
            yield other


def nearest_exact(graph: Graph, size: Size, symmetry: Symmetry, geometry: bool = False) -> Nearest:
    """Find the next smaller and larger exact sizes.

    A rectangular input keeps an axis that leaves no remainder if the other does; axes that the symmetry
    does not ask about stay as they are.
    """
    below, above = (_step(graph, size, symmetry, geometry, direction) for direction in (-1, 1))
    return Nearest(below, above)


def _step(graph: Graph, size: Size, symmetry: Symmetry, geometry: bool, direction: int) -> Size | None:
    wrong = [axis for axis in symmetry.axes if not _no_remainder(graph, axis, size[axis])]
    moving = wrong or list(symmetry.axes)
    ways = [candidates(graph, axis, size[axis], direction) for axis in moving]
    for found in islice(zip(*ways), _TRIES):
        other = list(size)
        for axis, value in zip(moving, found):
            other[axis] = value
        if is_exact(graph, tuple(other), symmetry, geometry):
            return tuple(other)
    return None


def alternatives(
    graph: Graph, size: Size, symmetry: Symmetry, geometry: bool = False
) -> tuple[Alternative, ...]:
    """Propose other kernels, or adaptive pools, for the layers that leave a remainder; all sizes stay.

    Only what makes the whole network exact is proposed.
    """
    found = []
    for describe, change in ((_kernel_sentence, _other_kernel), (_adaptive_sentence, _adaptive_pool)):
        changed, changes = _replace(graph, size, symmetry, change)
        if changes and is_exact(changed, size, symmetry, geometry):
            found.append(Alternative(tuple(changes), describe(size, changes)))
    return tuple(found)


def _replace(graph: Graph, size: Size, symmetry: Symmetry, change: Change) -> tuple[Graph, list[Pair]]:
    sizes, changes = graph.sizes(size), []
    for i, node in graph:
        here = sizes[node.inputs[0]]
        if any(node.layer.remainder(axis, here[axis]) for axis in symmetry.axes):
            other = change(node.layer, here, sizes[i])
            if other is None:
                return graph, []
            graph = graph.with_layer(i, other)
            changes.append((node.layer, other))
    return graph, changes


def _other_kernel(layer: Layer, size: Size, out: Size) -> Layer | None:
    """The layer with the nearest kernel and symmetric padding that leave no remainder and keep the size."""
    largest = max(layer.kernel) + max(layer.stride)
    options = [(k, p) for k in range(1, largest + 1) for p in range(k // 2 + 1)]
    now = (layer.kernel[0], layer.padding[0][0])
    for k, p in sorted(options, key=lambda option: 2 * abs(option[0] - now[0]) + abs(option[1] - now[1])):
        other = replace(layer, kernel=k, padding=p)
        fits = all(other.out_size(axis, size[axis]) == out[axis] for axis in (0, 1))
        if fits and not any(other.remainder(axis, size[axis]) for axis in (0, 1)):
            return other
    return None


def _kernel_sentence(size: Size, changes: list[Pair]) -> str:
    each = (f"{old.name} kernel {_text(new.kernel)}, padding {new.padding[0][0]}" for old, new in changes)
    return f"or keep {_text(size)} and give " + "; ".join(each)


def _adaptive_pool(layer: Layer, size: Size, out: Size) -> Layer | None:
    kinds = {"max_pool": "adaptive_max", "avg_pool": "adaptive_avg"}
    return Layer(layer.name, kinds[layer.kind], output=out) if layer.kind in kinds else None


def _adaptive_sentence(size: Size, changes: list[Pair]) -> str:
    each = (f"{old.name} an adaptive pool to {_text(new.output)}" for old, new in changes)
    return f"or keep {_text(size)} and make " + "; ".join(each)
