"""The size atlas: golden verdicts, and the rule and arithmetic behind its suggestions."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from atlas_networks import p4cnn, resnet18, resnet44, toy
from torch import nn

from shared.algebra.groups import cyclic, dihedral
from shared.atlas import Branches, Graph, Layer, Symmetry, atlas, read, sizes
from shared.atlas import nearest as nearest_module
from shared.base.errors import UserError
from shared.measure import equivariance_error
from shared.nn import LiftingConv, SpatialMaxPool

D4 = dihedral(4)


class TestGolden:
    """Fact sheet 2.7."""

    @pytest.mark.parametrize(
        ("size", "stage"),
        [(32, 1), (34, 1), (36, 1), (31, 2), (35, 2), (33, None), (96, 1), (97, None)],
    )
    def test_resnet44(self, size: int, stage: int | None) -> None:
        """Stage 2 is ``stages.1``; at 31 and 35 it is exact and only stage 3 breaks."""
        found = atlas(resnet44(), size)
        assert found.exact == (stage is None)
        if stage is not None:
            assert found.first_break.name == f"stages.{stage}.conv1"
            broken = {row.name.split(".")[1] for row in found.rows if not row.exact_here}
            assert broken == ({"1", "2"} if size in (32, 36, 96) else {str(stage)})

    @pytest.mark.parametrize(
        ("network", "size", "below", "above"),
        [
            (resnet44(), 32, 29, 33),
            (resnet44(), 96, 93, 97),
            (resnet18(False), 224, 217, 225),
            (resnet18(True), 224, 193, 225),
            (resnet18(True), 225, 193, 257),
            (toy(), 32, 31, 33),
            (toy(), 33, 31, 35),
            (p4cnn(), 27, 26, 28),
            (p4cnn(), 28, 26, 30),
            (p4cnn(), 29, 28, 30),
        ],
    )
    def test_nearest(self, network: nn.Module, size: int, below: int, above: int) -> None:
        found = atlas(network, size).nearest_exact
        assert (found.below, found.above) == ((below, below), (above, above))

    def test_standard_stem_breaks_in_the_stem(self) -> None:
        found = atlas(resnet18(True), 224)
        assert found.first_break.name == "stem.0"
        assert not any(row.exact_so_far for row in found.rows)
        assert atlas(resnet18(True), 225).exact

    @pytest.mark.parametrize(
        ("network", "exact"), [(p4cnn(), "8 10 12 14 16"), (toy(), "1 3 5 7 9 11 13 15 17")]
    )
    def test_exact_sizes(self, network: nn.Module, exact: str) -> None:
        found = sizes(network, range(1, 18))
        assert [v.size[0] for v in found if v.exact] == [int(n) for n in exact.split()]

    def test_exact_sizes_of_resnets(self) -> None:
        assert [v.size[0] for v in sizes(resnet44(), range(10, 30)) if v.exact] == [13, 17, 21, 25, 29]
        assert [v.size[0] for v in sizes(resnet18(False), range(30, 50)) if v.exact] == [33, 41, 49]

    def test_sides_of_stages(self) -> None:
        rows = {row.name: row for row in atlas(resnet44(), 33).rows}
        assert rows["stages.1.conv1"].output_size == (17, 17)
        assert rows["stages.2.shortcut.0"].output_size == (9, 9)


@pytest.mark.parametrize(
    ("size", "exact"),
    [
        ((8, 8), ""),
        ((9, 9), "lr ud rot180 ccw cw p4 p4m"),
        ((8, 9), "lr ccw"),
        ((9, 8), "ud cw"),
    ],
)
@pytest.mark.parametrize("symmetry", ["lr", "ud", "rot180", "ccw", "cw", "p4", "p4m"])
def test_symmetries_ask_for_their_axes(size: tuple[int, int], exact: str, symmetry: str) -> None:
    """Fact sheet 2.5, k = 3, s = 2, p = 1; the measured error agrees."""
    layer = LiftingConv(1, 1, 3, stride=2, padding=1, group=D4).double()
    found = atlas(layer, size, symmetry)
    assert found.exact == (symmetry in exact.split())
    x = torch.randn(2, 1, *size, dtype=torch.float64)
    errors = equivariance_error(layer, x, D4, elements=found.symmetry.elements)
    assert (errors.relative_max < 1e-12) == found.exact


def test_groups_as_symmetries() -> None:
    layer = LiftingConv(1, 1, 3, stride=2, padding=1, group=D4).double()
    assert atlas(layer, 9, dihedral(2)).symmetry.elements == (2, 4, 6)
    assert atlas(layer, (9, 8), dihedral(1)).symmetry.name == "lr"
    with pytest.raises(UserError, match="does not map the pixel grid to itself"):
        atlas(layer, 9, cyclic(3))


def test_transposition_leaves_the_grid_alone() -> None:
    """Swapping the axes looks windows up forwards on both, so it is exact in spite of any remainder."""
    diagonal, other_diagonal = (Symmetry("diagonal", (g,), (g,)) for g in (5, 7))
    layer = LiftingConv(1, 1, 3, stride=2, padding=1, group=D4).double()
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    for symmetry, exact in ((diagonal, True), (other_diagonal, False)):
        assert atlas(layer, 8, symmetry).exact == exact
        errors = equivariance_error(layer, x, D4, elements=symmetry.elements)
        assert (errors.relative_max < 1e-12) == exact
    assert "treats height and width" in atlas(SpatialMaxPool((1, 2)), 8, diagonal).first_break.reason


class TestRule:
    def test_remainder_decides_for_lifting_convolutions(self) -> None:
        """Fact sheet 2.1: over all small kernels, strides and paddings the rule equals the verdict."""
        checked = 0
        for k, s, i in itertools.product(range(1, 6), range(1, 5), (4, 7, 10, 13)):
            for p in range(k // 2 + 1):
                if i + 2 * p >= k:
                    layer = Layer("conv", "lift", k, s, p)
                    assert nearest_module.is_exact(read([layer]), (i, i), atlas_p4()) == (
                        (i + 2 * p - k) % s == 0
                    )
                    checked += 1
        assert checked >= 160

    @pytest.mark.parametrize("dilation", [1, 2, 3])
    def test_sizes_and_remainders_are_torchs(self, dilation: int) -> None:
        for k, s, p, i in itertools.product((1, 2, 3), (1, 2, 3), (0, 1), range(1, 12)):
            reach = dilation * (k - 1) + 1
            if i + 2 * p < reach:
                continue
            layer = Layer("conv", "conv", k, s, p, dilation)
            out = F.conv2d(torch.zeros(1, 1, i, i), torch.zeros(1, 1, k, k), None, s, p, dilation).shape[-1]
            assert layer.out_size(0, i) == out
            last_window_end = (out - 1) * s + reach
            assert layer.remainder(1, i) == i + 2 * p - last_window_end

    @pytest.mark.parametrize("ceil_mode", [False, True])
    def test_pool_sizes_are_torchs(self, ceil_mode: bool) -> None:
        for k, s, i in itertools.product((2, 3, 4), (1, 2, 3, 5), range(4, 14)):
            for p in range(k // 2 + 1):
                layer = Layer("pool", "max_pool", k, s, p, ceil_mode=ceil_mode)
                out = F.max_pool2d(torch.zeros(1, 1, i, i), k, s, p, ceil_mode=ceil_mode).shape[-1]
                assert layer.out_size(0, i) == out

    def test_chain_formula_equals_search(self) -> None:
        chain = read([Layer("a", "lift", 3, 2, 1), Layer("b", "max_pool", 2, 2), Layer("c", "group_conv", 4)])
        first, step = nearest_module.chain_sizes(chain, 0)
        fits = [n for n in range(1, 60) if nearest_module._no_remainder(chain, 0, n)]
        assert fits == list(range(first, 60, step))
        branched = read([Branches((chain_layers(chain), chain_layers(chain)))])
        assert nearest_module.chain_sizes(branched, 0) is None
        for n, direction in itertools.product(range(1, 50), (-1, 1)):
            by_formula = next(nearest_module.candidates(chain, 0, n, direction), None)
            assert next(nearest_module.candidates(branched, 0, n, direction), None) == by_formula

    def test_nearest_of_rectangles_keeps_the_axis_that_fits(self) -> None:
        found = atlas(toy(), (8, 9)).nearest_exact
        assert (found.below, found.above) == ((7, 9), (9, 9))
        for_mirror = atlas(LiftingConv(1, 1, 3, stride=2, padding=1, group=D4), (8, 8), "lr").nearest_exact
        assert (for_mirror.below, for_mirror.above) == ((8, 7), (8, 9))


def atlas_p4() -> object:
    return atlas([Layer("a", "act")], 1).symmetry


def chain_layers(graph: Graph) -> list[Layer]:
    return [node.layer for node in graph.nodes]
