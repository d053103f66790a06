"""Layers compute in their own type, whatever `torch.set_default_dtype` says at the time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from shared import nn as ours
from shared.algebra.groups import dihedral
from shared.nn.fields import BlurPool, CircularMask, FieldBatchNorm, FieldGate
from shared.train import FitSettings, TrainingSet, fit


class First(nn.Module):
    """What a layer returns besides the angles."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "lifting": (lambda: ours.LiftingConv(2, 3, 3, group=dihedral(4), padding=1), (2, 2, 7, 7)),
    "group convolution": (lambda: ours.GroupConv(2, 2, 3), (2, 2, 4, 7, 7)),
    "group norm": (lambda: ours.GroupBatchNorm(2), (3, 2, 4, 5, 5)),
    "lifting and norm": (
        lambda: nn.Sequential(ours.LiftingConv(3, 4, 3), ours.GroupBatchNorm(4)),
        (2, 3, 9, 9),
    ),
    "pools": (
        lambda: nn.Sequential(ours.SpatialMaxPool(2), ours.SpatialAvgPool(2), ours.GroupPool()),
        (2, 2, 4, 8, 8),
    ),
    "fitted": (lambda: ours.FitStride(2, 2), (2, 2, 7, 7)),
    "dropout": (lambda: ours.Dropout(0.5), (2, 2, 7, 7)),
    "convolution": (lambda: ours.Conv2d(2, 3, 1, stride=2), (2, 2, 8, 8)),
    "L-conv": (lambda: ours.LConv(1, 2, 9, 2, rank=3), (2, 9, 1)),
    "continuous lifting": (lambda: First(ours.ContinuousLifting(1, 2, ours.FixedAngles(3))), (2, 1, 7, 7)),
    "random angles": (lambda: First(ours.ContinuousLifting(1, 2, ours.RandomAngles(3))), (2, 1, 7, 7)),
    "partial angles": (lambda: First(ours.ContinuousLifting(1, 2, ours.PartialAngles(3))), (2, 1, 7, 7)),
    "field norm": (lambda: FieldBatchNorm(2, torch.eye(3)[:, :1]), (2, 6, 5, 5)),
    "gate": (lambda: FieldGate(2, (1, 2)), (2, 10, 5, 5)),
    "blur": (lambda: BlurPool(2, 0.7, 2, 1), (2, 3, 9, 9)),
    "mask": (lambda: CircularMask(7), (2, 1, 7, 7)),
}


def results(net: nn.Module, x: Tensor) -> list[Tensor]:
    """Outputs while training and after it, gradients, and what the layer keeps."""
    torch.manual_seed(0)
    ours.seed_angles(net, 0)
    x = x.detach().requires_grad_()
    y = net.train()(x)
    y.square().sum().backward()
    gradients = [p.grad for p in [x, *net.parameters()] if p.grad is not None]
    net.zero_grad()
    return [y, *gradients, *[b.clone() for b in net.buffers()], net.eval()(x)]


@pytest.fixture
def double_default():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("order", ["contiguous", "channels_last"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_float32_layer_stays_one(name: str, order: str, double_default: None) -> None:
    make, shape = LAYERS[name]
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    net, x = make(), torch.randn(shape)
    if order == "channels_last" and x.dim() > 3:
        dense = x.flatten(1, -3).contiguous(memory_format=torch.channels_last)
        x = dense.view_as(x)
    state = {key: value.clone() for key, value in net.state_dict().items()}
    expected = results(net, x)
    net.load_state_dict(state)
    torch.set_default_dtype(torch.float64)
    made = make().float()  # as one may make a float32 network under this default
    made.load_state_dict(state)
    for one in (net, made):
        found = results(one, x)
        assert [t.dtype for t in found] == [t.dtype for t in expected]
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b)


def test_a_training_stays_in_float32(double_default: None) -> None:
    """Two seeds side by side, in both memory orders, as with the usual default."""
    dice = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (24, 1, 7, 7), generator=dice).byte()
    labels = torch.randint(0, 3, (24,), generator=dice)

    def losses(default: torch.dtype, channels_last: bool) -> list[list[float]]:
        torch.set_default_dtype(torch.float32)
        torch.manual_seed(0)
        layers = [ours.LiftingConv(1, 4, 3), ours.GroupBatchNorm(4), nn.ReLU(), ours.Dropout(0.2)]
        heads = [ours.GlobalAvgPool(), ours.GroupPool(), nn.Linear(4, 3)]
        torch.set_default_dtype(default)
        one = nn.Sequential(*layers, *heads)
        models = [one, ours.copies.copied(one)]
        data = TrainingSet(images, labels, [torch.arange(24)] * 2, lambda x, g: x.to(torch.float32) / 255)
        how = FitSettings(epochs=2, batch_size=8, channels_last=channels_last, replicas="together")
        found = fit(models, data, how, [0, 1]).losses
        assert {p.dtype for model in models for p in model.parameters()} == {torch.float32}
        return found

    expected = losses(torch.float32, False)
    for order in (False, True):
        for found, right in zip(losses(torch.float64, order), expected):
            assert found == pytest.approx(right, rel=1e-4)
