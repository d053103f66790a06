"""Layers of shared.nn: equivariance to rounding, filter banks, norms, pools, dropout, replicas."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from shared.algebra.actions import act_features, act_image
from shared.algebra.groups import cyclic, dihedral
from shared.base.errors import UserError
from shared.nn import (
    Dropout,
    GlobalAvgPool,
    GroupBatchNorm,
    GroupConv,
    GroupPool,
    LiftingConv,
    SpatialAvgPool,
    SpatialMaxPool,
)
from shared.train import stack, unstack

GROUPS = [cyclic(1), cyclic(2), cyclic(4), dihedral(1), dihedral(2), dihedral(4)]


@pytest.mark.parametrize("group", GROUPS, ids=lambda g: g.name)
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
def test_convolutions_commute_with_the_group(group, kernel):
    torch.manual_seed(kernel)
    lift = LiftingConv(2, 3, kernel, group=group, padding=1).double()
    conv = GroupConv(3, 2, kernel, group=group, padding=1).double()
    x = torch.randn(2, 2, 6, 8, dtype=torch.float64)
    lifted, out = lift(x), conv(lift(x))
    for g in range(group.order):
        turned = act_image(group, g, x)
        torch.testing.assert_close(lift(turned), act_features(group, g, lifted), atol=1e-12, rtol=0)
        torch.testing.assert_close(conv(lift(turned)), act_features(group, g, out), atol=1e-12, rtol=0)


@given(size=st.integers(4, 13), kernel=st.integers(1, 4), stride=st.integers(1, 4), pad=st.integers(0, 2))
@settings(deadline=None, max_examples=150, derandomize=True)
def test_strided_lifting_is_exact_iff_the_remainder_is_zero(size, kernel, stride, pad):
    span = size + 2 * pad - kernel
    if span < 0:
        return
    torch.manual_seed(size * 100 + kernel)
    layer = LiftingConv(1, 2, kernel, stride=stride, padding=pad).double()
    x = torch.randn(3, 1, size, size, dtype=torch.float64)
    error = (layer(act_image(cyclic(4), 1, x)) - act_features(cyclic(4), 1, layer(x))).abs().max().item()
    if span % stride == 0:
        assert error < 1e-12
    elif kernel > 1 or _reads_a_pixel(size, stride, pad):
        assert error > 1e-6


def _reads_a_pixel(size: int, stride: int, pad: int) -> bool:
    """Whether a strided 1x1 kernel sees anything but padding."""
    count = (size + 2 * pad - 1) // stride + 1
    return any(0 <= step * stride - pad < size for step in range(count))


def test_bank_of_a_p4_layer_is_the_formula():
    """Fact sheet 1.3: W[o r, c r'] = rot90^r psi[o, c, (r' - r) mod 4]."""
    layer = GroupConv(2, 3, 3)
    bank = layer.filter_bank().view(3, 4, 2, 4, 3, 3)
    for r in range(4):
        for s in range(4):
            expected = torch.rot90(layer.weight[:, :, (s - r) % 4], r, (-2, -1))
            assert torch.equal(bank[:, r, :, s], expected)


def test_the_remainder_is_a_shift_of_the_input():
    """Fact sheet 2.3: L(T x) = T' L(shift of x by -r along the width), for an image with a blank border."""
    cases = [(3, 2, 1, 32, 1), (3, 3, 1, 30, 2), (2, 3, 0, 33, 1), (5, 4, 2, 31, 2)]
    for kernel, stride, pad, size, remainder in cases:
        torch.manual_seed(size)
        layer = LiftingConv(1, 2, kernel, stride=stride, padding=pad).double()
        x = F.pad(torch.randn(1, 1, size - 12, size - 12, dtype=torch.float64), (6, 6, 6, 6))
        left = layer(act_image(cyclic(4), 1, x))
        right = act_features(cyclic(4), 1, layer(x.roll(-remainder, -1)))
        torch.testing.assert_close(left, right, atol=1e-12, rtol=0)


def test_grouped_layers_are_separate_layers():
    joint = GroupConv(4, 6, 3, groups=2, padding=1)
    halves = [GroupConv(2, 3, 3, padding=1) for _ in range(2)]
    for i, half in enumerate(halves):
        half.weight.data = joint.weight.data[3 * i : 3 * i + 3]
        half.bias.data = joint.bias.data[3 * i : 3 * i + 3]
    x = torch.randn(2, 4, 4, 5, 5)
    expected = torch.cat([halves[0](x[:, :2]), halves[1](x[:, 2:])], 1)
    torch.testing.assert_close(joint(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("order", [1, 4, 8])
def test_norm_is_the_same_in_both_memory_orders(order):
    group = {1: cyclic(1), 4: cyclic(4), 8: dihedral(4)}[order]
    torch.manual_seed(0)
    plain, compact = GroupBatchNorm(3, group), GroupBatchNorm(3, group)
    reference = nn.BatchNorm3d(3)
    for module in (plain, compact, reference):
        nn.init.uniform_(module.weight, 0.5, 2, generator=torch.Generator().manual_seed(1))
    x = torch.randn(5, 3 * order, 6, 4) * 3 + 1
    inputs = [x.clone().requires_grad_(), x.to(memory_format=torch.channels_last).detach().requires_grad_()]
    inputs.append(x.clone().requires_grad_())
    pull = torch.randn(5, 3, order, 6, 4)
    outputs = [m(i.unflatten(1, (3, order))) for m, i in zip((plain, compact, reference), inputs)]
    for output in outputs:
        (output * pull).sum().backward()
    for i in (0, 1):
        torch.testing.assert_close(outputs[i], outputs[2], atol=2e-6, rtol=1e-5)
        torch.testing.assert_close(inputs[i].grad, inputs[2].grad, atol=5e-6, rtol=1e-4)
    torch.testing.assert_close(compact.weight.grad, reference.weight.grad, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(compact.running_var, reference.running_var)
    for m in (plain, compact, reference):
        m.eval()
    evaluated = [m(i.unflatten(1, (3, order))) for m, i in zip((plain, compact, reference), inputs)]
    torch.testing.assert_close(evaluated[0], evaluated[2], atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(evaluated[1], evaluated[2], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize(("kind", "mean", "tolerance"), [("float32", 300.0, 1e-3), ("bfloat16", 0.5, 0.02)])
def test_norm_sums_with_care(kind, mean, tolerance):
    """Means far from zero and activations in bf16, against all in float64."""
    torch.manual_seed(0)
    x = (torch.randn(16, 3, 4, 20, 20) + mean + torch.arange(4.0)[:, None, None]).to(getattr(torch, kind))
    pull = torch.randn(16, 3, 4, 20, 20)
    ours, exact = GroupBatchNorm(3), GroupBatchNorm(3).double()
    found = []
    for module, a in ((ours, x), (exact, x.double())):
        a = a.flatten(1, 2).contiguous(memory_format=torch.channels_last).requires_grad_()
        y = module(a.unflatten(1, (3, 4)))
        (y * pull.to(y.dtype)).sum().backward()
        found.append([y, a.grad.unflatten(1, (3, 4)), module.weight.grad, module.bias.grad])
    for name, one, other in zip(("output", "input", "weight", "bias"), *found):
        error = (one.double() - other).norm() / other.norm()
        assert error < tolerance, name
    torch.testing.assert_close(ours.running_mean.double(), exact.running_mean, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.running_var.double(), exact.running_var, rtol=1e-3, atol=1e-4)


def test_pools_keep_the_orientations_apart():
    x = torch.randn(2, 3, 4, 6, 6)
    assert torch.equal(SpatialMaxPool(2)(x)[:, 1, 2], F.max_pool2d(x[:, 1, 2], 2))
    assert torch.equal(SpatialAvgPool(3, 2, 1)(x)[:, 0, 3], F.avg_pool2d(x[:, 0, 3], 3, 2, 1))
    assert torch.equal(GroupPool()(x), x.max(2).values)
    assert torch.equal(GroupPool("mean")(GlobalAvgPool()(x)), x.mean((-2, -1)).mean(2))


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_dropout_has_its_rate_its_scale_and_a_stream_per_replica(memory):
    layer = Dropout(0.3)
    x = torch.ones(64, 6, 20, 20).contiguous(memory_format=memory)
    layer.seed([torch.Generator().manual_seed(s) for s in (1, 2)])
    y = layer(x)
    assert abs((y == 0).double().mean().item() - 0.3) < 0.005
    assert abs(y.mean().item() - 1) < 0.01
    layer.seed([torch.Generator().manual_seed(2)])
    alone = layer(x[:, 3:].contiguous(memory_format=memory))
    assert torch.equal(alone, y[:, 3:])
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("p", [1e-6, 1e-4, 0.3, 0.5, 0.9999, 1 - 1e-7])
def test_dropout_keeps_what_its_bits_say_in_every_type_and_memory_order(p, dtype):
    layer, shape = Dropout(p), (8, 5, 4, 6, 7)
    x = torch.randn(shape).to(dtype)
    words = torch.empty(x.numel() // 4, dtype=torch.int64)
    words.random_(-(2**63), None, generator=torch.Generator().manual_seed(4))
    bits = words.view(torch.int16).view(shape).long() + 2**15  # uniform in 0, ..., 65535
    dropped = min(round(p * 2**16), 2**16 - 1)
    expected = x * ((bits >= dropped).double() * 2**16 / (2**16 - dropped)).to(dtype)
    for order in ((0, 1, 2, 3, 4), (0, 3, 4, 1, 2)):
        layer.seed([torch.Generator().manual_seed(4)])
        arranged = x.permute(order).contiguous().permute([order.index(axis) for axis in range(5)])
        dropped_out = layer(arranged)
        assert torch.equal(dropped_out, expected)
        assert dropped_out.stride() == arranged.stride()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_global_pool_is_the_mean_with_all_its_derivatives(dtype):
    x = torch.randn(3, 5, 4, 7, 6).to(dtype).requires_grad_()
    weight = torch.randn(3, 5, 4).to(dtype)
    gradient, expected = (
        torch.autograd.grad((function(x) * weight).sum(), x)[0]
        for function in (GlobalAvgPool(), lambda x: x.mean((-2, -1)))
    )
    assert torch.equal(gradient, expected)
    small = torch.randn(2, 3, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(GlobalAvgPool(), small, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(GlobalAvgPool(), small)
    assert torch.equal(torch.vmap(GlobalAvgPool())(x), x.mean((-2, -1)))


def _network() -> nn.Sequential:
    return nn.Sequential(
        LiftingConv(1, 2, 3, padding=1),
        GroupBatchNorm(2),
        nn.ReLU(),
        SpatialMaxPool(2),
        GroupConv(2, 3, 3),
        GroupBatchNorm(3),
        GlobalAvgPool(),
        GroupPool(),
        nn.Linear(3, 5),
    )


def test_stacked_networks_compute_what_they_compute_alone():
    torch.manual_seed(3)
    models = [_network() for _ in range(3)]
    originals = copy.deepcopy(models)
    both = stack(models)
    x = torch.randn(4, 3, 1, 8, 8)
    together = both(x.flatten(1, 2)).unflatten(1, (3, 5))
    for i, model in enumerate(models):
        torch.testing.assert_close(together[:, i], model(x[:, i]), atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        for parameter in both.parameters():
            parameter.add_(1)
    unstack(both, models)
    for model, original in zip(models, originals):
        for new, old in zip(model.parameters(), original.parameters()):
            torch.testing.assert_close(new, old + 1)


def test_a_layer_that_cannot_be_stacked_is_named():
    with pytest.raises(UserError, match="LayerNorm"):
        stack([nn.Sequential(nn.LayerNorm(4)) for _ in range(2)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LiftingConv(1, 1, (3, 5)), "square"),
        (lambda: GroupConv(3, 4, 3, groups=2), "multiples of groups"),
        (lambda: LiftingConv(1, 1, 3, stride=0), "stride"),
        (lambda: SpatialMaxPool(2, padding=2), "half of kernel_size"),
        (lambda: GroupPool("sum"), "mode"),
        (lambda: Dropout(1.0), "p must be"),
        (lambda: GroupConv(2, 2, 3)(torch.zeros(1, 2, 8, 5, 5)), "expects"),
        (lambda: LiftingConv(2, 2, 3)(torch.zeros(1, 1, 5, 5)), "expects"),
        (lambda: GroupBatchNorm(2)(torch.zeros(1, 3, 4, 5, 5)), "expects"),
    ],
)
def test_bad_arguments_are_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()
