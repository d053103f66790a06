"""Baselines from escnn and e2cnn in the shape of this package's layers, and conversion into them.

Their layers are wrapped so that they take and return regular features ``(batch, channels, |G|, height,
width)``. The libraries' conventions are ours (:mod:`shared.nn.baselines_library`), so wrapping reshapes and
never copies.

escnn and e2cnn expand a basis of steerable filters; ``to_ours`` turns a layer with its present weights into
one of :mod:`shared.nn` with the same function. The other way is not possible in general: their basis leaves
out filters that vary fast along the angle.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from shared.algebra.groups import Group
from shared.nn import GroupBatchNorm, GroupConv, GroupPool, LiftingConv
from shared.nn.baselines_library import INSTALL, available, field_type, group_representations, load

__all__ = [
    "INSTALL",
    "SteerableBatchNorm",
    "SteerableConv",
    "SteerableGroupPool",
    "available",
    "expand_filter",
    "group_pool",
    "group_representations",
    "regular_batchnorm",
    "regular_conv",
    "to_ours",
]


class SteerableConv(nn.Module):
    """Convolution of escnn or e2cnn between an image or regular features and regular features.

    Use :func:`regular_conv`. Its state dictionary differs between training and evaluation, because the
    libraries keep the expanded filter in evaluation; save in training mode.

    Shape:
        in  (batch, in_channels, height, width) if ``first``, else (batch, in_channels, |G|, height, width)
        out (batch, out_channels, |G|, height', width')
    """

    def __init__(self, layer: nn.Module, as_field: Any, group: Group, first: bool) -> None:
        super().__init__()
        self.layer = layer
        self.group = group
        self.first = first
        self.in_channels, self.out_channels = len(layer.in_type), len(layer.out_type)
        for name in ("kernel_size", "stride", "padding", "dilation"):
            setattr(self, name, (getattr(layer, name),) * 2)
        self._as_field = as_field

    def forward(self, x: Tensor) -> Tensor:
        fiber = (self.in_channels,) if self.first else (self.in_channels, self.group.order)
        if x.dim() != 3 + len(fiber) or x.shape[1:-2] != fiber:
            raise ValueError(
                f"expected (batch, {', '.join(map(str, fiber))}, height, width), not {tuple(x.shape)}."
            )
        y = self.layer(self._as_field(x.flatten(1, -3), self.layer.in_type)).tensor
        return y.unflatten(1, (self.out_channels, self.group.order))


class SteerableBatchNorm(nn.Module):
    """Batch norm of escnn or e2cnn with statistics over batch, elements and pixels.

    Use :func:`regular_batchnorm`.

    Shape:
        in and out (batch, channels, |G|, height, width)
    """

    def __init__(self, layer: nn.Module, as_field: Any, group: Group) -> None:
        super().__init__()
        self.layer = layer
        self.group = group
        self.channels = len(layer.in_type)
        self._as_field = as_field

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(self._as_field(x.flatten(1, 2), self.layer.in_type)).tensor
        return y.unflatten(1, (self.channels, self.group.order))


class SteerableGroupPool(nn.Module):
    """Largest value over the group, by escnn or e2cnn. Use :func:`group_pool`.

    Shape:
        in  (batch, channels, |G|, height, width)
        out (batch, channels, height, width)
    """

    mode = "max"

    def __init__(self, layer: nn.Module, as_field: Any, group: Group) -> None:
        super().__init__()
        self.layer = layer
        self.group = group
        self._as_field = as_field

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self._as_field(x.flatten(1, 2).contiguous(), self.layer.in_type)).tensor


def regular_conv(
    backend: str,
    group: Group,
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    *,
    first: bool = False,
    dilation: int = 1,
    bias: bool = True,
    **basis: Any,
) -> SteerableConv:
    """Build a convolution of ``escnn`` or ``e2cnn`` with the library's own initialization.

    Args:
        backend: ``escnn`` or ``e2cnn``.
        group: C_n or D_n with n of at least 2.
        in_channels: regular fields in, or channels of the image if ``first``.
        out_channels: regular fields out.
        kernel_size: side of the square filter, in pixels.
        stride: step of the output grid.
        padding: zeros on each side.
        first: whether the input is an image (lifting convolution).
        dilation: distance between filter taps.
        bias: one bias for each field.
        basis: options of the library's filter basis, such as ``rings``, ``sigma`` or ``frequencies_cutoff``.

    Raises:
        UserError: if the library is not there.
        ValueError: for other groups, or from the library if its default basis is empty, as for 2x2 filters.
    """
    library = load(backend)
    source = field_type(backend, group, in_channels, regular=not first)
    target = field_type(backend, group, out_channels, regular=True)
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "bias": bias, **basis}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="indexing with dtype torch.uint8")  # e2cnn, harmless
        layer = library.nn.R2Conv(source, target, kernel_size, **settings)
    return SteerableConv(layer, library.nn.GeometricTensor, group, first)


def regular_batchnorm(backend: str, group: Group, channels: int) -> SteerableBatchNorm:
    """Build a batch norm of ``escnn`` or ``e2cnn`` for regular features.

    Errors as in :func:`regular_conv`.
    """
    library = load(backend)
    layer = library.nn.InnerBatchNorm(field_type(backend, group, channels, regular=True))
    return SteerableBatchNorm(layer, library.nn.GeometricTensor, group)


def group_pool(backend: str, group: Group, channels: int) -> SteerableGroupPool:
    """Build a pool over the group of ``escnn`` or ``e2cnn``.

    Errors as in :func:`regular_conv`.
    """
    library = load(backend)
    layer = library.nn.GroupPooling(field_type(backend, group, channels, regular=True))
    return SteerableGroupPool(layer, library.nn.GeometricTensor, group)


def expand_filter(module: SteerableConv) -> Tensor:
    """Expand the library's weights into the dense filter that it convolves with.

    Shape:
        ``(out_channels |G|, in_channels, k, k)`` if ``module.first``, else
        ``(out_channels |G|, in_channels |G|, k, k)``; the group axis varies fastest.
    """
    return module.layer.expand_parameters()[0]


@torch.no_grad()
def to_ours(module: nn.Module) -> nn.Module:
    """Copy a module, with the escnn and e2cnn layers in it replaced by equal ones of :mod:`shared.nn`.

    The copy has weights of its own, and computes the same up to rounding and the accuracy of the library's
    filter basis (about 1e-6). Only for the groups that permute pixels, C2, C4, D2 and D4.

    Raises:
        ValueError: if a layer has another group.
    """
    if isinstance(module, SteerableConv):
        return _conv_to_ours(module)
    if isinstance(module, SteerableBatchNorm):
        return _batchnorm_to_ours(module)
    if isinstance(module, SteerableGroupPool):
        return GroupPool("max")
    twin = copy.deepcopy(module)
    for name, child in module._modules.items():
        setattr(twin, name, None if child is None else to_ours(child))
    return twin


def _conv_to_ours(module: SteerableConv) -> LiftingConv | GroupConv:
    """Read the free filter off the dense one: it is the response of the identity element."""
    dense, bias = module.layer.expand_parameters()
    order, k = module.group.order, module.kernel_size
    build = LiftingConv if module.first else GroupConv
    ours = build(
        module.in_channels,
        module.out_channels,
        k,
        group=module.group,
        stride=module.stride,
        padding=module.padding,
        dilation=module.dilation,
        bias=bias is not None,
    ).to(dense)
    ours.weight.copy_(dense[::order].reshape(ours.weight.shape))
    if bias is not None:
        ours.bias.copy_(bias[::order])
    return ours.train(module.training)


def _batchnorm_to_ours(module: SteerableBatchNorm) -> GroupBatchNorm:
    norm = next(part for part in module.layer.modules() if isinstance(part, nn.BatchNorm3d))
    ours = GroupBatchNorm(module.channels, module.group, eps=norm.eps, momentum=norm.momentum).to(norm.weight)
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(ours, name).copy_(getattr(norm, name))
    return ours.train(module.training)
