"""Descriptions of torch's layers and of ours, by class."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from shared import nn as ours
from shared.atlas.layers import Layer
from shared.errors import UserError

Describe = Callable[[nn.Module, str], Layer | list[Layer]]

MONOTONE_ZERO = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.Tanh, nn.Softsign, nn.Hardtanh)
MONOTONE = (nn.Sigmoid, nn.Softplus, nn.LogSigmoid, nn.Hardsigmoid)
OTHER_ZERO = (nn.PReLU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Tanhshrink, nn.Softshrink, nn.Hardshrink)
NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, ours.Dropout)


def describe(module: nn.Module, name: str) -> list[Layer] | None:
    """Say what a module does, or None if it is not known.

    A module of the user's own is known if it has a method ``atlas_layer(name)`` that returns a `Layer` or a
    list of them, or if its class was given to `register`.
    """
    if hasattr(module, "atlas_layer"):
        found = module.atlas_layer(name)
    else:
        rule = next((_RULES[kind] for kind in type(module).__mro__ if kind in _RULES), None)
        if rule is None:
            return None
        found = rule(module, name)
    return [found] if isinstance(found, Layer) else list(found)


def register(kind: type[nn.Module], rule: Describe) -> None:
    """Teach the atlas a class of modules.

    Args:
        kind: the class.
        rule: gets a module and its name, returns a `Layer` or several that run one after the other.
    """
    _RULES[kind] = rule


def two(value: int | tuple | None, name: str) -> tuple:
    """An argument of a pool as (height, width); three-dimensional ones must leave the orientations alone."""
    if not isinstance(value, tuple | list):
        return (value, value)
    if len(value) == 3:
        if value[0] not in (0, 1, None):
            raise UserError(
                f"{name!r} pools over orientations as if they were pixels; give it size 1 on that axis"
            )
        return tuple(value[1:])
    return tuple(value)


def pad_sides(module: nn.Module) -> tuple[tuple[int, int], tuple[int, int]]:
    """Padding of a convolution by side; "same" puts an odd pixel last, as torch does."""
    if module.padding == "valid":
        return (0, 0), (0, 0)
    if module.padding == "same":
        total = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size)]
        return tuple((t // 2, t - t // 2) for t in total)
    return tuple((p, p) for p in module.padding)


def _ordinary(module: nn.Conv2d, name: str) -> list[Layer]:
    sides, bias = pad_sides(module), module.bias is not None
    geometry = {
        "kernel": module.kernel_size,
        "stride": module.stride,
        "dilation": module.dilation,
        "bias": bias,
    }
    if module.padding_mode == "zeros":
        return [Layer(name, "conv", padding=sides, **geometry)]
    return [
        Layer(f"{name}.pad", "pad", padding=sides, mode=module.padding_mode),
        Layer(name, "conv", **geometry),
    ]


def _tied(kind: str) -> Describe:
    def rule(module: nn.Module, name: str) -> Layer:
        return Layer(
            name, kind, module.kernel_size, module.stride, module.padding, module.dilation,
            group=module.group, bias=module.bias is not None,
        )  # fmt: skip

    return rule


def _pool(kind: str) -> Describe:
    def rule(module: nn.Module, name: str) -> Layer:
        geometry = (module.kernel_size, module.stride, module.padding, getattr(module, "dilation", 1))
        return Layer(
            name,
            kind,
            *(two(value, name) for value in geometry),
            ceil_mode=module.ceil_mode,
            count_padding=getattr(module, "count_include_pad", True),
            divisor=getattr(module, "divisor_override", None),
        )

    return rule


def _adaptive(kind: str) -> Describe:
    return lambda module, name: Layer(name, kind, output=two_outputs(module.output_size))


def two_outputs(size: int | tuple | None) -> tuple[int | None, int | None]:
    """Output size of an adaptive pool; a three-dimensional one may only keep the orientations."""
    if isinstance(size, tuple | list) and len(size) == 3:
        if size[0] is not None:
            raise UserError(
                "an adaptive pool of five-dimensional features must have None for the orientations"
            )
        return size[1], size[2]
    return (size, size) if not isinstance(size, tuple | list) else (size[0], size[1])


def resize(name: str, size: object, scale: object, mode: str, align_corners: bool | None) -> Layer:
    """Describe `torch.nn.functional.interpolate`; the axis of orientations must stay."""
    if isinstance(scale, tuple | list) and len(scale) == 3 and scale[0] == 1:
        scale = scale[1:]
    scale = (scale, scale) if isinstance(scale, int | float) else scale
    output = None if size is None else two_outputs(size)
    factors = None if scale is None else (float(scale[0]), float(scale[1]))
    return Layer(name, "resize", output=output, scale=factors, mode=mode, align_corners=bool(align_corners))


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


def _flatten(module: nn.Flatten, name: str) -> Layer:
    if module.start_dim != 1 or module.end_dim != -1:
        raise UserError(f"{name!r} flattens only some axes; the atlas knows Flatten() over all but the batch")
    return Layer(name, "flatten")


def _softmax(module: nn.Module, name: str) -> Layer:
    if module.dim != 1:
        raise UserError(
            f"{name!r} normalizes over axis {module.dim}; the atlas knows softmax over channels (1)"
        )
    return Layer(name, "act", keeps_zero=False, monotone=False)


_RULES: dict[type, Describe] = {
    nn.Conv2d: _ordinary,
    ours.LiftingConv: _tied("lift"),
    ours.GroupConv: _tied("group_conv"),
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
    **dict.fromkeys(
        (nn.GroupNorm, nn.InstanceNorm2d, nn.InstanceNorm3d), lambda _, name: Layer(name, "norm")
    ),
    **dict.fromkeys(
        (nn.Linear, ours.ReplicaLinear),
        lambda module, name: Layer(name, "linear", bias=module.bias is not None),
    ),
    **dict.fromkeys(NOTHING, lambda _, name: Layer(name, "identity")),
    **dict.fromkeys(MONOTONE_ZERO, lambda _, name: Layer(name, "act")),
    **dict.fromkeys(MONOTONE, lambda _, name: Layer(name, "act", keeps_zero=False)),
    **dict.fromkeys(OTHER_ZERO, lambda _, name: Layer(name, "act", monotone=False)),
}
