"""The paper's proof as properties: when a strided layer commutes with turns and mirrors (fact sheet 2).

All combinations, in float64, measured on the layers themselves. That broken rotation is broken translation
(fact sheet 2.3) is in test_measure, the table of symmetries at 8 and 9 pixels (2.5) in test_atlas.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn

from pipelines.subsampling import layers
from pipelines.subsampling.settings import Settings
from shared.algebra.actions import act_features, act_image
from shared.algebra.groups import cyclic, dihedral
from shared.atlas import SYMMETRIES, atlas
from shared.measure import compare, equivariance_error
from shared.nn import LiftingConv, SpatialAvgPool, SpatialMaxPool
from shared.runs.api import Context
from shared.testing import randomize

C4, D4 = cyclic(4), dihedral(4)
ROUNDING, BROKEN = 1e-10, 1e-6
LARGEST = 13


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def windows(least_kernel: int = 1) -> list[tuple[int, int, int]]:
    """All kernels, strides and paddings of the fact sheet's check (2.1)."""
    return [
        (k, s, p)
        for k, s in itertools.product(range(least_kernel, 6), range(1, 5))
        for p in range(k // 2 + 1)
    ]


Pair = int | tuple[int, int]


def lifting(kernel: int, stride: Pair = 1, padding: Pair = 0) -> LiftingConv:
    """A layer with random weights in which no tap is small by chance."""
    layer = LiftingConv(1, 2, kernel, stride=stride, padding=padding, group=D4).double()
    randomize(layer, torch.Generator().manual_seed(kernel))
    return layer


@torch.no_grad()
def errors_of(layer: nn.Module, x: Tensor, elements: Iterable[int]) -> float:
    """The largest error, by hand: a map of one pixel does not move, so `measure` refuses it."""
    y = layer(x)
    act = act_features if y.dim() == 5 else act_image
    return max(compare(layer(act_image(D4, g, x)), act(D4, g, y)).relative_max for g in elements)


def check(error: float, exact: bool, case: object) -> bool:
    """Assert that an error is rounding, or plainly more than it; return which."""
    assert (error < ROUNDING) if exact else (error > BROKEN), (case, error)
    return exact


class TestCondition:
    """S1: exact if and only if the stride divides (size + 2 padding - kernel)."""

    def test_lifting_convolution(self) -> None:
        seen = []
        for (k, s, p), n in itertools.product(windows(), range(1, LARGEST + 1)):
            if n + 2 * p >= k:
                error = errors_of(lifting(k, s, p), noise(2, 1, n, n), [1])
                exact = (n + 2 * p - k) % s == 0
                seen.append(check(error, exact, (k, s, p, n)))
        assert len(seen) >= 406  # as many as the fact sheet's
        assert min(seen.count(True), seen.count(False)) > 150

    @pytest.mark.parametrize("pool", [SpatialMaxPool, SpatialAvgPool])
    def test_pooling(self, pool: type[nn.Module]) -> None:
        """Unless the first window holds the whole map: then the pixels left over are in it anyway."""
        x = {n: noise(64, 1, n, n) for n in range(1, LARGEST + 1)}
        seen = []
        for (k, s, p), n in itertools.product(windows(), x):
            if n + 2 * p >= k:
                exact = (n + 2 * p - k) % s == 0 or n <= k - p
                seen.append(check(errors_of(pool(k, s, p), x[n], [1]), exact, (k, s, p, n)))
        assert len(seen) >= 406
        assert min(seen.count(True), seen.count(False)) > 150

    @pytest.mark.parametrize("kind", ["convolution", "pool"])
    def test_what_is_recorded_says_the_same(self, kind: str) -> None:
        """The experiment ``layers``; Eq. 3 as printed is right without padding and wrong with it."""
        settings = Settings(model="layers", network=kind, dataset="", size=5)
        rows = layers.run(settings, [3], Context(log=lambda line: None))[3]
        found = {(row.metric, row.step): row.value for row in rows}
        for move, padding in itertools.product(("turn", "mirror"), range(3)):
            check(found[f"{move}_exact", padding], True, padding)
            check(found[f"{move}_broken", padding], False, padding)
            if padding:
                check(found[f"{move}_covered", padding], kind == "pool", padding)
        assert [found["printed_wrong", padding] > 0 for padding in range(3)] == [False, True, True]
        assert ("cases_covered", 0) not in found

    def test_ceil_mode_asks_for_the_same(self) -> None:
        """A window that hangs over the far edge is no help; it may be dropped, or hold all there is."""
        seen = []
        for (k, s, p), n in itertools.product(windows(2), range(6, LARGEST + 1)):
            pool = SpatialMaxPool(k, s, p, ceil_mode=True)
            error = equivariance_error(pool, noise(64, 1, n, n, seed=1), D4, elements=[1])
            seen.append(check(error.relative_max, (n + 2 * p - k) % s == 0, (k, s, p, n)))
        assert min(seen.count(True), seen.count(False)) > 100

    def test_asymmetric_padding_must_center_the_last_window(self) -> None:
        """Exact iff s (o - 1) + K = i + 2 lo (fact sheet 2.6); at stride 1 only if both ends are alike."""
        seen = []
        for k, s, low, high, n in itertools.product((1, 2, 3, 4), (1, 2, 3), range(3), range(3), (6, 7, 8)):
            net = nn.Sequential(nn.ZeroPad2d((low, high, low, high)), lifting(k, s))
            count = (n + low + high - k) // s + 1
            exact = s * (count - 1) + k == n + 2 * low
            error = equivariance_error(net, noise(2, 1, n, n), D4, elements=[1])
            seen.append(check(error.relative_max, exact, (k, s, low, high, n)))
            assert n != 7 or atlas(net, n).exact == exact
            assert exact == (low == high) or s > 1
        assert min(seen.count(True), seen.count(False)) > 50

    @pytest.mark.parametrize("kind", [nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d])
    def test_adaptive_pooling_is_exact_at_every_size(self, kind: type[nn.Module]) -> None:
        for n, out in itertools.product(range(1, LARGEST + 1), repeat=2):
            check(errors_of(kind(out), noise(2, 1, n, n), range(8)), True, (n, out))

    def test_bilinear_resizing_is_exact_at_every_size(self) -> None:
        for n, out in itertools.product(range(1, LARGEST + 1), repeat=2):
            resize = nn.Upsample((out, out), mode="bilinear")
            check(errors_of(resize, noise(2, 1, n, n), range(8)), True, (n, out))


#: Which of (height, width) must leave no remainder.
NEEDS = {
    "lr": (False, True),
    "ud": (True, False),
    "rot180": (True, True),
    "ccw": (False, True),
    "cw": (True, False),
    "p4": (True, True),
    "p4m": (True, True),
}


class TestEachSymmetryAsksForItsAxes:
    """Fact sheet 2.4 and 2.5, for every window, on inputs of all four patterns of remainders."""

    def test_every_row_of_the_table(self) -> None:
        seen = []
        for k, s, p in windows():
            good, bad = (next(n for n in range(8, 13) if ((n + 2 * p - k) % s == 0) == e) if s > 1 else 8
                         for e in (True, False))  # fmt: skip
            layer = lifting(k, s, p)
            for size in {(good, good), (good, bad), (bad, good), (bad, bad)}:
                okay = [(n + 2 * p - k) % s == 0 for n in size]
                errors = equivariance_error(layer, noise(2, 1, *size), D4).elements
                for name, needs in NEEDS.items():
                    exact = all(ok for ok, needed in zip(okay, needs) if needed)
                    moved = [errors[D4.element_names[g]].relative_max for g in SYMMETRIES[name].elements]
                    seen.append(check(max(moved), exact, (k, s, p, size, name)))
        assert min(seen.count(True), seen.count(False)) > 300

    def test_turns_also_need_both_axes_treated_alike(self) -> None:
        """Strides or paddings that differ break quarter turns, even without remainder; not mirrors."""
        for stride, padding, size in [((2, 1), 1, 9), (1, (1, 0), 9), ((3, 2), 0, 9)]:
            errors = equivariance_error(lifting(3, stride, padding), noise(2, 1, size, size), D4).elements
            for name in ("lr", "ud", "rot180", "ccw", "cw"):
                moved = [errors[D4.element_names[g]].relative_max for g in SYMMETRIES[name].elements]
                check(max(moved), name in ("lr", "ud", "rot180"), (stride, padding, name))

    def test_the_transpose_is_exact_whatever_is_left_over(self) -> None:
        square = noise(1, 1, 5, 5)
        (transpose,) = [g for g in range(8) if torch.equal(act_image(D4, g, square), square.mT)]
        for k, s, p in windows():
            for size in ((8, 8), (8, 9), (11, 10)):
                errors = equivariance_error(lifting(k, s, p), noise(2, 1, *size), D4, elements=[transpose])
                assert errors.relative_max < ROUNDING, (k, s, p, size)

    @pytest.mark.parametrize("mirror", [4, 6])
    def test_a_broken_mirror_is_a_broken_translation(self, mirror: int) -> None:
        """L(m x) = m L(x moved by -r on the mirrored axis), as for quarter turns, for a blank border."""
        axis = -1 if mirror == 4 else -2
        for k, s, p, n in [(3, 2, 1, 32), (3, 3, 1, 30), (2, 3, 0, 33), (5, 4, 2, 31), (3, 4, 1, 32)]:
            layer, x = lifting(k, s, p), torch.zeros(1, 1, n, n, dtype=torch.float64)
            x[..., 6:-6, 6:-6] = noise(1, 1, n - 12, n - 12)
            moved = layer(act_image(D4, mirror, x))
            remainder = (n + 2 * p - k) % s
            shifted = act_features(D4, mirror, layer(x.roll(-remainder, axis)))
            assert compare(moved, shifted).relative_max < ROUNDING
            assert compare(moved, act_features(D4, mirror, layer(x))).relative_max > 1e-3
