"""Layers on fields: filters computed once a step, and what escnn's own modules say."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from shared.nn import baselines
from shared.nn.fields import BlurPool, CircularMask, ExpandedConv, FieldBatchNorm, FieldGate


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class Doubled(ExpandedConv):
    """A convolution with twice its weight as filter, which counts how often it is computed."""

    def __init__(self) -> None:
        super().__init__(2, stride=1, padding=1)
        self.weight = nn.Parameter(numbers(2, 3, 3, 3))
        self.times = 0

    def expand(self) -> tuple[Tensor, None]:
        self.times += 1
        return 2 * self.weight, None


def expected(layer: Doubled, x: Tensor) -> Tensor:
    return torch.conv2d(x, 2 * layer.weight, padding=1)


def test_a_filter_is_computed_once_for_the_forward_passes_of_a_step():
    layer, x = Doubled(), numbers(1, 3, 5, 5)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    for step in (1, 2, 3):
        optimizer.zero_grad()
        loss = sum((layer(seen)).square().sum() for seen in (x, 2 * x, 3 * x))
        loss.backward()
        ours = layer.weight.grad.clone()
        optimizer.zero_grad()
        sum(expected(layer, seen).square().sum() for seen in (x, 2 * x, 3 * x)).backward()
        torch.testing.assert_close(ours, layer.weight.grad)
        optimizer.step()
        assert layer.times == step


@pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])
def test_a_changed_parameter_changes_the_filter(fused):
    layer, x = Doubled(), numbers(1, 3, 5, 5)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1, fused=fused)
    layer(x).sum().backward()
    optimizer.step()
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected(layer, x))
        optimizer.step()
        torch.testing.assert_close(layer(x), expected(layer, x))
        torch.testing.assert_close(layer.eval()(x), expected(layer, x))
        layer.load_state_dict({"weight": numbers(2, 3, 3, 3, seed=1)})
        torch.testing.assert_close(layer(x), expected(layer, x))
        layer.times = 0
        layer(x), layer(2 * x)
        assert layer.times == 0


def test_a_filter_goes_with_its_graph():
    """Twice backward without a step; a forward pass without gradients before one with; another type."""
    layer, x = Doubled(), numbers(1, 3, 5, 5)
    for _ in range(2):
        layer(x).sum().backward()
    assert layer.times == 2
    with torch.no_grad():
        layer(x)
    layer(x).sum().backward()
    assert layer.weight.grad is not None
    layer(x)
    assert layer.double()(x.double()).dtype == torch.float64


def test_a_kept_filter_does_not_stand_in_the_way_of_a_copy():
    layer, x = Doubled(), numbers(1, 3, 5, 5)
    layer(x)
    twin = copy.deepcopy(layer)
    with torch.no_grad():
        twin.weight.zero_()
        assert twin(x).abs().max() == 0
        assert layer(x).abs().max() > 0
    assert set(layer.state_dict()) == {"weight"}


def fields_of(dimensions: int):
    """Three fields of two gates, a trivial and a two-dimensional irrep, in escnn and as numbers."""
    if not baselines.available("escnn"):
        pytest.skip("escnn is not installed")
    escnn = baselines.load("escnn")
    space = escnn.gspaces.rot2dOnR2(4) if dimensions == 2 else escnn.gspaces.rot3dOnR3()
    acting = space.fibergroup
    parts = [acting.irrep(0), acting.irrep(1)]
    gates = [acting.trivial_representation] * 2
    field = escnn.group.directsum([*gates, *parts], name=f"gated {dimensions}")
    sizes = [part.size for part in parts]
    return escnn, space, field, sizes


@pytest.mark.parametrize("dimensions", [2, 3])
def test_batch_norm_is_escnns(dimensions):
    escnn, space, field, _ = fields_of(dimensions)
    kind = escnn.nn.FieldType(space, 3 * [field])
    theirs = (escnn.nn.IIDBatchNorm2d if dimensions == 2 else escnn.nn.IIDBatchNorm3d)(kind)
    invariant = torch.eye(field.size)[:, :3]
    ours = FieldBatchNorm(3, invariant)
    with torch.no_grad():
        for parameter, name in ((ours.weight, "weight"), (ours.bias, "bias")):
            parameter.copy_(numbers(*parameter.shape, seed=3))
            (found,) = (p for n, p in theirs.named_parameters() if n.endswith(name))
            found.copy_(parameter)
    x = 2 + 3 * numbers(4, kind.size, *dimensions * (3,))
    grads = []
    for training in (True, False):
        for layer in (ours.train(training), theirs.train(training)):
            leaf = x.clone().requires_grad_()
            out = layer(leaf) if layer is ours else layer(escnn.nn.GeometricTensor(leaf, kind)).tensor
            out.square().sum().backward()
            grads += [(out.detach(), leaf.grad)]
        (a, b), (c, d) = grads[-2:]
        torch.testing.assert_close(a, c, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(b, d, rtol=1e-4, atol=1e-4)


def test_batch_norm_leaves_what_turns_uncentered():
    norm = FieldBatchNorm(1, torch.eye(3)[:, :1]).double()
    x = 5 + numbers(8, 3, 4, 4).double()
    out = norm(x).mean((0, 2, 3))
    assert out[0].abs() < 1e-6
    assert out[1:].abs().min() > 1


@pytest.mark.parametrize("dimensions", [2, 3])
def test_gates_are_escnns(dimensions):
    """Whose fields are sorted otherwise: all gates first, then the irreps."""
    escnn, space, _, sizes = fields_of(dimensions)
    acting = space.fibergroup
    kind = escnn.nn.FieldType(
        space, 6 * [acting.trivial_representation] + 3 * [acting.irrep(0), acting.irrep(1)]
    )
    theirs = escnn.nn.GatedNonLinearity1(kind, gates=6 * ["gate"] + 6 * ["gated"])
    ours = FieldGate(3, sizes)
    # escnn hands the gates out by size of the gated field
    gates = torch.arange(6).view(2, 3).T
    with torch.no_grad():
        theirs.bias.copy_(numbers(1, 6))
        ours.bias.copy_(theirs.bias[0][gates])
    x = numbers(2, kind.size, *dimensions * (3,))
    mine = torch.cat([x[:, :6][:, gates], x[:, 6:].unflatten(1, (3, -1))], 2).flatten(1, 2)
    torch.testing.assert_close(ours(mine), theirs(escnn.nn.GeometricTensor(x, kind)).tensor)


def test_gates_know_their_irreps():
    gate = FieldGate(1, (1, 2))
    with torch.no_grad():
        gate.bias.copy_(torch.tensor([[-100.0, 100.0]]))
    out = gate(torch.tensor([0.0, 0.0, 1.0, 2.0, 3.0]).view(1, 5, 1, 1)).flatten()
    assert out.tolist() == pytest.approx([1.0, 0.0, 0.0])


@pytest.mark.parametrize(("dimensions", "stride", "padding"), [(2, 2, 1), (2, 1, 1), (3, 2, 0)])
def test_the_blur_is_escnns(dimensions, stride, padding):
    escnn, space, field, _ = fields_of(dimensions)
    kind = escnn.nn.FieldType(space, 3 * [field])
    build = (
        escnn.nn.PointwiseAvgPoolAntialiased if dimensions == 2 else escnn.nn.PointwiseAvgPoolAntialiased3D
    )
    theirs = build(kind, 0.66, stride, padding)
    x = numbers(2, kind.size, *dimensions * (7,))
    torch.testing.assert_close(
        BlurPool(dimensions, 0.66, stride, padding)(x), theirs(escnn.nn.GeometricTensor(x, kind)).tensor
    )


@pytest.mark.parametrize("size", [8, 9])
def test_the_mask_is_escnns(size):
    escnn, space, field, _ = fields_of(2)
    kind = escnn.nn.FieldType(space, [field])
    x = numbers(2, kind.size, size, size)
    theirs = escnn.nn.MaskModule(kind, size, margin=10.0, sigma=1.5)
    ours = CircularMask(size, margin=10.0, sigma=1.5)
    torch.testing.assert_close(ours(x), theirs(escnn.nn.GeometricTensor(x, kind)).tensor)
    assert list(ours.parameters()) == []
