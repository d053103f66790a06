"""Networks on which the remainder alone would mislead, and the geometry of ordinary networks."""

from __future__ import annotations

import pytest
import torch
from atlas_networks import lifted
from torch import nn

from shared.algebra.groups import cyclic, dihedral
from shared.atlas import Layer, atlas
from shared.measure import compare, equivariance_error, find_action
from shared.nn import (
    GlobalAvgPool,
    GroupBatchNorm,
    GroupConv,
    GroupPool,
    LiftingConv,
    SpatialAvgPool,
    SpatialMaxPool,
)

C4, D4 = cyclic(4), dihedral(4)
LIFT, FULL, THREE = LiftingConv(1, 1, 3), SpatialMaxPool(3), nn.Upsample((3, 3), mode="bilinear")
LATE, EARLY = (0, 1, 0, 1), (1, 0, 1, 0)  # (left, right, top, bottom)


def largest_error(network: nn.Module, x: torch.Tensor) -> float:
    """One pixel does not move, so `measure` refuses it; the output may move all the same."""
    if x.shape[-1] > 1:
        return equivariance_error(network, x, C4).relative_max
    with torch.no_grad():
        y = network.eval()(x)
    act = find_action(None, y, C4, "out")
    return max(compare(y, act(C4, g, y)).relative_max for g in range(4))


class TestSubtleCases:
    """Each by name; test_atlas_property finds its own."""

    @pytest.mark.filterwarnings("ignore:Using padding='same'")
    @pytest.mark.parametrize(
        ("network", "size", "exact"),
        [
            # windows that hold the whole map in spite of a remainder
            (lifted(SpatialMaxPool(3, 2, padding=1)), 2, True),
            (lifted(SpatialMaxPool(2, ceil_mode=True)), 1, True),
            (lifted(SpatialAvgPool(3, 2, padding=1)), 2, True),
            (lifted(GroupConv(2, 2, 3, stride=2, padding=1)), 2, False),
            # a maximum of maxima over the whole map, but not if something that may decrease comes between
            (lifted(SpatialMaxPool(3, 1, padding=1), nn.ReLU(), SpatialMaxPool(2)), 3, True),
            (lifted(SpatialMaxPool(3, 1, padding=1), GroupBatchNorm(2), SpatialMaxPool(2)), 3, False),
            # ... unless its inputs cannot be negative
            (lifted(SpatialMaxPool(3, 1, padding=1), nn.SiLU(), SpatialMaxPool(2)), 3, True),
            (lifted(nn.BatchNorm3d(2), SpatialMaxPool(3, 1, 1), nn.SiLU(), SpatialMaxPool(2)), 3, False),
            # max(a, (a + b) / 2, b) = max(a, b): order absorbs what the grid breaks, but not so for means
            (nn.Sequential(nn.AdaptiveMaxPool2d((2, 1)), THREE, FULL), 6, True),
            (nn.Sequential(nn.AdaptiveAvgPool2d((2, 1)), THREE, FULL), 6, False),
            # a convolution that reads zeros only
            (LiftingConv(1, 1, 2, stride=3, padding=1, dilation=2), 1, True),
            # a constant map may be sampled anywhere
            (lifted(nn.AdaptiveAvgPool3d((None, 1, 1)), nn.Upsample((4, 4, 4)), SpatialMaxPool(3)), 8, True),
            # ceil mode: equal windows at even sizes, an overhang at odd ones
            (lifted(SpatialAvgPool(2, ceil_mode=True)), 8, True),
            (lifted(SpatialAvgPool(2, ceil_mode=True)), 9, False),
            # adaptive pools and resizing
            (lifted(nn.AdaptiveMaxPool3d((None, 3, 3))), 8, True),
            (nn.Sequential(nn.Upsample((12, 12), mode="bilinear"), LiftingConv(1, 1, 3)), 8, True),
            (nn.Sequential(nn.Upsample((12, 12), mode="nearest"), LiftingConv(1, 1, 3)), 8, False),
            (nn.Sequential(nn.Upsample(scale_factor=1.5, mode="bilinear"), LiftingConv(1, 1, 3)), 8, True),
            (nn.Sequential(nn.Upsample(scale_factor=1.5, mode="bilinear"), LiftingConv(1, 1, 3)), 7, False),
            # padding of one side, and of the other: repaired only if no bias fills the pixels between
            (nn.Sequential(nn.ZeroPad2d(LATE), nn.ReLU(), nn.ZeroPad2d(EARLY), LIFT), 5, True),
            (nn.Sequential(nn.ZeroPad2d(LATE), nn.Sigmoid(), nn.ZeroPad2d(EARLY), LIFT), 5, False),
            (nn.Conv2d(1, 1, 2, padding="same"), 5, False),
            # ordinary layers
            (nn.Conv2d(1, 1, 1, stride=2), 5, True),
            (nn.Conv2d(1, 1, 3, padding=1), 1, True),
            (nn.Conv2d(1, 1, 3, padding=1), 5, False),
            (nn.Sequential(nn.Flatten(), nn.Linear(1, 2)), 1, True),
            (nn.Sequential(nn.Flatten(), nn.Linear(25, 2)), 5, False),
            (lifted(GlobalAvgPool(), nn.Flatten(), nn.Linear(8, 2)), 5, False),
            (nn.Sequential(LiftingConv(1, 2, 1), GlobalAvgPool(), nn.Flatten(), nn.Linear(8, 2)), 5, True),
            # a broken map stays broken
            (lifted(SpatialMaxPool(2), GlobalAvgPool(), GroupPool()), 9, False),
            (lifted(SpatialMaxPool(2), GroupPool("mean"), nn.AdaptiveMaxPool2d(1), nn.Flatten()), 9, False),
        ],
    )  # fmt: skip
    def test_verdict_and_measurement(self, network: nn.Module, size: int, exact: bool) -> None:
        assert atlas(network, size).exact == exact
        network.double()
        worst = 0.0
        for seed in range(20):
            generator = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.copy_(torch.randn(parameter.shape, generator=generator))
            x = torch.randn(8, 1, size, size, generator=generator, dtype=torch.float64)
            worst = max(worst, largest_error(network, x))
        assert (worst < 1e-10) == exact

    def test_dead_activations_clear_nothing(self) -> None:
        """So deep a network is silent for most weights, and silence is no evidence that nothing is broken."""
        deep = [Layer("conv", "group_conv", 3, padding=1, bias=False), Layer("act", "act")] * 40
        ends = [Layer("pool", "max_pool", 2), Layer("mean", "global_avg")]
        assert not atlas([Layer("lift", "lift", 3, 2, 1), *deep, *ends], 8).exact
        assert atlas([Layer("lift", "lift", 3, 2, 1), *deep, *ends], 7).exact

    def test_repairing_layer_is_said(self) -> None:
        net = nn.Sequential(nn.ZeroPad2d(LATE), nn.ZeroPad2d(EARLY), LiftingConv(1, 1, 3))
        found = atlas(net, 5)
        assert [(row.exact_here, row.exact_so_far) for row in found.rows] == [
            (False, False),
            (False, True),
            (True, True),
        ]
        assert found.first_break is None
        assert "repairs what broke before it" in found.explain()

    def test_mirrors_need_a_group_that_has_them(self) -> None:
        found = atlas(lifted(), 5, "p4m")
        assert "lacks m" in found.first_break.reason
        assert atlas(lifted(group=D4), 5, "p4m").exact
        assert atlas(lifted(group=D4), 5, D4).exact

    def test_geometry_alone(self) -> None:
        """With the filters taken as tied, an ordinary network is exact at the sizes of its p4 twin."""
        plain = nn.Sequential(
            nn.Conv2d(1, 2, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(8, 3),
        )
        assert not atlas(plain, 7).exact
        assert atlas(plain, 7, geometry=True).exact
        assert not atlas(plain, 8, geometry=True).exact
        assert not atlas(nn.Conv2d(1, 1, (3, 1)), 7, geometry=True).exact
        assert "ordinary convolution" in atlas(plain, 7).first_break.reason
        assert "mod 2 = 1" in atlas(plain, 8).first_break.reason  # both faults: no tie would help

    @pytest.mark.parametrize("size", range(9, 21))
    def test_geometry_of_ordinary_layers_is_that_of_tied_ones(self, size: int) -> None:
        windows = [(3, 2, 1), (2, 1, 0), (3, 3, 0)]
        tied = [Layer(f"c{i}", "group_conv" if i else "lift", *w) for i, w in enumerate(windows)]
        plain = [Layer(f"c{i}", "conv", *w) for i, w in enumerate(windows)]
        expected = atlas(tied, size)
        found = atlas(plain, size, geometry=True)
        assert [row.exact_so_far for row in found.rows] == [row.exact_so_far for row in expected.rows]
