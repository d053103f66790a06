"""Padding modes of group convolutions, and the layer that fits a map to the next stride."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.algebra.groups import cyclic, dihedral
from shared.atlas import Layer, atlas, sizes
from shared.measure import equivariance_error
from shared.nn import FitStride, GlobalAvgPool, GroupConv, GroupPool, LiftingConv, SpatialMaxPool
from shared.nn.fit import fitted_size
from shared.testing import assert_equivariant
from shared.train import stack

C4, D4 = cyclic(4), dihedral(4)
MODES = ("zeros", "reflect", "replicate", "circular")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class TestPaddingModes:
    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("kind", [LiftingConv, GroupConv])
    def test_is_torchs_convolution_with_the_bank(self, kind: type, mode: str) -> None:
        layer = kind(2, 3, 3, padding=(2, 1), stride=2, padding_mode=mode).double()
        bank = layer.filter_bank()
        dense = nn.Conv2d(bank.shape[1], 12, 3, 2, (2, 1), bias=False, padding_mode=mode).double()
        dense.weight.data = bank.detach()
        x = noise(2, bank.shape[1], 7, 8)
        expected = dense(x).unflatten(1, (3, 4)) + layer.bias[:, None, None, None]
        given = x if kind is LiftingConv else x.unflatten(1, (2, 4))
        torch.testing.assert_close(layer(given), expected)

    @pytest.mark.parametrize("mode", MODES)
    def test_none_changes_which_sizes_are_exact(self, mode: str) -> None:
        """All fill both ends alike, so the remainder alone decides, as with zeros; the atlas agrees."""
        seen = []
        for k, s, n in itertools.product((2, 3, 5), (1, 2, 3), (6, 7, 8)):
            net = nn.Sequential(
                LiftingConv(1, 2, 3, padding=1, padding_mode=mode, group=D4),
                GroupConv(2, 1, k, stride=s, padding=k // 2, padding_mode=mode, group=D4),
            ).double()
            errors = equivariance_error(net, noise(1, 1, n, n), D4)
            exact = (n + 2 * (k // 2) - k) % s == 0
            assert (errors.relative_max < 1e-12) == exact, (k, s, n, errors.relative_max)
            assert atlas(net, n, "p4m").exact == exact
            seen.append(exact)
        assert {True, False} == set(seen)

    def test_padding_is_a_row_of_its_own_in_the_atlas(self) -> None:
        found = atlas(LiftingConv(1, 1, 3, stride=2, padding=1, padding_mode="circular"), 8)
        assert [row.kind for row in found.rows] == ["pad", "lift"]
        assert found.first_break.kind == "lift"
        assert found.rows[1].remainder == (1, 1)
        assert found.nearest_exact.above == (9, 9)

    def test_unknown_mode_is_explained(self) -> None:
        with pytest.raises(ValueError, match="one of zeros, reflect, replicate, circular, not 'mirror'"):
            LiftingConv(1, 1, 3, padding_mode="mirror")


def windows() -> list[tuple[int, int, int, int]]:
    """Kernels, strides, paddings and dilations of a layer to fit."""
    fitted = itertools.product((1, 2, 3, 7), (1, 2, 3, 4), (0, 1, 3), (1, 2))
    return [(k, s, p, d) for k, s, p, d in fitted if p <= k // 2]


class TestFittedSize:
    def test_leaves_no_remainder_by_the_fewest_pixels(self) -> None:
        for (k, s, p, d), n in itertools.product(windows(), range(1, 20)):
            reach = d * (k - 1) + 1
            good = [m for m in range(1, 40) if (m + 2 * p - reach) % s == 0 and m + 2 * p >= reach]
            grown, shrunk = (fitted_size(n, reach, s, 2 * p, grow) for grow in (True, False))
            if n + 2 * p >= reach:
                assert grown == min(good, key=lambda m, n=n: (abs(m - n), -m))
                smaller = [m for m in good if m <= n]
                assert shrunk == (smaller[-1] if smaller else n - (n + 2 * p - reach) % s)
                if smaller:
                    assert (shrunk + 2 * p - reach) // s == (n + 2 * p - reach) // s  # as many outputs

    def test_of_the_paper(self) -> None:
        """32 and 224 become 33 and 225 before a 3x3 stride; 27 and 29 become 28 and 30 before a 2x2 pool."""
        assert [fitted_size(n, 3, 2, 2, True) for n in (32, 33, 224, 225)] == [33, 33, 225, 225]
        assert [fitted_size(n, 2, 2, 0, True) for n in (27, 28, 29)] == [28, 28, 30]
        assert [fitted_size(n, 2, 2, 0, False) for n in (27, 28, 29)] == [26, 28, 28]


@pytest.mark.parametrize("mode", ["resize", "mean", "max"])
class TestFitStride:
    def test_is_exact_at_every_size_and_idle_where_nothing_is_left(self, mode: str) -> None:
        for (k, s, p, d), n in itertools.product([(2, 2, 0, 1), (3, 2, 1, 1), (7, 4, 3, 1), (3, 3, 0, 2)],
                                                 range(7, 15)):  # fmt: skip
            layer, x = FitStride(k, s, p, d, mode=mode), noise(1, 2, 8, n, n)
            remainder = (n + 2 * p - d * (k - 1) - 1) % s
            assert (layer(x) is x) == (remainder == 0)
            assert equivariance_error(layer, x, D4).relative_max < 1e-12
            assert not list(layer.parameters())

    def test_makes_the_next_layer_exact_also_on_rectangles(self, mode: str) -> None:
        for size in [(8, 8), (9, 9), (8, 9), (9, 8), (10, 7)]:
            alone = GroupConv(2, 2, 3, stride=2, padding=1, group=D4).double()
            fitted = nn.Sequential(FitStride(3, 2, 1, mode=mode), alone)
            assert_equivariant(fitted, D4, x=noise(2, 2, 8, *size))
            if size != (9, 9):
                assert equivariance_error(alone, noise(2, 2, 8, *size), D4).relative_max > 1e-3

    def test_atlas_reads_it(self, mode: str) -> None:
        for k, s, p, n in itertools.product((2, 3), (2, 3), (0, 1), range(5, 12)):
            body = [FitStride(k, s, p, mode=mode), GroupConv(1, 1, k, stride=s, padding=p, group=D4)]
            net = nn.Sequential(LiftingConv(1, 1, 3, padding=1, group=D4), nn.Tanh(), *body)
            found = atlas(net, n, "p4m")
            assert found.exact, found.explain()
            assert found.rows[-1].output_size == net(torch.zeros(1, 1, n, n)).shape[-2:]
            assert ("symmetrically" if mode == "resize" else "at every size") in found.rows[2].reason

    def test_every_size_near_is_exact_to_the_atlas(self, mode: str) -> None:
        pool = [FitStride(2, 2, mode=mode), SpatialMaxPool(2)]
        net = nn.Sequential(LiftingConv(1, 1, 3, padding=1), *pool, *pool, GlobalAvgPool(), GroupPool())
        assert all(verdict.exact for verdict in sizes(net, range(4, 20)))
        nearest = atlas(net, 9).nearest_exact
        assert (nearest.below, nearest.above) == ((8, 8), (10, 10))

    def test_description_by_hand_equals_reading(self, mode: str) -> None:
        kind = {"resize": "resize", "mean": "adaptive_avg", "max": "adaptive_max"}[mode]
        filling = {"mode": "bilinear"} if mode == "resize" else {}
        by_hand = [
            Layer("fit", kind, 3, 2, 1, fit=True, **filling),
            Layer("conv", "lift", 3, 2, 1),
        ]
        module = nn.Sequential(FitStride(3, 2, 1, mode=mode), LiftingConv(1, 1, 3, stride=2, padding=1))
        for n in (6, 7):
            sides = [[row.output_size for row in atlas(net, n).rows] for net in (by_hand, module)]
            assert sides[0] == sides[1]
            assert atlas(by_hand, n).exact

    def test_works_on_replicas_side_by_side(self, mode: str) -> None:
        torch.manual_seed(0)
        make = lambda: nn.Sequential(  # noqa: E731
            LiftingConv(1, 2, 3, padding=1, padding_mode="circular"),
            FitStride(2, 2, mode=mode),
            SpatialMaxPool(2),
            GlobalAvgPool(),
            GroupPool(),
            nn.Linear(2, 3),
        )
        models = [make() for _ in range(3)]
        x = torch.randn(4, 3, 1, 9, 9)
        together = stack(models)(x.flatten(1, 2)).unflatten(1, (3, 3))
        for i, model in enumerate(models):
            torch.testing.assert_close(together[:, i], model(x[:, i]))


def test_a_fitted_pool_is_a_wider_pool_at_the_sizes_that_broke() -> None:
    """Odd inputs want odd kernels (fact sheet 2.7): 2x2 with stride 2 becomes 3x3 with stride 2."""
    fitted = nn.Sequential(FitStride(2, 2, mode="max"), SpatialMaxPool(2))
    for n, kernel in ((27, 3), (28, 2), (29, 3)):
        x = noise(2, 3, n, n)
        assert torch.equal(fitted(x), F.max_pool2d(x, kernel, 2))


def test_the_mean_before_a_convolution_centers_its_grid() -> None:
    """Equal to the convolution at every pixel, then the mean over each pair of neighbors, then the stride."""
    layer = LiftingConv(1, 2, 3, stride=2, padding=0, bias=False).double()
    x = noise(1, 1, 8, 8)
    dense = LiftingConv(1, 2, 3, bias=False).double()
    dense.weight.data = layer.weight.data
    expected = F.avg_pool2d(dense(x).flatten(1, 2), 2, 2).unflatten(1, (2, 4))
    torch.testing.assert_close(layer(FitStride(3, 2, mode="mean")(x)), expected)


def test_what_does_not_fit_is_explained() -> None:
    with pytest.raises(ValueError, match="mode must be one of resize, mean, max"):
        FitStride(2, 2, mode="min")
    with pytest.raises(ValueError, match="1x1 pixels is too small for the stride"):
        FitStride(2, 2, mode="max")(torch.zeros(1, 1, 1, 1))
    with pytest.raises(ValueError, match="four or five axes"):
        FitStride(2, 2)(torch.zeros(3, 3))
