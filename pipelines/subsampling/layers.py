"""Eq. 3 in general: single layers with random weights, at all kernels, strides, paddings and small sizes."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from pipelines.subsampling.settings import Settings
from shared.algebra.groups import dihedral
from shared.measure import equivariance_error
from shared.nn import LiftingConv, SpatialMaxPool
from shared.runs.api import Context, Row

D4 = dihedral(4)
#: Elements of D4: a quarter turn, and the mirror from left to right.
MOVES = {"turn": 1, "mirror": 4}
KERNELS, STRIDES = range(1, 6), range(1, 5)
#: Images of a pool, more than of a convolution: a maximum over unequal windows may be equal by luck.
POOL_IMAGES = 64
#: Errors below this, relative to the features, are rounding.
ROUNDING = 1e-10


def combinations(largest: int) -> Iterator[tuple[int, int, int, int]]:
    """Kernel, stride, padding and side: paddings up to half a kernel, sides from 2 that hold a window."""
    for kernel, stride in itertools.product(KERNELS, STRIDES):
        for padding, side in itertools.product(range(kernel // 2 + 1), range(2, largest + 1)):
            if side + 2 * padding >= kernel:
                yield kernel, stride, padding, side


def case(kernel: int, stride: int, padding: int, side: int) -> str:
    """``exact`` without remainder, ``broken`` with one; ``covered`` if the first window holds the whole map.

    Then whatever is left over, nothing of the image is, and a pool is exact all the same; a convolution is
    not, since its weights do not lie symmetrically on the map. It takes padding.
    """
    if (side + 2 * padding - kernel) % stride == 0:
        return "exact"
    return "covered" if side <= kernel - padding else "broken"


def is_exact(layer: str, case: str) -> bool:
    """Whether a ``layer`` ("convolution" or "pool") is expected to be equivariant in this `case`."""
    return case == "exact" or (case == "covered" and layer == "pool")


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Measure the kind of layer ``settings.network`` ("convolution" or "pool") at all sizes to ``size``.

    Rows, each by padding: for every `case` the error that comes nearest to contradicting `is_exact`, so the
    largest or the smallest, under a quarter turn (``turn_exact`` and so on), relative to the features, in
    float64; ``cases_exact`` and so on: how many combinations there are; ``printed_wrong``: at how many Eq. 3
    as printed, without the padding, says something else than the measured error. ``mirror_exact`` and so on:
    the same under a mirror.
    """
    return {seed: list(_measure(settings, seed, context)) for seed in seeds}


def _measure(settings: Settings, seed: int, context: Context) -> Iterator[Row]:
    generator = torch.Generator().manual_seed(seed)
    errors: dict[tuple[str, str, int], list[float]] = defaultdict(list)
    wrong: dict[int, int] = defaultdict(int)
    for kernel, stride, padding, side in combinations(settings.size):
        layer, x = _layer(settings.network, kernel, stride, padding, side, generator)
        measured = equivariance_error(layer, x, D4, elements=list(MOVES.values())).elements
        expected = case(kernel, stride, padding, side)
        for move, element in MOVES.items():
            error = measured[D4.element_names[element]].relative_max
            errors[move, expected, padding].append(error)
            if move == "turn":
                wrong[padding] += (error < ROUNDING) != ((side - kernel) % stride == 0)
    for (move, expected, padding), found in errors.items():
        nearest = max if is_exact(settings.network, expected) else min
        yield Row(f"{move}_{expected}", padding, nearest(found))
        if move == "turn":
            yield Row(f"cases_{expected}", padding, float(len(found)))
    for padding, count in sorted(wrong.items()):
        yield Row("printed_wrong", padding, float(count))
    total = sum(len(found) for (move, _, _), found in errors.items() if move == "turn")
    context.log(f"{settings.network}, seed {seed}: {total} combinations")


def _layer(
    kind: str, kernel: int, stride: int, padding: int, side: int, generator: torch.Generator
) -> tuple[nn.Module, Tensor]:
    """A layer with random weights, and random images (count, 1, side, side), in float64."""
    count = POOL_IMAGES if kind == "pool" else 2
    x = torch.randn(count, 1, side, side, generator=generator, dtype=torch.float64)
    if kind == "pool":
        return SpatialMaxPool(kernel, stride, padding), x
    layer = LiftingConv(1, 2, kernel, stride=stride, padding=padding, group=D4).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(generator=generator)
    return layer, x
