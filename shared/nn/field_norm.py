"""Norms of fields on SE(2) that keep their memory order.

The layers with continuous kernels leave features (batch, channels, angles, height, width) in pixels-first
memory (`shared.nn.correlation`), where torch's norms would copy them forth and back. Here statistics are sums
over leading axes of that memory. Other memory orders are left to torch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def _pixels(x: Tensor) -> Tensor | None:
    """(pixels, batch, angles, C) as a view of memory in that order; None for any other.

    None, too, for 16-bit numbers, whose statistics torch takes in 32 bits.
    """
    view = x.permute(3, 4, 0, 2, 1)
    ours = x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64) and view.is_contiguous()
    return view.flatten(0, 1) if ours else None


def _fields(y: Tensor, like: Tensor) -> Tensor:
    return y.unflatten(0, like.shape[3:]).permute(2, 4, 3, 0, 1)


class _Normalize(torch.autograd.Function):
    """Normalize x (pixels, batch, angles, C) over ``axes``, then scale, shift and clamp at 0 if asked to."""

    @staticmethod
    def forward(
        ctx, x: Tensor, weight: Tensor | None, bias: Tensor | None, axes: str, eps: float, relu: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        count = x.numel() // x.shape[3] // (1 if "b" in axes else x.shape[1])
        mean = _total(x, axes).div_(count)
        square = _total(x.square(), axes).div_(count)
        variance = (square - mean.square()).clamp_min_(0)
        inverse = (variance + eps).rsqrt_()
        scale = inverse if weight is None else inverse * weight
        shift = -mean * scale if bias is None else bias - mean * scale
        y = torch.addcmul(_spread(shift), x, _spread(scale))
        if relu:
            y.clamp_min_(0)
        ctx.save_for_backward(x, mean, inverse, weight, y if relu else None)
        ctx.axes, ctx.count = axes, count
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, inverse, weight, y = ctx.saved_tensors
        if y is not None:
            grad = torch.ops.aten.threshold_backward(grad, y, 0)
        sum_g = _total(grad, ctx.axes)
        sum_gn = (_total(grad * x, ctx.axes) - mean * sum_g).mul_(inverse)
        scale = inverse if weight is None else inverse * weight
        # dx = scale g + k x + c
        k = -scale * inverse * sum_gn / ctx.count
        c = -scale * sum_g / ctx.count - k * mean
        grad_x = torch.addcmul(_spread(c), x, _spread(k)).addcmul_(grad, _spread(scale))
        affine = (None, None) if weight is None else (sum_gn, sum_g)
        return grad_x, *affine, None, None, None


def _total(x: Tensor, axes: str) -> Tensor:
    """Sum over pixels and angles, and with "b" over the batch: (C,) or (batch, C)."""
    return x.sum((0, 1, 2)) if "b" in axes else x.sum(0).sum(1)


def _spread(statistic: Tensor) -> Tensor:
    """(C,) or (batch, C) against (pixels, batch, angles, C)."""
    return statistic if statistic.dim() == 1 else statistic[None, :, None]


def in_pixels_order(x: Tensor) -> Tensor:
    """The same features in pixels-first memory, on a CPU; elsewhere unchanged."""
    if x.device.type != "cpu":
        return x
    return x.permute(3, 4, 0, 2, 1).contiguous().permute(2, 4, 3, 0, 1)


def instance_norm_relu(x: Tensor, eps: float = 1e-5) -> Tensor:
    """ReLU of the instance norm without parameters: statistics of each sample and channel.

    Exactly equivariant to every permutation of angles and pixels.

    Shape:
        in and out (batch, channels, angles, height, width)
    """
    pixels = _pixels(x)
    if pixels is None or pixels.shape[0] * pixels.shape[2] == 1:  # torch refuses a single value
        return F.relu(F.instance_norm(x, eps=eps))
    return _fields(_Normalize.apply(pixels, None, None, "", eps, True)[0], x)


class FieldBatchNorm(nn.BatchNorm3d):
    """Batch norm with statistics over batch, angles and pixels; torch's `BatchNorm3d`, faster on a CPU.

    Exactly equivariant to every permutation of angles and pixels.

    Shape:
        in and out (batch, channels, angles, height, width)
    """

    def forward(self, x: Tensor) -> Tensor:
        pixels = _pixels(x) if x.dim() == 5 and self.training else None
        count = x.numel() // x.shape[1]
        if pixels is None or count == 1:
            return super().forward(x)
        y, mean, variance = _Normalize.apply(pixels, self.weight, self.bias, "b", self.eps, False)
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        return _fields(y, x)
