"""The atlas of one network at one size: its rows, its verdict, and how it reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from shared.atlas import nearest
from shared.atlas.graph import Graph, Size
from shared.atlas.layers import POINTWISE, Layer
from shared.atlas.symmetry import Symmetry, element_name

_HEAD = "| layer | kind | in | out | K | stride | padding | remainder | exact here | exact so far | reason |"


@dataclass(frozen=True)
class Row:
    """What one layer does to exactness.

    Args:
        name: of the layer.
        kind: what it is (`Layer.kind`).
        input_size, output_size: height and width in pixels.
        reach: K = d (k - 1) + 1 by axis; None for layers without fixed windows, as the next three.
        stride: by axis.
        padding: (before, after) by axis.
        remainder: (size + padding - K) mod stride by axis.
        exact_here: whether the layer by itself is exact, on inputs of this size.
        exact_so_far: whether everything up to this layer's output is exact.
        reason: why it is exact by itself, or what breaks it.
        broken: names of the elements under which the output is not exact; on square inputs only generators
            of the symmetry are tried.
    """

    name: str
    kind: str
    input_size: Size
    output_size: Size
    reach: Size | None
    stride: Size | None
    padding: tuple[Size, Size] | None
    remainder: Size | None
    exact_here: bool
    exact_so_far: bool
    reason: str
    broken: tuple[str, ...] = ()


def make_row(layer: Layer, sizes: tuple[Size, Size], here: bool, broken: tuple[int, ...], reason: str) -> Row:
    """Fill a row from a layer and what was found out about it; ``sizes`` are those of input and output."""
    geometry = (None, None, None, None)
    if layer.windowed:
        remainder = tuple(layer.remainder(axis, sizes[0][axis]) for axis in (0, 1))
        geometry = ((layer.reach(0), layer.reach(1)), layer.stride, layer.padding, remainder)
    names = tuple(map(element_name, broken))
    return Row(layer.name, layer.kind, *sizes, *geometry, here, not broken, reason, names)


def _one(pair: tuple | None) -> str:
    """A pair as one number where both are equal."""
    if pair is None:
        return ""
    if isinstance(pair[0], tuple):
        pair = tuple(side[0] if side[0] == side[1] else f"{side[0]}+{side[1]}" for side in pair)
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"


def _yes(value: bool) -> str:
    return "yes" if value else "**no**"


@dataclass(frozen=True)
class Atlas:
    """Verdict on a network at an input size.

    ``exact`` means: equivariant (or invariant, if the result has no pixels and orientations) for all weights
    and inputs, up to rounding, in eval mode. Not exact means: not for generic ones; single networks may be,
    such as one whose activations are all zero.

    Args:
        symmetry: what was asked for.
        size: height and width of the input.
        rows: one for each layer, in the order in which they run.
        exact: whether the network's output is exact.
        first_break: the earliest layer whose break reaches the output; None if exact.
    """

    symmetry: Symmetry
    size: Size
    rows: tuple[Row, ...]
    exact: bool
    first_break: Row | None
    graph: Graph = field(repr=False)
    geometry: bool = field(repr=False, default=False)

    @cached_property
    def nearest_exact(self) -> nearest.Nearest:
        """The next smaller and larger input sizes that are exact, this one left out."""
        return nearest.nearest_exact(self.graph, self.size, self.symmetry, self.geometry)

    @cached_property
    def alternatives(self) -> tuple[nearest.Alternative, ...]:
        """Changes of layers that make the network exact without changing any size."""
        return nearest.alternatives(self.graph, self.size, self.symmetry, self.geometry)

    def __bool__(self) -> bool:
        return self.exact

    def __str__(self) -> str:
        return self.explain()

    @property
    def verdict(self) -> str:
        """One line."""
        at = f"at {self.size[0]}x{self.size[1]}"
        if self.exact:
            return f"exact for {self.symmetry.name} {at}"
        return f"not exact for {self.symmetry.name} {at}: {self.first_break.name!r} breaks it first"

    def explain(self) -> str:
        """The verdict, what breaks it and what to do about it, as a few readable lines."""
        lines = [self.verdict + ("" if self.exact else f": {self.first_break.reason}")]
        telling = [row for row in self.rows if not row.exact_here or row.stride not in (None, (1, 1))]
        lines += map(self._line, telling)
        others = len(self.rows) - len(telling)
        if others:
            lines.append(f"  (the other {others} layers have stride 1 or no grid: exact themselves)")
        lines.append(self.nearest_exact.sentence(self.size, self.exact))
        if not self.exact:
            lines += [alternative.sentence for alternative in self.alternatives]
        return "\n".join(lines)

    @staticmethod
    def _line(row: Row) -> str:
        if row.exact_so_far:
            state = "exact" if row.exact_here else "repairs what broke before it"
        else:
            state = "exact itself, but broken before" if row.exact_here else "broken"
        sides = f"{_one(row.input_size)} -> {_one(row.output_size)}"
        return f"  {row.name} ({row.kind}): {sides}, {state} ({row.reason})"

    def to_markdown(self, everything: bool = False) -> str:
        """The rows as a Markdown table.

        Args:
            everything: also rows of activations, norms and dropout, which never break anything.
        """
        lines = [_HEAD, "|" + "---|" * (_HEAD.count("|") - 1)]
        for row in self.rows:
            if everything or row.kind not in POINTWISE:
                numbers = (row.input_size, row.output_size, row.reach, row.stride, row.padding, row.remainder)
                verdicts = (_yes(row.exact_here), _yes(row.exact_so_far))
                cells = (row.name, row.kind, *map(_one, numbers), *verdicts, row.reason)
                lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"
