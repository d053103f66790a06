"""Typical mistakes in equivariant layers, planted so that a checker can prove that it catches them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.algebra.groups import Group, cyclic, dihedral
from shared.nn import (
    GlobalAvgPool,
    GroupBatchNorm,
    GroupConv,
    GroupPool,
    LiftingConv,
    SpatialAvgPool,
    SpatialMaxPool,
)

C4, D4 = cyclic(4), dihedral(4)


@dataclass(frozen=True)
class Planted:
    """A mistake, and the same thing done right.

    Args:
        name: what is wrong.
        wrong: makes the module with the mistake.
        right: makes its correct twin.
        group: to which the twin is equivariant and the wrong one is not.
        size: of the input at which the mistake shows.
        right_size: of the twin's input, where the size is the mistake.
        act_out: what the module claims of its output, if the shape does not say it.
    """

    name: str
    wrong: Callable[[], nn.Module]
    right: Callable[[], nn.Module]
    group: Group = C4
    size: int = 9
    right_size: int = 9
    act_out: str | None = None


class _WrongRoll(GroupConv):
    """Turns each filter with its orientation, but rolls the orientations backwards."""

    def filter_bank(self) -> Tensor:
        turned = [torch.rot90(self.weight, r, (-2, -1)).roll(-r, 2) for r in range(4)]
        return torch.stack(turned, 1).flatten(0, 1).flatten(1, 2)


class _NoRoll(GroupConv):
    """Turns the filters but leaves the orientations of the input where they are."""

    def filter_bank(self) -> Tensor:
        turned = [torch.rot90(self.weight, r, (-2, -1)) for r in range(4)]
        return torch.stack(turned, 1).flatten(0, 1).flatten(1, 2)


class _MissingInverse(GroupConv):
    """Reads the filter at g h instead of g^-1 h."""

    def filter_bank(self) -> Tensor:
        bank = []
        for g in range(self.group.order):
            m, r = divmod(g, 4)
            weight = self.weight[:, :, torch.tensor(self.group.table[g])]
            bank.append(torch.rot90(weight.flip(-1) if m else weight, r, (-2, -1)))
        return torch.stack(bank, 1).flatten(0, 1).flatten(1, 2)


class _Transposed(LiftingConv):
    """Transposes where it should make a quarter turn."""

    def filter_bank(self) -> Tensor:
        w = self.weight
        half = w.flip((-2, -1))
        return torch.stack([w, w.transpose(-2, -1), half, half.transpose(-2, -1)], 1).flatten(0, 1)


class _Clockwise(LiftingConv):
    """Turns the filters the other way than the group says."""

    def filter_bank(self) -> Tensor:
        return torch.stack([torch.rot90(self.weight, -r, (-2, -1)) for r in range(4)], 1).flatten(0, 1)


class _MirrorLast(LiftingConv):
    """Makes element 4 m + r of D4 by turning first and mirroring last."""

    def filter_bank(self) -> Tensor:
        turned = [torch.rot90(self.weight, r, (-2, -1)) for r in range(4)]
        return torch.stack([*turned, *(w.flip(-1) for w in turned)], 1).flatten(0, 1)


class _BiasPerOrientation(LiftingConv):
    """Learns a bias for each orientation; starts at zero, where nothing shows."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, padding: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=padding, bias=False)
        self.offset = nn.Parameter(torch.zeros(out_channels, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.offset


class _NormPerOrientation(nn.Module):
    """Normalizes each orientation by its own statistics; a fresh one hides it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4 * channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.flatten(1, 2)).view_as(x)


class _Apply(nn.Module):
    """Applies a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def _ramp(x: Tensor) -> Tensor:
    """Adds the column's number: the layer knows where it is."""
    return x + torch.linspace(-1, 1, x.shape[-1], dtype=x.dtype)


def _hill(x: Tensor) -> Tensor:
    """Adds the distance from the center, which turns and mirrors do not change."""
    i, j = (torch.linspace(-1, 1, n, dtype=x.dtype) for n in x.shape[-2:])
    return x + i[:, None] ** 2 + j**2


def _crop_corner(x: Tensor) -> Tensor:
    return x[..., 1:, 1:]


def _crop_border(x: Tensor) -> Tensor:
    return x[..., 1:-1, 1:-1]


def _pool_channels(x: Tensor) -> Tensor:
    return x.amax(1)


def _pool_half(x: Tensor) -> Tensor:
    return x[:, :, :4].amax(2)


def _always_drop(x: Tensor) -> Tensor:
    return F.dropout(x, 0.2, training=True)


_conv = partial(LiftingConv, 2, 3, 3, padding=1)


def _lift(*more: nn.Module, group: Group = C4) -> nn.Sequential:
    return nn.Sequential(_conv(group=group), nn.Tanh(), *more)


def _features(kind: type[GroupConv], group: Group = C4) -> Callable[[], nn.Module]:
    return lambda: _lift(kind(3, 3, 3, padding=1, group=group), group=group)


def planted_bugs() -> tuple[Planted, ...]:
    """The family of mistakes; every one must be caught, and every twin must pass."""
    return (*_in_filters(), *_in_orientations(), *_in_grids())


def _in_filters() -> list[Planted]:
    turned = partial(LiftingConv, 2, 3, 3, padding=1, group=D4)
    return [
        Planted("wrong roll direction", _features(_WrongRoll), _features(GroupConv)),
        Planted("orientations not rolled", _features(_NoRoll), _features(GroupConv)),
        Planted("missing inverse", _features(_MissingInverse, D4), _features(GroupConv, D4), D4),
        Planted("transpose instead of rotation", partial(_Transposed, 2, 3, 3, padding=1), _conv),
        Planted("filters turned clockwise", partial(_Clockwise, 2, 3, 3, padding=1), _conv),
        Planted("mirror after rotation", partial(_MirrorLast, 2, 3, 3, padding=1, group=D4), turned, D4),
        Planted("ordinary convolution", partial(nn.Conv2d, 2, 3, 3, padding=1), partial(nn.Conv2d, 2, 3, 1)),
    ]


def _in_orientations() -> list[Planted]:
    flattened = lambda: _lift(GlobalAvgPool(), nn.Flatten(), nn.Linear(12, 5))  # noqa: E731
    pooled = lambda: _lift(GlobalAvgPool(), GroupPool(), nn.Linear(3, 5))  # noqa: E731
    rules: list[tuple[str, Callable[[], nn.Module], Callable[[], nn.Module]]] = [
        ("bias per orientation", partial(_BiasPerOrientation, 2, 3, 3, 1), _conv),
        (
            "batch norm per orientation",
            lambda: _lift(_NormPerOrientation(3)),
            lambda: _lift(GroupBatchNorm(3)),
        ),
        ("dropout left on in eval mode", lambda: _lift(_Apply(_always_drop)), lambda: _lift(nn.Dropout(0.2))),
        ("orientations flattened into the classifier", flattened, pooled),
    ]
    half, whole = (lambda: _lift(_Apply(_pool_half), group=D4)), (lambda: _lift(GroupPool(), group=D4))
    channels, orientations = (lambda: _lift(_Apply(_pool_channels))), (lambda: _lift(GroupPool()))
    return [
        *(Planted(name, wrong, right) for name, wrong, right in rules),
        Planted("group pool over half of the group", half, whole, D4),
        Planted("group pool over channels", channels, orientations, act_out="image"),
    ]


def _in_grids() -> list[Planted]:
    strided = partial(LiftingConv, 2, 3, 3, stride=2, padding=1)
    pooled, ceiled = (lambda: _lift(SpatialMaxPool(2))), (lambda: _lift(SpatialAvgPool(2, ceil_mode=True)))
    corner = lambda: nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), LiftingConv(2, 3, 2))  # noqa: E731
    border = lambda: nn.Sequential(nn.ZeroPad2d(1), LiftingConv(2, 3, 2))  # noqa: E731
    half, double = (lambda: _lift(nn.Upsample((4, 12, 12)))), (lambda: _lift(nn.Upsample((4, 16, 16))))
    ramp, hill = (lambda: _lift(_Apply(_ramp))), (lambda: _lift(_Apply(_hill)))
    cropped, framed = (lambda: _lift(_Apply(_crop_corner))), (lambda: _lift(_Apply(_crop_border)))
    return [
        Planted("even size with stride 2", strided, strided, size=8),
        Planted("odd size with a 2x2 pool", pooled, pooled, right_size=8),
        Planted("ceil mode at an odd size", ceiled, ceiled, right_size=8),
        Planted("asymmetric padding", corner, border),
        Planted("stride on one axis", partial(LiftingConv, 2, 3, 3, stride=(2, 1), padding=1), strided),
        Planted("one row and column cropped", cropped, framed),
        Planted("nearest neighbor by a fraction", half, double, size=8, right_size=8),
        Planted("sees its position", ramp, hill),
    ]
