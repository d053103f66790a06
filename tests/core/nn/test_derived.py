"""Layers made on the meta device or emptied: what follows from their arguments is right after loading."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shared.algebra.groups import dihedral
from shared.nn import (
    ContinuousLifting,
    FixedAngles,
    GroupBatchNorm,
    GroupConv,
    LConv,
    LiftingConv,
)
from shared.nn.derived import DerivedBuffers
from shared.nn.fields import BlurPool, CircularMask, FieldBatchNorm, FieldGate


class Angular(ContinuousLifting):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[0]


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "lifting": (lambda: LiftingConv(1, 2, 3, group=dihedral(4)), (2, 1, 7, 7)),
    "group convolution": (lambda: GroupConv(2, 2, 3), (2, 2, 4, 7, 7)),
    "group norm": (lambda: GroupBatchNorm(2), (2, 2, 4, 5, 5)),
    "L-conv": (lambda: LConv(1, 2, 9, 2, rank=3), (2, 9, 1)),
    "continuous lifting": (lambda: Angular(1, 2, FixedAngles(3)), (2, 1, 7, 7)),
    "field norm": (lambda: FieldBatchNorm(2, torch.eye(3, device="cpu")[:, :1]), (2, 6, 5, 5)),
    "gate": (lambda: FieldGate(2, (1, 2)), (2, 10, 5, 5)),
    "blur": (lambda: BlurPool(2, 0.7, 2, 1), (2, 3, 9, 9)),
    "mask": (lambda: CircularMask(7), (2, 1, 7, 7)),
}


@pytest.mark.parametrize("way", ["assign", "to_empty", "emptied"])
@pytest.mark.parametrize("name", LAYERS)
def test_made_without_memory_and_loaded(name: str, way: str) -> None:
    make, shape = LAYERS[name]
    torch.manual_seed(0)
    source, x = make().eval(), torch.randn(shape)
    with torch.device("cpu" if way == "emptied" else "meta"):
        net = make()
    if way != "assign":
        net.to_empty(device="cpu")
        for tensor in net.buffers():  # memory that happens to be clean would hide the fault
            tensor.fill_(77)
        net.to_empty(device="cpu")
    net.load_state_dict(source.state_dict(), assign=way == "assign")
    assert torch.equal(net.eval()(x), source(x))


def test_steerable_filters_without_memory() -> None:
    if int(np.__version__.split(".")[0]) >= 2:
        pytest.skip("escnn needs numpy below 2")
    pytest.importorskip("escnn")
    from shared.nn.baselines_steerable import SteerableFieldConv, regular_fields, trivial_fields

    def make() -> nn.Module:
        return SteerableFieldConv(trivial_fields("C4", 1), regular_fields("C4", 2), 3)

    source, x = make(), torch.randn(1, 1, 7, 7)
    with torch.device("meta"):
        net = make()
    net.load_state_dict(source.state_dict(), assign=True)
    assert torch.equal(net(x), source(x))


def test_conversions_keep_the_values() -> None:
    class Halved(DerivedBuffers):
        def __init__(self) -> None:
            super().__init__()
            self.derive("index", lambda: torch.tensor([2, 0]))
            self.derive("values", lambda: torch.tensor([1.0, 1 / 3]))

        def forward(self, x: Tensor) -> Tensor:
            return x[self.index] * self.values

    net = Halved()
    assert not net.state_dict()
    net.half().float()
    assert torch.equal(net.values, torch.tensor([1.0, 1 / 3]))
    assert net.double().values.dtype == torch.float64
    assert net.index.dtype == torch.int64
