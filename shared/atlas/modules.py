"""Descriptions of modules by class: our layers, and what users register. Torch's are looked into."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from shared import nn as ours
from shared.atlas.layers import Layer
from shared.base.errors import UserError

Describe = Callable[[nn.Module, str], Layer | list[Layer]]

#: What a subclass may override and still be described as its base.
_HARMLESS = frozenset(
    [
        "__init__",
        "__doc__",
        "__module__",
        "__dict__",
        "__weakref__",
        "__annotations__",
        "__firstlineno__",
        "__static_attributes__",
        "__parameters__",
        "__orig_bases__",
        "__constants__",
        "__repr__",
        "__hash__",
        "__eq__",
        "__subclasshook__",
        "__init_subclass__",
        "__class_getitem__",
        "__dir__",
        "__abstractmethods__",
        "__annotate__",
        "__annotate_func__",
        "_abc_impl",
        "_get_name",
        "extra_repr",
        "reset_parameters",
    ]
)


def describe(module: nn.Module, name: str) -> list[Layer] | None:
    """Say what a module does, or None if it has to be looked into.

    A module of the user's own is described if its class was given to `register`, or has a method
    ``atlas_layer(name)`` that returns a `Layer` or a list of them. A subclass that overrides a part of it, or
    an object that has a part of its own, is looked into.
    """
    for kind in type(module).__mro__:
        if kind in _RULES or "atlas_layer" in vars(kind):
            break
    else:
        return None
    if not _same_behavior(module, kind):
        return None
    found = module.atlas_layer(name) if "atlas_layer" in vars(kind) else _RULES[kind](module, name)
    if found is None:
        return None
    return [found] if isinstance(found, Layer) else list(found)


def _same_behavior(module: nn.Module, known: type) -> bool:
    """Whether neither a subclass nor the object itself has another way of doing something."""
    return _inherits_all(type(module), known) and not (_methods(known) & vars(module).keys())


@lru_cache(maxsize=1024)
def _inherits_all(derived: type, known: type) -> bool:
    names = (name for name in dir(known) if name not in _HARMLESS)
    return all(
        inspect.getattr_static(derived, name, None) is inspect.getattr_static(known, name) for name in names
    )


@lru_cache(maxsize=1024)
def _methods(known: type) -> frozenset[str]:
    names = (name for name in dir(known) if name not in _HARMLESS)
    return frozenset(name for name in names if callable(inspect.getattr_static(known, name)))


def register(kind: type[nn.Module], rule: Describe) -> None:
    """Teach the atlas a class of modules.

    Args:
        kind: the class; subclasses that override nothing are known with it.
        rule: gets a module and its name, returns a `Layer` or several that run one after the other; or None
            if this one is to be looked into.

    Raises:
        UserError: if ``kind`` is no class of modules, or ``rule`` cannot be called.
    """
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)) or not callable(rule):
        raise UserError(
            f"register takes a class of modules and a function of a module and its name, not {kind!r}"
        )
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
    if given.get("return_indices"):
        raise UserError(f"{name!r} returns indices, which the atlas cannot follow; pool without them")
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
    """A convolution of ours, behind a layer of its own for padding by other values than zeros."""

    def rule(module: nn.Module, name: str) -> list[Layer] | None:
        if kind != "conv":
            index = inspect.getattr_static(type(module), "_index")(module).to(module._bank_index.device)
            changed = not index.is_meta and not torch.equal(module._bank_index, index)
            if changed or tuple(module.weight.shape[-2:]) != module.kernel_size:
                return None  # not what its class made of it
        elif type(module.weight) is not nn.Parameter or not module.weight.requires_grad:
            return None  # known filters are looked at
        sides, zeros = pad_sides(module), module.padding_mode == "zeros"
        conv = Layer(
            name, kind, tuple(module.weight.shape[-2:]), module.stride, sides if zeros else 0,
            dilation=module.dilation,
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
    return lambda module, name: pool(name, kind, False, vars(module))


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


_RULES: dict[type, Describe] = {
    ours.Conv2d: _convolution("conv"),
    ours.LiftingConv: _convolution("lift"),
    ours.GroupConv: _convolution("group_conv"),
    ours.FitStride: _fit,
    ours.GlobalAvgPool: lambda _, name: Layer(name, "global_avg"),
    ours.GroupPool: lambda module, name: Layer(name, "group_pool", mode=module.mode),
    ours.GroupBatchNorm: lambda _, name: Layer(name, "affine"),
    ours.SpatialMaxPool: _pool("max_pool"),
    ours.SpatialAvgPool: _pool("avg_pool"),
    ours.ReplicaLinear: lambda module, name: Layer(name, "linear", bias=module.bias is not None),
    ours.Dropout: lambda _, name: Layer(name, "identity"),
}
