"""What the atlas needs to know of one layer: its windows on each axis, and whether its filters are tied.

Axis 0 is the height, axis 1 the width. Sizes are in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING

from shared.algebra.groups import Group
from shared.atlas.activations import CURVES, Curve, curve_of
from shared.base.errors import UserError, unknown
from shared.nn.fit import fitted_size

if TYPE_CHECKING:
    from shared.atlas.constants import Values

Pair = int | tuple[int, int]
Sides = tuple[tuple[int, int], tuple[int, int]]
Cut = tuple[int | None, int | None, int]

CONVOLUTIONS = ("lift", "group_conv", "conv")
POOLS = ("max_pool", "avg_pool")
WINDOWED = (*CONVOLUTIONS, *POOLS)
TRANSPOSED = "conv_transposed"
ADAPTIVE = ("adaptive_avg", "adaptive_max", "global_avg", "global_max")
POINTWISE = ("act", "affine", "norm", "identity", "mix", "attention")
MERGES = ("add", "mul", "cat")
KINDS = (
    *WINDOWED,
    *ADAPTIVE,
    *POINTWISE,
    *MERGES,
    TRANSPOSED,
    "group_pool",
    "slice",
    "resize",
    "pad",
    "fixed",
    "flatten",
    "linear",
)


def _pair(value: Pair, what: str, least: int) -> tuple[int, int]:
    both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(both) != 2 or any(isinstance(v, bool) or not isinstance(v, Integral) or v < least for v in both):
        raise UserError(f"{what} must be one or two whole numbers of at least {least}, not {value!r}")
    return int(both[0]), int(both[1])


def _sides(padding: Pair | Sides) -> Sides:
    """Return padding as ((top, bottom), (left, right)); negative numbers crop."""
    both = (padding, padding) if isinstance(padding, int) else tuple(padding)
    full = tuple((side, side) if isinstance(side, int) else tuple(side) for side in both)
    if len(full) != 2 or any(len(s) != 2 or not all(isinstance(v, int) for v in s) for s in full):
        raise UserError(
            f"padding must be p, (height, width) or ((top, bottom), (left, right)), not {padding!r}"
        )
    return full


@dataclass(frozen=True)
class Layer:
    """One layer of a network, described by hand or read from a module.

    Args:
        name: what to call it in the report.
        kind: one of ``KINDS``: ``lift`` and ``group_conv`` are the tied convolutions of `shared.nn`,
            ``conv`` an ordinary one, ``conv_transposed`` its transpose; ``max_pool``,
            ``avg_pool``, ``adaptive_avg``, ``adaptive_max``,
            ``global_avg``, ``global_max`` act on pixels, ``group_pool`` on orientations; ``act`` is any
            activation, ``affine`` a norm with running statistics, ``norm`` one over the whole map,
            ``identity`` anything without effect in eval mode, ``mix`` a dense layer on the channels of each
            pixel, ``attention`` any function that treats all pixels alike, wherever they are; ``resize``,
            ``pad`` (zeros unless ``mode`` says otherwise), ``slice``, ``fixed`` (adds, or if ``mode`` is
            "mul" multiplies by, a learned or known image), ``flatten``, ``linear``; ``add``, ``mul`` and
            ``cat`` merge branches.
        kernel, stride, dilation: one number, or (height, width). A pool's stride is its kernel if left out,
            other strides are 1.
        padding: one number, (height, width), or ((top, bottom), (left, right)).
        ceil_mode: round the number of windows up, as torch's pools do.
        group: of the tied convolutions; `cyclic(4)` if left out.
        output: sizes that an adaptive pool or a resize is given; None in it keeps that axis.
        scale: factors that a resize is given instead of sizes.
        mode: "max" or "mean" of a group pool, interpolation of a resize, filling of a pad, "channel" of a
            norm that treats each channel by itself.
        bias: whether a constant is added.
        count_padding: whether zeros of the padding count in an average pool's divisor.
        divisor: fixed divisor of an average pool.
        align_corners: of a resize.
        orientations: number of orientations that a resize is told to make.
        every_axis: whether a resize is given one number, which torch takes for the orientations, too.
        curve: name of an activation (`shared.atlas.activations.CURVES`), such as "relu".
        arguments: of the activation; its defaults if left out.
        numbers: known (factor, summand) of an affine layer.
        positive: whether an affine layer multiplies by positive numbers.
        slices: (start, stop, step) by axis, as Python's.
        extra: output padding of a transposed convolution.
        values: known filter of a convolution, or known image of a fixed layer.
        fit: of a resize or an adaptive pool: make the size at which a layer of this kernel, stride, padding
            and dilation leaves no remainder, as `shared.nn.FitStride` does.

    Raises:
        UserError: if a value makes no sense.
    """

    name: str
    kind: str
    kernel: Pair = 1
    stride: Pair | None = None
    padding: Pair | Sides = 0
    dilation: Pair = 1
    ceil_mode: bool = False
    group: Group | None = None
    output: tuple[int | None, int | None] | None = None
    scale: tuple[float, float] | None = None
    mode: str = ""
    bias: bool = True
    count_padding: bool = True
    divisor: int | None = None
    align_corners: bool = False
    orientations: int | None = None
    every_axis: bool = False
    curve: str = "relu"
    fit: bool = False
    arguments: tuple[float, ...] = ()
    numbers: tuple[float, float] | None = None
    positive: bool = False
    slices: tuple[Cut, Cut] | None = None
    extra: Pair = 0
    values: Values | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(unknown("kind of layer", self.kind, KINDS))
        if self.curve not in CURVES:
            raise UserError(unknown("activation", self.curve, CURVES))
        if self.stride is None:
            object.__setattr__(self, "stride", self.kernel if self.kind in POOLS else 1)
        for field in ("kernel", "stride", "dilation"):
            object.__setattr__(self, field, _pair(getattr(self, field), f"{field} of {self.name!r}", 1))
        object.__setattr__(self, "extra", _pair(self.extra, f"extra of {self.name!r}", 0))
        object.__setattr__(self, "padding", _sides(self.padding))
        if self.kind != "pad" and min(min(side) for side in self.padding) < 0:
            raise UserError(
                f"padding of {self.name!r} must not be negative; describe a crop as a 'pad' layer"
            )

    @property
    def key(self) -> Layer:
        """The layer without its name: layers with equal keys do the same."""
        return replace(self, name="")

    @property
    def windowed(self) -> bool:
        """Whether it reads windows of fixed size at fixed steps."""
        return self.kind in WINDOWED

    @property
    def bend(self) -> Curve:
        """Properties of an activation."""
        return curve_of(self.curve, self.arguments)

    @property
    def tied(self) -> bool:
        """Whether its filters are tied over a group."""
        return self.kind in ("lift", "group_conv")

    @property
    def isotropic(self) -> bool:
        """Whether it does the same on both axes."""
        pairs = (self.kernel, self.stride, self.dilation, self.padding, self.extra)
        same = all(first == second for first, second in pairs)
        return same and all(p is None or p[0] == p[1] for p in (self.output, self.scale, self.slices))

    @property
    def symmetric(self) -> bool:
        """Whether it pads both ends of each axis alike."""
        return all(low == high for low, high in self.padding)

    def reach(self, axis: int) -> int:
        """Pixels from the first to the last tap of a window, K = d (k - 1) + 1."""
        return self.dilation[axis] * (self.kernel[axis] - 1) + 1

    def remainder(self, axis: int, size: int) -> int:
        """Padded pixels after the last whole step, (size + padding - K) mod stride; 0 for adaptive layers."""
        if not self.windowed:
            return 0
        return (size + sum(self.padding[axis]) - self.reach(axis)) % self.stride[axis]

    def out_size(self, axis: int, size: int, like: int | None = None) -> int:
        """Number of output pixels on an axis of ``size`` pixels; below 1 if the layer does not fit.

        Args:
            axis: 0 for the height, 1 for the width.
            size: input pixels.
            like: size of the map that a resize imitates.
        """
        if self.windowed:
            return self._windows(axis, size)
        if self.kind == TRANSPOSED:
            step = self.stride[axis] * (size - 1)
            return step + self.reach(axis) - sum(self.padding[axis]) + self.extra[axis]
        if self.slices is not None:
            return len(self.picked(axis, size))
        if self.kind == "pad":
            return size + sum(self.padding[axis])
        if self.kind.startswith("global") or self.kind in ("flatten", "linear"):
            return 1
        if self.fit:
            padding, grow = sum(self.padding[axis]), self.kind == "resize"
            return fitted_size(size, self.reach(axis), self.stride[axis], padding, grow)
        if like is not None:
            return like
        if self.scale is not None:
            return int(size * self.scale[axis])
        if self.output is not None and self.output[axis] is not None:
            return self.output[axis]
        return size

    def picked(self, axis: int, size: int) -> range:
        """Pixels that a slice takes from an axis of ``size``."""
        return range(*slice(*self.slices[axis]).indices(size))

    def _windows(self, axis: int, size: int) -> int:
        low, high = self.padding[axis]
        step, room = self.stride[axis], size + low + high - self.reach(axis)
        if not self.ceil_mode:
            return room // step + 1
        count = -(-room // step) + 1
        return count - 1 if (count - 1) * step >= size + low else count  # torch drops it: all padding

    def size_before(self, axis: int, size: int) -> int:
        """Input size that gives ``size`` outputs and no remainder: one step of the backwards algorithm."""
        if self.windowed:
            return self.stride[axis] * (size - 1) + self.reach(axis) - sum(self.padding[axis])
        return size - sum(self.padding[axis]) if self.kind == "pad" else size
