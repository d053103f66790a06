"""Networks described by hand, for forwards that cannot be traced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.algebra.groups import Group
from shared.atlas.graph import INPUT, Graph
from shared.atlas.layers import Layer
from shared.atlas.values import Builder, Ref
from shared.base.errors import UserError


@dataclass(frozen=True)
class Branches:
    """Parallel paths that read the same map; an empty path is the identity (a skip connection).

    Args:
        paths: for each branch its layers.
        merge: "add", "mul" or "cat".
        name: what to call the merge in the report.
    """

    paths: tuple[Sequence[Layer | Branches], ...]
    merge: str = "add"
    name: str = ""


Description = Sequence[Layer | Branches]


@dataclass(frozen=True)
class Chain:
    """A network described by hand: layers and `Branches`, one after the other.

    Args:
        layers: in the order in which they run.
        group: of the input if it is a regular feature map; None for an image.
    """

    layers: Description
    group: Group | None = None

    def graph(self) -> Graph:
        """Number the layers and connect them.

        Raises:
            UserError: if there is no layer, something that is neither a `Layer` nor `Branches`, or a layer
                that cannot read what the one before it makes.
        """
        builder = Builder()
        last = _append(builder, self.layers, Ref(INPUT, self.group, True))
        if last.number == INPUT:
            raise UserError("the description has no layers; give at least one Layer")
        return Graph(tuple(builder.nodes), self.group, last.number)


def _append(builder: Builder, layers: Description, last: Ref) -> Ref:
    for item in layers:
        if isinstance(item, Branches):
            ends = [_append(builder, path, last) for path in item.paths]
            last = builder.add(Layer(item.name or item.merge, item.merge), *ends)
        elif isinstance(item, Layer):
            last = builder.add(item, last)
        else:
            raise UserError(f"{item!r} is neither a Layer nor Branches; see shared.atlas.Layer")
    return last
