"""Why a layer is exact by itself or is not, in one clause."""

from __future__ import annotations

from collections.abc import Sequence

from shared.algebra.groups import cyclic
from shared.atlas.graph import Node, Size
from shared.atlas.layers import TRANSPOSED, Layer
from shared.atlas.symmetry import Symmetry, element_name, embedding, swaps_axes


def reason(
    node: Node, inputs: Sequence[Size], out: Size, symmetry: Symmetry, broken: Sequence[int], grid_exact: bool
) -> str:
    """Say why the layer is exact by itself, or what breaks it.

    Args:
        node: the layer.
        inputs: sizes of what it reads.
        out: size of what it makes.
        symmetry: what was asked for.
        broken: elements that the layer by itself breaks.
        grid_exact: whether it would be exact if its filters were tied.
    """
    if not broken:
        return _why_exact(node.layer, inputs[0], symmetry)
    if node.layer.kind in ("conv", TRANSPOSED, "flatten", "fixed") and grid_exact:
        return _untied(node.layer, inputs[0])
    return _why_broken(node.layer, inputs[0], out, symmetry, broken)


def _untied(layer: Layer, size: Size) -> str:
    if layer.mode == "shuffle":
        return "trades channels for pixels, whose places the symmetry changes"
    if layer.values is not None:
        what = "values" if layer.kind == "fixed" else "filters"
        return f"its {what} are known, and not the same after the symmetry"
    if layer.kind in ("conv", TRANSPOSED):
        return "ordinary convolution: its filters are not tied over the group"
    if layer.kind == "flatten":
        where = f"the {size[0]}x{size[1]} positions" if size != (1, 1) else "the orientations"
        return f"turns {where} into channels, which the next layer tells apart; pool over them instead"
    return "adds or multiplies by learned values that do not move with the input"


def _why_exact(layer: Layer, size: Size, symmetry: Symmetry) -> str:
    if layer.kind in ("adaptive_avg", "adaptive_max") or layer.kind.startswith("global"):
        return "adaptive windows are mirror images of each other at every size"
    if not layer.windowed:
        said = {"resize": "samples symmetrically", "pad": "same on both ends", "slice": "keeps the middle"}
        return said.get(layer.kind, "no grid is involved")
    left = [layer.remainder(axis, size[axis]) for axis in symmetry.axes]
    if any(left):
        return "pixels are left over, but every window holds the same values without them"
    if all(layer.stride[axis] == 1 for axis in symmetry.axes):
        return "stride 1"
    return "; ".join(dict.fromkeys(_division(layer, axis, size[axis]) for axis in symmetry.axes))


def _division(layer: Layer, axis: int, size: int) -> str:
    padding = sum(layer.padding[axis])
    inside = f"{size} + {padding} - {layer.reach(axis)}" if padding else f"{size} - {layer.reach(axis)}"
    return f"({inside}) mod {layer.stride[axis]} = {layer.remainder(axis, size)}"


def _why_broken(layer: Layer, size: Size, out: Size, symmetry: Symmetry, broken: Sequence[int]) -> str:
    if layer.tied:
        missing = [g for g in broken if g not in embedding(layer.group or cyclic(4))]
        if missing:
            names = ", ".join(map(element_name, missing))
            return f"its filters are tied over {(layer.group or cyclic(4)).name}, which lacks {names}"
    if any(map(swaps_axes, broken)) and not layer.isotropic:
        return "treats height and width differently, which a quarter turn swaps"
    if not layer.symmetric:
        return "pads one end more than the other, so the windows are off center"
    left = {axis: layer.remainder(axis, size[axis]) for axis in symmetry.axes}
    if any(left.values()):
        return _left_over(layer, size, left)
    if layer.kind == "slice":
        return "takes other pixels at one end than at the other"
    if any(layer.extra):
        return "its output padding is at one end only"
    if layer.kind == "resize":
        return f"{layer.mode} sampling of {size[0]}x{size[1]} to {out[0]}x{out[1]} is off center"
    return "its windows are not mirror images of each other"


def _left_over(layer: Layer, size: Size, left: dict[int, int]) -> str:
    axis = next(a for a in left if left[a])
    count = layer.stride[axis] - left[axis] if layer.ceil_mode else left[axis]
    where = "beyond" if layer.ceil_mode else "before"
    pixels = "1 pixel" if count == 1 else f"{count} pixels"
    return f"{_division(layer, axis, size[axis])}: the last window ends {pixels} {where} the padded edge"
