"""How each kind of layer acts on maps over the prime field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from shared.actions import grid_permutation
from shared.atlas import axes
from shared.atlas.activations import CURVES
from shared.atlas.axes import PRIME
from shared.atlas.fingerprint import (
    LANES,
    Map,
    common_group,
    compose,
    draw,
    over_windows,
    scramble,
    set_value,
    through_maxima,
)
from shared.atlas.layers import CONVOLUTIONS, Layer
from shared.atlas.symmetry import move
from shared.errors import UserError
from shared.groups import Group, cyclic

_EXACT_TERMS = 1 << 13  # so many products of residues sum to less than 2^53
_LARGEST_SET = 1 << 25


@dataclass(frozen=True)
class Ties:
    """Whether ordinary filters count as tied over the group, and by which element of D4 the input was moved.

    With ``pretend``, an ordinary filter is turned with the input; so the sampling grid is judged alone.
    """

    pretend: bool = False
    element: int = 0


def apply(
    layer: Layer, seed: str, inputs: Sequence[Map], like: Map | None = None, ties: Ties | None = None
) -> Map:
    """Run one layer.

    Args:
        layer: what to run.
        seed: names its weights; the same for an input and for the moved input.
        inputs: one map, or one for each branch of a merge.
        like: map whose size a resize imitates.
        ties: how ordinary filters are treated; as they are if left out.

    Raises:
        UserError: if the layer does not fit the maps.
    """
    x = inputs[0]
    out = tuple(layer.out_size(a, x.size[a], None if like is None else like.size[a]) for a in (0, 1))
    if min(out) < 1:
        raise UserError(f"layer {layer.name!r} does not fit a map of {x.size[0]}x{x.size[1]} pixels")
    result = _RULES[layer.kind](_Call(layer, seed, inputs, out, ties or Ties()))
    return replace(result, nonnegative=_nonnegative(layer, all(x.nonnegative for x in inputs)))


def _nonnegative(layer: Layer, inputs: bool) -> bool:
    """Whether no value of the output can be negative, given whether no input can."""
    if layer.kind == "act":
        curve = CURVES[layer.curve]
        return curve.nonnegative or (inputs and curve.rising_from_zero)
    mixes = layer.kind in (*CONVOLUTIONS, "affine", "norm", "fixed", "linear") or layer.mode == "bicubic"
    return inputs and not mixes


@dataclass(frozen=True)
class _Call:
    layer: Layer
    seed: str
    inputs: Sequence[Map]
    out: tuple[int, int]
    ties: Ties

    @property
    def x(self) -> Map:
        return self.inputs[0]

    def weights(self, *shape: int) -> Tensor:
        return draw(self.seed + " weight", shape)

    def bias(self, *shape: int) -> Tensor | int:
        return draw(self.seed + " bias", shape) if self.layer.bias else 0


def _ordinary(call: _Call) -> Map:
    x, ties = call.x.values, call.ties
    weight = call.weights(*x.shape[:3], *call.layer.kernel)
    turned = move(ties.element, weight, None) if ties.pretend else weight
    bank = turned if turned.shape == weight.shape else weight  # a kernel of unequal sides cannot be turned
    return _convolve(call, bank[:, None], None)


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
    """Cross-correlation in float64, in pieces small enough to be exact.

    Shape:
        bank ``(lanes, orientations out, channels, orientations in, k, k)``.
    """
    layer, lanes = call.layer, bank.shape[0]
    x = F.pad(call.x.values, (*layer.padding[1], *layer.padding[0])).flatten(1, 2).double()
    filters = bank.flatten(2, 3).double()
    piece = max(1, _EXACT_TERMS // filters[0, 0, 0].numel())
    total: Tensor | int = 0
    for start in range(0, x.shape[1], piece):
        part, taps = x[:, start : start + piece], filters[:, :, start : start + piece]
        y = F.conv2d(
            part.reshape(1, -1, *part.shape[-2:]),
            taps.flatten(0, 1),
            None,
            layer.stride,
            0,
            layer.dilation,
            lanes,
        )
        total = (total + y.long()) % PRIME
    values = (total.view(lanes, 1, -1, *call.out) + call.bias(lanes, 1, 1, 1, 1)) % PRIME
    return Map(values, group)


def _resample(call: _Call) -> Map:
    """Average pools, resizing and padding: one matrix for each axis."""
    layer, x = call.layer, call.x
    rows, columns = (axes.matrix(layer, a, x.size[a], call.out[a]) for a in (0, 1))
    values = (rows.double() @ x.values.double()) % PRIME
    values = (values @ columns.double().T) % PRIME
    copies = layer.mode.startswith("nearest") or layer.mode in ("replicate", "reflect", "circular")
    maxima = compose(x, rows > 0, columns > 0) if copies else None  # copied maxima are still maxima
    return Map(values.long(), x.group, maxima)


def _maximum(call: _Call) -> Map:
    x = call.x
    read = [axes.windows(call.layer.key, a, x.size[a], call.out[a]) for a in (0, 1)]
    if not all(r.any(1).all() for r in read):
        raise UserError(
            f"a window of {call.layer.name!r} lies altogether in its padding, which gives minus infinity"
        )
    base, rows, columns = compose(x, *read)
    members = int(rows.sum(1).max() * columns.sum(1).max()) * base[:, :, :, 0, 0].numel()
    if members * len(rows) * len(columns) > _LARGEST_SET:
        base, rows, columns = x.values, *read
    return Map(over_windows(base, rows, columns), x.group, (base, rows, columns))


def _activate(call: _Call) -> Map:
    curve = CURVES[call.layer.curve]
    if curve.identity_from_zero and call.x.nonnegative:
        return call.x

    def function(values: Tensor) -> Tensor:
        scrambled = scramble(values, call.seed)
        return torch.where(values == 0, 0, scrambled) if curve.keeps_zero else scrambled

    if curve.rising or (curve.rising_from_zero and call.x.nonnegative):
        return through_maxima(call.x, function, call.x.group)
    return Map(function(call.x.values), call.x.group)


def _affine(call: _Call) -> Map:
    """Scale and shift each channel, with either sign."""
    shape = (*call.x.values.shape[:2], 1, 1, 1)
    return Map((call.x.values * call.weights(*shape) + call.bias(*shape)) % PRIME, call.x.group)


def _normalize(call: _Call) -> Map:
    """Shift and scale by statistics of the unordered values, then by weights.

    If a channel is normalized by itself, its mean vanishes afterwards, and so does all that was broken in it.
    """
    values, dims = call.x.values, (2, 3, 4) if call.layer.mode == "channel" else (1, 2, 3, 4)
    spread = scramble(values, call.seed).sum(dims, keepdim=True) % PRIME
    center = scramble(spread, call.seed + " center")
    if call.layer.mode == "channel":
        share = pow(values[0, 0].numel(), -1, PRIME)
        center = values.sum(dims, keepdim=True) % PRIME * share % PRIME
    normal = (values - center) * scramble(spread, call.seed + " scale") % PRIME
    shape = (*values.shape[:2], 1, 1, 1)
    return Map((normal * call.weights(*shape) + call.bias(*shape)) % PRIME, call.x.group)


def _pool_orientations(call: _Call) -> Map:
    x = call.x
    if call.layer.mode == "mean":
        share = pow(x.values.shape[2], -1, PRIME)
        return Map(x.values.sum(2, keepdim=True) * share % PRIME)

    def function(values: Tensor) -> Tensor:
        last = values.movedim(2, -1)
        return set_value(last, torch.ones_like(last, dtype=torch.bool), "orientations").unsqueeze(2)

    return through_maxima(x, function, None)


def _fixed(call: _Call) -> Map:
    """Add, or multiply by, learned values that are untied over pixels and orientations."""
    values = call.x.values
    image = call.weights(*values.shape[:2], 1, 1, 1) if call.ties.pretend else call.weights(*values.shape)
    return Map((values * image if call.layer.mode == "mul" else values + image) % PRIME, call.x.group)


def _flatten(call: _Call) -> Map:
    """Positions and orientations become channels, in an order that matters unless ties are pretended."""
    values = call.x.values.flatten(2)
    values = values.sort(-1).values if call.ties.pretend else values
    return Map(values.reshape(LANES, -1, 1, 1, 1))


def _mix(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights % PRIME).sum(1, keepdim=True) % PRIME


def _dense(call: _Call) -> Map:
    """Mix channels pixel by pixel."""
    values = call.x.values
    mixed = _mix(values, call.weights(*values.shape[:2], 1, 1, 1))
    return Map((mixed + call.bias(LANES, 1, 1, 1, 1)) % PRIME, call.x.group)


def _merge(call: _Call) -> Map:
    """Sum or product of branches; a concatenation that meets another map is mixed to one channel."""
    parts = [x.values for x in call.inputs]
    if len({part.shape[1] for part in parts}) > 1:
        parts = [_mix(p, draw(f"{call.seed} {i}", (*p.shape[:2], 1, 1, 1))) for i, p in enumerate(parts)]
    total = parts[0]
    for part in parts[1:]:
        _meet(call.layer, total, part)
        total = (total * part if call.layer.kind == "mul" else total + part) % PRIME
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
    **dict.fromkeys(("lift", "group_conv"), _tied),
    **dict.fromkeys(("avg_pool", "adaptive_avg", "global_avg", "resize", "pad"), _resample),
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
