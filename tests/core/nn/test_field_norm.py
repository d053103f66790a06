"""Norms of fields in pixels-first memory equal torch's, in values, gradients and running statistics."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from shared.nn.field_norm import FieldBatchNorm, instance_norm_relu


def fields(shape=(3, 4, 2, 5, 6)):
    """The same numbers in torch's memory order, and in pixels-first order."""
    x = 2 * torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.7
    first = x.permute(3, 4, 0, 2, 1).contiguous().permute(2, 4, 3, 0, 1)
    return x.requires_grad_(), first.requires_grad_()


def gradients(y, leaves):
    return torch.autograd.grad(y, leaves, torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view(y.shape))


def test_instance_norm_with_relu():
    x, first = fields()
    due, found = F.relu(F.instance_norm(x)), instance_norm_relu(first)
    torch.testing.assert_close(found, due, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(gradients(found, first)[0], gradients(due, x)[0], rtol=1e-9, atol=1e-11)
    assert found.permute(3, 4, 0, 2, 1).is_contiguous()
    torch.testing.assert_close(instance_norm_relu(x), due)


@pytest.mark.parametrize("shape", [(3, 4, 2, 5, 6), (5, 2, 1, 1, 1)])
def test_batch_norm(shape):
    x, first = fields(shape)
    ours, torchs = FieldBatchNorm(shape[1]).double(), nn.BatchNorm3d(shape[1]).double()
    with torch.no_grad():
        for layer in (ours, torchs):
            layer.weight.copy_(torch.linspace(0.5, 2, shape[1]))
            layer.bias.copy_(torch.linspace(-1, 1, shape[1]))
    found, due = ours(first), torchs(x)
    torch.testing.assert_close(found, due, rtol=1e-10, atol=1e-12)
    for a, b in zip(gradients(found, (first, *ours.parameters())), gradients(due, (x, *torchs.parameters()))):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
    for a, b in zip(ours.buffers(), torchs.buffers()):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(ours.eval()(first), torchs.eval()(x))


def test_batch_norm_takes_any_memory_order_and_refuses_other_shapes():
    x, _ = fields()
    torch.testing.assert_close(FieldBatchNorm(4).double()(x), nn.BatchNorm3d(4).double()(x))
    with pytest.raises(ValueError, match="5D"):
        FieldBatchNorm(4)(torch.zeros(2, 4, 5, 5))
