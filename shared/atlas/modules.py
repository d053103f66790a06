"""Descriptions of torch's layers and of ours, by class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from shared import nn as ours
from shared.atlas.activations import MODULES
from shared.atlas.layers import Layer
from shared.base.errors import UserError

#: What a subclass must not override to be described as its base.
_BEHAVIOR = ("forward", "_conv_forward", "filter_bank", "_index")
Describe = Callable[[nn.Module, str], Layer | list[Layer]]

NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, ours.Dropout)


def describe(module: nn.Module, name: str) -> list[Layer] | None:
    """Say what a module does, or None if it is not known.

    A module of the user's own is known if it has a method ``atlas_layer(name)`` that returns a `Layer` or a
    list of them, or if its class was given to `register`.
    """
    if hasattr(module, "atlas_layer"):
        found = module.atlas_layer(name)
    else:
        kind = next((kind for kind in type(module).__mro__ if kind in _RULES), None)
        if kind is None or not _same_behavior(type(module), kind):
            return None
        found = _RULES[kind](module, name)
    return [found] if isinstance(found, Layer) else list(found)


def _same_behavior(derived: type, known: type) -> bool:
    """Whether a subclass leaves alone what the description of its base relies on."""
    return all(getattr(derived, name, None) is getattr(known, name, None) for name in _BEHAVIOR)


def register(kind: type[nn.Module], rule: Describe) -> None:
    """Teach the atlas a class of modules.

    Args:
        kind: the class.
        rule: gets a module and its name, returns a `Layer` or several that run one after the other.
    """
    _RULES[kind] = rule


def two(value: int | tuple, name: str, deep: bool = False, neutral: int | None = 1) -> tuple:
    """An argument of a pool as (height, width).

    Args:
        value: as torch takes it.
        name: of the layer.
        deep: whether the pool runs over three axes, of which the first then is that of orientations.
        neutral: the value that leaves the orientations alone.

    Raises:
        UserError: if the pool runs over orientations as if they were pixels.
    """
    count = 3 if deep else 2
    full = tuple(value) if isinstance(value, tuple | list) else (value,) * count
    if deep and full[0] != neutral:
        raise UserError(
            f"{name!r} pools over orientations as if they were pixels; give it {neutral} on that axis"
        )
    return full[-2:]


def pool(name: str, kind: str, deep: bool, given: Mapping[str, Any]) -> Layer:
    """Describe a pool from the arguments of its function, or the attributes of its module."""
    kernel = given["kernel_size"]
    return Layer(
        name,
        kind,
        two(kernel, name, deep),
        two(given.get("stride") or kernel, name, deep),
        two(given.get("padding", 0), name, deep, 0),
        two(given.get("dilation", 1), name),
        ceil_mode=given.get("ceil_mode", False),
        count_padding=given.get("count_include_pad", True),
        divisor=given.get("divisor_override"),
    )


def pad_sides(module: nn.Module) -> tuple[tuple[int, int], tuple[int, int]]:
    """Padding of a convolution by side; "same" puts an odd pixel last, as torch does."""
    if module.padding == "valid":
        return (0, 0), (0, 0)
    if module.padding == "same":
        total = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size)]
        return tuple((t // 2, t - t // 2) for t in total)
    return tuple((p, p) for p in module.padding)


def _convolution(kind: str) -> Describe:
    """A convolution, behind a layer of its own for padding by other values than zeros."""

    def rule(module: nn.Module, name: str) -> list[Layer]:
        sides, zeros = pad_sides(module), module.padding_mode == "zeros"
        conv = Layer(
            name, kind, module.kernel_size, module.stride, sides if zeros else 0, module.dilation,
            group=None if kind == "conv" else module.group, bias=module.bias is not None,
        )  # fmt: skip
        padding = Layer(f"{name}.pad", "pad", padding=sides, mode=module.padding_mode)
        return [conv] if zeros else [padding, conv]

    return rule


def _fit(module: ours.FitStride, name: str) -> Layer:
    kind = {"resize": "resize", "mean": "adaptive_avg", "max": "adaptive_max"}[module.mode]
    windows = (module.kernel_size, module.stride, module.padding, module.dilation)
    return Layer(name, kind, *windows, mode="bilinear" if kind == "resize" else "", fit=True)


def _pool(kind: str) -> Describe:
    return lambda module, name: pool(name, kind, _deep(module), vars(module))


def _deep(module: nn.Module) -> bool:
    return type(module).__name__.endswith("3d")


def _adaptive(kind: str) -> Describe:
    def rule(module: nn.Module, name: str) -> Layer:
        return Layer(name, kind, output=two(module.output_size, name, _deep(module), None))

    return rule


def resize(name: str, size: object, scale: object, mode: str, align_corners: bool | None) -> Layer:
    """Describe `torch.nn.functional.interpolate`; the axis of orientations must stay."""
    every = not isinstance(scale if size is None else size, tuple | list | None)
    full = None if size is None else (size, size) if every else tuple(size)
    factors = None
    if scale is not None:
        scale = (scale, scale) if every else tuple(scale)
        factors = tuple(map(float, two(scale, name, len(scale) == 3)))
    return Layer(
        name,
        "resize",
        output=None if full is None else full[-2:],
        orientations=full[0] if full is not None and len(full) == 3 else None,
        every_axis=every,
        scale=factors,
        mode=mode,
        align_corners=bool(align_corners),
    )


def _upsample(module: nn.Upsample, name: str) -> Layer:
    return resize(name, module.size, module.scale_factor, module.mode, module.align_corners)


def _padding(mode: str) -> Describe:
    def rule(module: nn.Module, name: str) -> Layer:
        if getattr(module, "value", 0) != 0:
            raise UserError(f"{name!r} pads with {module.value}; the atlas knows padding with zeros only")
        left, right, top, bottom = module.padding
        return Layer(name, "pad", padding=((top, bottom), (left, right)), mode=mode)

    return rule


def _batch_norm(module: nn.Module, name: str) -> Layer:
    return Layer(name, "norm" if module.running_mean is None else "affine")


def _instance_norm(module: nn.Module, name: str) -> Layer:
    return Layer(name, "affine") if module.track_running_stats else Layer(name, "norm", mode="channel")


def _group_norm(module: nn.GroupNorm, name: str) -> Layer:
    return Layer(name, "norm", mode="channel" if module.num_groups == module.num_channels else "")


def _flatten(module: nn.Flatten, name: str) -> Layer:
    if module.start_dim != 1 or module.end_dim != -1:
        raise UserError(f"{name!r} flattens only some axes; the atlas knows Flatten() over all but the batch")
    return Layer(name, "flatten")


def _softmax(module: nn.Module, name: str) -> Layer:
    if module.dim != 1:
        raise UserError(
            f"{name!r} normalizes over axis {module.dim}; the atlas knows softmax over channels (1)"
        )
    return Layer(name, "act", curve="softmax")


def _activation(curve: str) -> Describe:
    return lambda _, name: Layer(name, "act", curve=curve)


_RULES: dict[type, Describe] = {
    nn.Conv2d: _convolution("conv"),
    ours.Conv2d: _convolution("conv"),
    ours.LiftingConv: _convolution("lift"),
    ours.GroupConv: _convolution("group_conv"),
    ours.FitStride: _fit,
    ours.GlobalAvgPool: lambda _, name: Layer(name, "global_avg"),
    ours.GroupPool: lambda module, name: Layer(name, "group_pool", mode=module.mode),
    ours.GroupBatchNorm: lambda _, name: Layer(name, "affine"),
    nn.Upsample: _upsample,
    nn.ZeroPad2d: _padding("zeros"),
    nn.ConstantPad2d: _padding("zeros"),
    nn.ReflectionPad2d: _padding("reflect"),
    nn.ReplicationPad2d: _padding("replicate"),
    nn.CircularPad2d: _padding("circular"),
    nn.Flatten: _flatten,
    nn.Softmax: _softmax,
    nn.LogSoftmax: _softmax,
    **dict.fromkeys((nn.MaxPool2d, nn.MaxPool3d, ours.SpatialMaxPool), _pool("max_pool")),
    **dict.fromkeys((nn.AvgPool2d, nn.AvgPool3d, ours.SpatialAvgPool), _pool("avg_pool")),
    **dict.fromkeys((nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d), _adaptive("adaptive_avg")),
    **dict.fromkeys((nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d), _adaptive("adaptive_max")),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), _batch_norm),
    nn.GroupNorm: _group_norm,
    **dict.fromkeys((nn.InstanceNorm2d, nn.InstanceNorm3d), _instance_norm),
    **dict.fromkeys(
        (nn.Linear, ours.ReplicaLinear),
        lambda module, name: Layer(name, "linear", bias=module.bias is not None),
    ),
    **dict.fromkeys(NOTHING, lambda _, name: Layer(name, "identity")),
    **{kind: _activation(curve) for kind, curve in MODULES.items()},
}
