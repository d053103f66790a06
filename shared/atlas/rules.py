"""How each kind of layer acts on maps, over any `Arithmetic`.

The network keeps its windows, strides, padding and ties, but has one channel and random weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from shared.algebra.actions import grid_permutation
from shared.algebra.groups import Group, cyclic
from shared.atlas import axes
from shared.atlas.layers import CONVOLUTIONS, TRANSPOSED, Layer
from shared.atlas.maps import Arithmetic, Map, common_group
from shared.atlas.symmetry import move
from shared.base.errors import UserError


@dataclass(frozen=True)
class Ties:
    """Whether ordinary filters count as tied over the group, and by which element of D4 the input was moved.

    With ``pretend``, an ordinary filter is turned with the input; so the sampling grid is judged alone.
    """

    pretend: bool = False
    element: int = 0


_MIXING = (*CONVOLUTIONS, TRANSPOSED, "norm", "fixed", "linear", "mix", "attention")


@dataclass(frozen=True)
class Runner:
    """Runs layers: on which numbers, and how ordinary filters are treated."""

    numbers: Arithmetic
    ties: Ties = field(default_factory=Ties)

    def __call__(self, layer: Layer, seed: str, inputs: Sequence[Map], like: Map | None = None) -> Map:
        """Run one layer.

        Args:
            layer: what to run.
            seed: names its weights; the same for an input and for the moved input.
            inputs: one map, or one for each branch of a merge.
            like: map whose size a resize imitates.

        Raises:
            UserError: if the layer does not fit the maps.
        """
        x = inputs[0]
        out = tuple(layer.out_size(a, x.size[a], None if like is None else like.size[a]) for a in (0, 1))
        if min(out) < 1:
            raise UserError(f"layer {layer.name!r} does not fit a map of {x.size[0]}x{x.size[1]} pixels")
        result = _RULES[layer.kind](_Call(self.numbers, layer, seed, inputs, out, self.ties))
        return replace(result, nonnegative=_nonnegative(layer, all(x.nonnegative for x in inputs)))


def _nonnegative(layer: Layer, inputs: bool) -> bool:
    """Whether no value of the output can be negative, given whether no input can."""
    if layer.kind == "act":
        return layer.bend.nonnegative or (inputs and layer.bend.rising_from_zero)
    if layer.kind == "affine":
        return inputs and (layer.positive if layer.numbers is None else min(layer.numbers) >= 0)
    if layer.kind == "fixed" and layer.values is not None:
        return inputs and bool((layer.values.tensor >= 0).all())
    return inputs and layer.kind not in _MIXING and layer.mode != "bicubic"


@dataclass(frozen=True)
class _Call:
    numbers: Arithmetic
    layer: Layer
    seed: str
    inputs: Sequence[Map]
    out: tuple[int, int]
    ties: Ties

    @property
    def x(self) -> Map:
        return self.inputs[0]

    def weights(self, *shape: int) -> Tensor:
        return self.numbers.draw(self.seed + " weight", shape)

    def bias(self, *shape: int) -> Tensor | int:
        return self.numbers.draw(self.seed + " bias", shape) if self.layer.bias else 0


def _ordinary(call: _Call) -> Map:
    return _convolve(call, _untied_bank(call), None)


def _untied_bank(call: _Call) -> Tensor:
    """Filters ``(lanes, 1, channels, orientations, k, k)``: drawn anew, or those known."""
    x, ties, known = call.x.values, call.ties, call.layer.values
    if known is None:
        weight = call.weights(*x.shape[:3], *call.layer.kernel)
    else:
        share = call.weights(*x.shape[:3], 1, 1)
        weight = call.numbers.reduce(share * call.numbers.known(known.tensor))
    turned = move(ties.element, weight, None) if ties.pretend else weight
    return (turned if turned.shape == weight.shape else weight)[:, None]  # unequal sides cannot be turned


def _transposed(call: _Call) -> Map:
    """Zeros between the pixels and around them, then a convolution by the filter turned by 180 degrees."""
    layer, bank = call.layer, _untied_bank(call).flip((-2, -1))
    lanes, channels, fibers = call.x.values.shape[:3]
    rows, columns = (layer.stride[a] * (call.x.size[a] - 1) + 1 for a in (0, 1))
    spread = call.x.values.new_zeros(lanes, channels * fibers, rows, columns)
    spread[..., :: layer.stride[0], :: layer.stride[1]] = call.x.values.flatten(1, 2)
    (top, bottom), (left, right) = (
        (layer.reach(a) - 1 - layer.padding[a][0], layer.reach(a) - 1 - layer.padding[a][1] + layer.extra[a])
        for a in (0, 1)
    )
    padded = F.pad(spread, (left, right, top, bottom))
    plain = Layer(layer.name, "conv", layer.kernel, dilation=layer.dilation)
    values = call.numbers.convolve(padded, bank.flatten(2, 3), plain)[:, None]
    return Map(call.numbers.reduce(values + call.bias(call.numbers.lanes, 1, 1, 1, 1)), None)


@lru_cache(maxsize=64)
def _bank_index(group: Group, k: int, fibers: int) -> Tensor:
    """Free weight under each entry of the dense filters: g acts on pixels, and on orientations by g^-1 h.

    Shape:
        the result is ``(|G|, fibers, k, k)`` with indices into ``fibers * k * k`` (Cohen and Welling 2016).
    """
    pixels = grid_permutation(group, k)
    orientations = (
        torch.tensor(group.table[group.inverse]) if fibers > 1 else torch.zeros(group.order, 1).long()
    )
    return (orientations[:, :, None] * (k * k) + pixels[:, None]).unflatten(-1, (k, k))


def _tied(call: _Call) -> Map:
    group, k = call.layer.group or cyclic(4), call.layer.kernel[0]
    lanes, channels, fibers = call.x.values.shape[:3]
    weight = call.weights(lanes, channels, fibers * k * k)
    return _convolve(call, weight[:, :, _bank_index(group, k, fibers)].transpose(1, 2), group)


def _convolve(call: _Call, bank: Tensor, group: Group | None) -> Map:
    """Convolve with ``(lanes, orientations out, channels, orientations in, k, k)`` and add the bias."""
    layer, numbers = call.layer, call.numbers
    x = F.pad(call.x.values, (*layer.padding[1], *layer.padding[0])).flatten(1, 2)
    values = numbers.convolve(x, bank.flatten(2, 3), layer)[:, None]
    return Map(numbers.reduce(values + call.bias(numbers.lanes, 1, 1, 1, 1)), group)


def _resample(call: _Call) -> Map:
    """Average pools, resizing and padding: one matrix for each axis."""
    layer, x, numbers = call.layer, call.x, call.numbers
    rows, columns = (
        numbers.matrix(axes.weights(layer, a, x.size[a], call.out[a]), x.size[a]) for a in (0, 1)
    )
    tall = numbers.reduce(rows @ x.values.double()).double()
    values = numbers.reduce(tall @ columns.T)
    if (
        layer.kind == "slice"
        or layer.mode.startswith("nearest")
        or layer.mode in ("replicate", "reflect", "circular")
    ):
        return numbers.copy(x, values, rows > 0, columns > 0)
    return Map(values, x.group)


def _maximum(call: _Call) -> Map:
    read = [axes.windows(call.layer.key, a, call.x.size[a], call.out[a]) for a in (0, 1)]
    if not all(r.any(1).all() for r in read):
        raise UserError(
            f"a window of {call.layer.name!r} lies altogether in its padding, which gives minus infinity"
        )
    return call.numbers.maximum(call.x, *read)


def _activate(call: _Call) -> Map:
    return call.numbers.activate(call.x, call.layer, call.seed)


def _scale_and_shift(call: _Call, values: Tensor) -> Map:
    """Scale and shift each channel, with either sign."""
    shape = (*values.shape[:2], 1, 1, 1)
    scaled = call.numbers.reduce(values * call.weights(*shape) + call.bias(*shape))
    return Map(scaled, call.x.group)


def _affine(call: _Call) -> Map:
    layer, numbers = call.layer, call.numbers
    if layer.numbers is not None:
        return numbers.scale(call.x, *layer.numbers, rising=layer.numbers[0] > 0)
    if layer.positive:
        shape = (*call.x.values.shape[:2], 1, 1, 1)
        return numbers.scale(call.x, numbers.draw_positive(f"{call.seed} factor", shape), 0.0, rising=True)
    return _scale_and_shift(call, call.x.values)


def _attention(call: _Call) -> Map:
    """Each pixel and orientation by itself and by a function of all, whatever their places."""
    values, act = call.x.values, Layer("", "act", curve="softmax")
    own = call.numbers.activate(Map(values), act, f"{call.seed} each").values
    share = call.numbers.matrix([[(0, Fraction(1, values[0, 0].numel()))]], 1)
    total = call.numbers.reduce(own.sum((2, 3, 4), keepdim=True)).double()
    mean = call.numbers.reduce(total * share)
    weights = call.weights(*values.shape[:2], 1, 1, 1)
    mixed = call.numbers.reduce(values + call.numbers.reduce(mean * weights))
    return Map(call.numbers.activate(Map(mixed), act, f"{call.seed} all").values, call.x.group)


def _normalize(call: _Call) -> Map:
    """Shift and scale by statistics of the unordered values, then by weights.

    If a channel is normalized by itself, its mean vanishes afterwards, and so does all that was broken in it.
    """
    alone = call.layer.mode == "channel"
    dims = (2, 3, 4) if alone else (1, 2, 3, 4)
    return _scale_and_shift(call, call.numbers.normalize(call.x.values, dims, alone, call.seed))


def _pool_orientations(call: _Call) -> Map:
    x, numbers = call.x, call.numbers
    if call.layer.mode != "mean":
        return numbers.pool_orientations(x)
    count = x.values.shape[2]
    share = numbers.matrix([[(i, Fraction(1, count)) for i in range(count)]], count)
    mean = numbers.reduce(x.values.double().movedim(2, -1) @ share[0])
    return Map(mean.unsqueeze(2))


def _fixed(call: _Call) -> Map:
    """Add, or multiply by, known values, or learned ones that are untied over pixels and orientations."""
    values, known = call.x.values, call.layer.values
    if known is not None and not call.ties.pretend:
        fixed = call.numbers.known(known.tensor)
    else:
        fixed = call.weights(*((*values.shape[:2], 1, 1, 1) if call.ties.pretend else values.shape))
    changed = values * fixed if call.layer.mode == "mul" else values + fixed
    return Map(call.numbers.reduce(changed), call.x.group)


def _flatten(call: _Call) -> Map:
    """Positions and orientations become channels, in an order that matters unless ties are pretended."""
    values = call.x.values.flatten(2)
    values = values.sort(-1).values if call.ties.pretend else values
    return Map(values.reshape(len(values), -1, 1, 1, 1))


def _mix(call: _Call, values: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of channels, pixel by pixel."""
    return call.numbers.reduce(call.numbers.reduce(values * weights).sum(1, keepdim=True))


def _dense(call: _Call) -> Map:
    values = call.x.values
    mixed = _mix(call, values, call.weights(*values.shape[:2], 1, 1, 1))
    return Map(call.numbers.reduce(mixed + call.bias(len(values), 1, 1, 1, 1)), call.x.group)


def _merge(call: _Call) -> Map:
    """Sum or product of branches; a concatenation that meets another map is mixed to one channel."""
    parts = [x.values for x in call.inputs]
    if len({part.shape[1] for part in parts}) > 1:
        shapes = [(*part.shape[:2], 1, 1, 1) for part in parts]
        weights = [call.numbers.draw(f"{call.seed} {i}", shape) for i, shape in enumerate(shapes)]
        parts = [_mix(call, part, weight) for part, weight in zip(parts, weights)]
    total = parts[0]
    for part in parts[1:]:
        _meet(call.layer, total, part)
        total = call.numbers.reduce(total * part if call.layer.kind == "mul" else total + part)
    return Map(total, common_group(call.inputs))


def _meet(layer: Layer, left: Tensor, right: Tensor) -> None:
    """Refuse branches of different sizes, unless one has a single pixel."""
    if any(a != b and 1 not in (a, b) for a, b in zip(left.shape[-2:], right.shape[-2:])):
        raise UserError(f"the branches that meet in {layer.name!r} differ in size")


def _concatenate(call: _Call) -> Map:
    if len({x.size for x in call.inputs}) > 1:
        raise UserError(f"the branches that meet in {call.layer.name!r} differ in size")
    return Map(torch.cat([x.values for x in call.inputs], 1), common_group(call.inputs))


_RULES: dict[str, Callable[[_Call], Map]] = {
    "conv": _ordinary,
    TRANSPOSED: _transposed,
    "mix": lambda call: _dense(call),
    "attention": _attention,
    **dict.fromkeys(("lift", "group_conv"), _tied),
    **dict.fromkeys(("avg_pool", "adaptive_avg", "global_avg", "resize", "pad", "slice"), _resample),
    **dict.fromkeys(("max_pool", "adaptive_max", "global_max"), _maximum),
    "act": _activate,
    "affine": _affine,
    "norm": _normalize,
    "identity": lambda call: call.x,
    "group_pool": _pool_orientations,
    "fixed": _fixed,
    "flatten": _flatten,
    "linear": _dense,
    **dict.fromkeys(("add", "mul"), _merge),
    "cat": _concatenate,
}
