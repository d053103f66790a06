"""Batch norm whose statistics are shared by the orientations of a field."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from shared.algebra.groups import Group, cyclic


def _rows(x: Tensor) -> Tensor:
    """View (batch, channels, height, width) in channels_last memory as (pixels, channels)."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each dense channel, float32.

    On a CPU `sum` would first write a float32 copy of bf16 activations; the norm's own statistics are read
    in one pass, four times as fast.
    """
    if x.device.type == "cpu":
        running = [
            torch.zeros(x.shape[1], dtype=torch.float32) for _ in range(2)
        ]  # decides that of the result
        return torch.ops.aten.batch_norm_update_stats(x, *running, 0.0)
    return _moments_of_rows(_rows(x))


def _moments_of_rows(v: Tensor) -> tuple[Tensor, Tensor]:
    """The same of (pixels, channels), summed in float32 without a float32 copy, on any device."""
    mean = v.sum(0, dtype=torch.float32) / len(v)
    square = torch.linalg.vector_norm(v, dim=0, dtype=torch.float32).square() / len(v)
    return mean, square - mean * mean


def _gradient_sums(grad: Tensor, x: Tensor, mean: Tensor, inverse_std: Tensor) -> tuple[Tensor, Tensor]:
    """Sums over batch and pixels of ``grad``, and of it times the normalized ``x``, per dense channel.

    Summed in float32; on CUDA the products themselves are rounded to the format of the activations.
    """
    if grad.device.type == "cpu":
        weight, wanted = torch.ones_like(mean), [False, True, True]  # weight's and bias's gradients
        statistics = (None, None, mean, inverse_std)
        _, sum_gn, sum_g = torch.ops.aten.native_batch_norm_backward(
            grad, x, weight, *statistics, True, 0.0, wanted
        )
        return sum_g, sum_gn
    g, v = _rows(grad), _rows(x)
    sum_g = g.sum(0, dtype=torch.float32)
    return sum_g, ((g * v).sum(0, dtype=torch.float32) - mean * sum_g) * inverse_std


def _affine(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """``scale x + shift`` channel by channel; the norm with frozen statistics is the fast kernel for it."""
    zero, one = torch.zeros_like(scale), torch.ones_like(scale)
    return F.batch_norm(x, zero, one, scale, shift, training=False, eps=0.0)


class _ChannelsLastBatchNorm(torch.autograd.Function):
    """Training-mode batch norm over (batch, orientation, pixels) for channels_last memory.

    `F.batch_norm` would have to see channels x (orientations x pixels), which in this memory format
    means two copies of the activations each way. Here the sums are taken per dense channel, then added
    over the orientations, and the normalization itself is the dense, vectorized one.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, order: int, eps: float) -> tuple[Tensor, ...]:
        means, variances = (t.view(-1, order) for t in _moments(x))
        mean = means.mean(1)
        variance = (variances + (means - mean[:, None]).square()).mean(1).clamp_min_(0)
        ctx.save_for_backward(x, weight, mean, (variance + eps).rsqrt())
        ctx.order = order
        dense = [t.repeat_interleave(order) for t in (mean, variance, weight, bias)]
        y = F.batch_norm(x, *dense, training=False, eps=eps)
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse_std = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        order, count = ctx.order, x.numel() // len(weight)
        dense = [t.repeat_interleave(order) for t in (mean, inverse_std)]
        sum_g, grad_weight = (t.view(-1, order).sum(1) for t in _gradient_sums(grad, x, *dense))
        # dx = a g + k x + c, the three terms of the usual formula collected per channel
        a = weight * inverse_std
        k = -a * inverse_std * grad_weight / count
        c = -a * sum_g / count - k * mean
        a, k, c = (t.repeat_interleave(order) for t in (a, k, c))
        grad_x = _affine(grad, a, c).add_(_affine(x, k, torch.zeros_like(k)))
        return grad_x, grad_weight.to(weight.dtype), sum_g.to(weight.dtype), None, None


class GroupBatchNorm(nn.Module):
    """Batch norm of regular features: statistics over batch, orientation and pixels, one scale per field.

    Exactly equivariant to every permutation of the orientations and of the pixels, so to any group.

    Args:
        channels: number of regular fields.
        group: the group whose order is the size of axis 2; C4 if not given.
        eps: added to the variance.
        momentum: weight of the newest batch in the running statistics.

    Shape:
        in and out (batch, channels, |G|, height, width)

    Raises:
        ValueError: if the input has another shape.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self, channels: int, group: Group | None = None, eps: float = 1e-5, momentum: float = 0.1
    ) -> None:
        super().__init__()
        self.channels, self.eps, self.momentum = channels, eps, momentum
        self.group = group if group is not None else cyclic(4)
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        order = self.group.order
        if x.dim() != 5 or x.shape[1:3] != (self.channels, order):
            raise ValueError(
                f"GroupBatchNorm expects (batch, {self.channels}, {order}, height, width), "
                f"not {tuple(x.shape)}"
            )
        dense = x.flatten(1, 2)
        if not self.training:
            parameters = (self.running_mean, self.running_var, self.weight, self.bias)
            spread = [t.repeat_interleave(order) for t in parameters]
            return F.batch_norm(dense, *spread, training=False, eps=self.eps).view_as(x)
        compact = dense.is_contiguous(memory_format=torch.channels_last) and not dense.is_contiguous()
        if compact and self.weight.dtype == torch.float32:
            y, mean, variance = _ChannelsLastBatchNorm.apply(dense, self.weight, self.bias, order, self.eps)
            self._update(mean, variance, x.numel() // self.channels)
            return y.view_as(x)
        statistics = self.running_mean, self.running_var
        y = F.batch_norm(x.flatten(2), *statistics, self.weight, self.bias, True, self.momentum, self.eps)
        return y.view_as(x)

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor, count: int) -> None:
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / max(count - 1, 1)), self.momentum)

    def extra_repr(self) -> str:
        return f"{self.channels}, group={self.group.name}"
