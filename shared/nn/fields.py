"""Layers on fields: copies of one representation, the channels of each copy next to each other.

What steerable networks need beside their filters, as the libraries define it, but in few operations and in
any precision: a convolution that computes its filter once for all forward passes of a step, batch norm,
gates, blurring pool, mask. Two and three dimensions alike. The filters themselves come from
`shared.nn.baselines_steerable`.

Shape:
    (batch, fields * size, height, width) or (batch, fields * size, depth, height, width)
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.nn.derived import DerivedBuffers

__all__ = ["BlurPool", "CircularMask", "ExpandedConv", "FieldBatchNorm", "FieldGate"]


class ExpandedConv(DerivedBuffers):
    """Convolution with a filter that is computed from parameters by `expand`, once a step.

    The filter is kept until a parameter changes, a gradient has gone through it, the mode changes, or
    gradients are switched on or off; so the forward passes of one step share it. In training mode without
    gradients nothing is kept. It is no part of the state dictionary, which is the same in both modes. What
    torch does not count as a change (writing into ``parameter.data``; a step of a fused optimizer between
    two forward passes without gradients in evaluation mode) needs a call of `forget`.
    """

    def __init__(self, dimensions: int, stride: int, padding: int) -> None:
        super().__init__()
        self.dimensions, self.stride, self.padding = dimensions, stride, padding
        self._kept: tuple | None = None

    def expand(self) -> tuple[Tensor, Tensor | None]:
        """Filter ``(out, in, k, k)`` or ``(out, in, k, k, k)`` and bias of the present parameters."""
        raise NotImplementedError

    def expanded(self) -> tuple[Tensor, Tensor | None]:
        """What `expand` gives, computed anew only where it may differ."""
        sources = [(p, p._version) for p in self.parameters()]
        modes = (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), self.training)
        if self._kept is not None:
            old_modes, old_sources, filters = self._kept
            if old_modes == modes and all(
                a is b and v == w for (a, v), (b, w) in zip(sources, old_sources, strict=True)
            ):
                return filters
        with torch.autocast(sources[0][0].device.type, enabled=False):
            filters = self.expand()
        if filters[0].requires_grad:  # after a backward pass the graph behind it is gone
            filters[0].register_hook(functools.partial(_forget, weakref.ref(self)))
        if filters[0].requires_grad or not self.training:
            self._kept = (modes, sources, filters)
        return filters

    def forget(self) -> None:
        """Compute the filter anew at the next forward pass."""
        self._kept = None

    def forward(self, x: Tensor) -> Tensor:
        """Convolve with the expanded filter."""
        convolve = functional.conv2d if self.dimensions == 2 else functional.conv3d
        return convolve(x, *self.expanded(), stride=self.stride, padding=self.padding)

    def _apply(self, *arguments: Any, **options: Any) -> ExpandedConv:
        self.forget()
        return super()._apply(*arguments, **options)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": None}


def _forget(layer: weakref.ref[ExpandedConv], gradient: Tensor) -> None:
    found = layer()
    if found is not None:
        found.forget()


class FieldBatchNorm(DerivedBuffers):
    """Batch norm with one variance and one scale a field, and mean and bias of its invariant part.

    escnn's ``IIDBatchNorm``: no gradient goes through the statistics.

    Args:
        fields: number of fields.
        invariant: orthonormal columns that span the invariant part of a field, ``(size, count)``.
    """

    def __init__(self, fields: int, invariant: Tensor, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        size, count = invariant.shape
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(fields, 1))
        self.bias = nn.Parameter(torch.zeros(fields, count)) if count else None
        self.derive("invariant", invariant.float)
        self.register_buffer("running_mean", torch.zeros(fields, size))
        self.register_buffer("running_var", torch.ones(fields, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize; in training by the batch's statistics, which the running ones follow."""
        with torch.autocast(x.device.type, enabled=False):
            mean, var = self.running_mean, self.running_var
            if self.training:
                axes = (0, *range(2, x.dim()))
                variances, means = torch.var_mean(x.detach(), axes)
                var = variances.to(var).view_as(mean).mean(1, keepdim=True)
                mean = means.to(mean).view_as(mean) @ (self.invariant @ self.invariant.T)
                with torch.no_grad():
                    self.running_mean.lerp_(mean, self.momentum)
                    self.running_var.lerp_(var, self.momentum)
            scale = self.weight / (var + self.eps).sqrt()
            shift = -mean * scale
            if self.bias is not None:
                shift = shift + self.bias @ self.invariant.T
        shape = (1, -1) + (1,) * (x.dim() - 2)
        scale = scale.expand_as(shift).reshape(shape)
        return torch.addcmul(shift.view(shape).to(x.dtype), x, scale.to(x.dtype))


class FieldGate(DerivedBuffers):
    """Each irrep of a field times the sigmoid of a gate minus a bias; drops the gates.

    Args:
        fields: number of fields.
        sizes: of a field's irreps. In the input each field has one gate per irrep, then the irreps.
    """

    def __init__(self, fields: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.fields, self.gates = fields, len(sizes)
        self.bias = nn.Parameter(torch.randn(fields, len(sizes)))
        owner = [place for place, size in enumerate(sizes) for _ in range(size)]
        self.derive("owner", lambda: torch.tensor(owner))

    def forward(self, x: Tensor) -> Tensor:
        """Shape: fields of ``len(sizes) + sum(sizes)`` channels to fields of ``sum(sizes)``."""
        x = x.unflatten(1, (self.fields, -1))
        bias = self.bias.view(self.bias.shape + (1,) * (x.dim() - 3))
        gates = torch.sigmoid(x[:, :, : self.gates] - bias)
        if len(self.owner) > self.gates:
            gates = gates.index_select(2, self.owner)
        return (x[:, :, self.gates :] * gates).flatten(1, 2)


class BlurPool(DerivedBuffers):
    """Strided Gaussian blur of each channel, to three deviations (escnn's antialiased pool)."""

    def __init__(self, dimensions: int, sigma: float, stride: int, padding: int) -> None:
        super().__init__()
        self.dimensions, self.stride, self.padding = dimensions, stride, padding
        reach = round(3 * sigma)

        def window() -> Tensor:
            line = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * sigma**2))
            whole = functools.reduce(lambda a, b: a[..., None] * b, dimensions * [line])
            return (whole / whole.sum())[None, None]

        self.derive("window", window)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: as an average pool with a window of ``2 round(3 sigma) + 1``."""
        convolve = functional.conv2d if self.dimensions == 2 else functional.conv3d
        window = self.window.expand(x.shape[1], *self.window.shape[1:]).to(x.dtype)
        return convolve(x, window, stride=self.stride, padding=self.padding, groups=x.shape[1])


class CircularMask(DerivedBuffers):
    """Fades pixels outside the inscribed circle, as escnn's ``MaskModule``: ``exp(-(r^2 - t^2) / sigma^2)``.

    Args:
        size: side of the square images.
        margin: by how much the circle's radius t is less than (size - 1) / 2, in percent.
        sigma: how slowly pixels fade, in pixels.
    """

    def __init__(self, size: int, margin: float = 0.0, sigma: float = 2.0) -> None:
        super().__init__()
        radius = (size - 1) / 2

        def mask() -> Tensor:
            line = (torch.arange(size) - radius) ** 2
            beyond = line[:, None] + line - (radius * (1 - margin / 100)) ** 2
            return torch.exp(-beyond.clamp(min=0) / sigma**2)

        self.derive("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply by the mask."""
        return x * self.mask.to(x.dtype)
