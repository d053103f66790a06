"""Equivariance and invariance errors: their definitions, what they restore, and what they find."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from shared.algebra.actions import act_features, act_image
from shared.algebra.groups import cyclic, dihedral
from shared.base.errors import UserError
from shared.measure import (
    Errors,
    act_orientations,
    compare,
    equivariance_error,
    errors_by_stage,
    find_action,
    invariance_error,
)
from shared.nn import (
    Dropout,
    GlobalAvgPool,
    GroupBatchNorm,
    GroupConv,
    GroupPool,
    LiftingConv,
    SpatialMaxPool,
)

C4, D4 = cyclic(4), dihedral(4)


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class TestReadings:
    """Eq. 14 of the subsampling paper; fact: if D is delta everywhere, A = delta^2, B = delta / sqrt N."""

    @pytest.mark.parametrize(("group", "elements"), [(C4, 3), (D4, 7)])
    def test_constant_difference(self, group: object, elements: int) -> None:
        delta, count = 0.25, 2 * 5 * 5
        x = images(3, 2, 5, 5)

        def off_by_delta(y: Tensor) -> Tensor:
            return y if torch.equal(x, y) else y + delta

        errors = equivariance_error(off_by_delta, x, group)
        assert len(errors.elements) == elements
        assert errors.mse_eq14 == pytest.approx(delta**2)
        assert errors.root_eq14 == pytest.approx(delta / math.sqrt(count))
        assert errors.summed_l1_eq14 == pytest.approx(elements * delta)
        assert errors.energy == pytest.approx(delta**2 * x.numel() / x.square().sum().item())
        assert errors.absolute_mean == pytest.approx(delta)
        assert errors.absolute_max == pytest.approx(delta)
        assert errors.relative_mean == pytest.approx(math.sqrt(errors.energy))
        assert errors.relative_max == pytest.approx(delta / x.abs().max().item())

    def test_root_is_root_of_mse_by_n_for_each_sample(self) -> None:
        after, before = images(1, 3, 4, 4), images(1, 3, 4, 4, seed=1)
        one = compare(after, before)
        assert one.root == pytest.approx(math.sqrt(one.mse / 48))

    def test_relative_errors_do_not_grow_with_the_output(self) -> None:
        layer, x = LiftingConv(1, 2, 3, stride=2, padding=1, bias=False).double(), images(2, 1, 8, 8)
        small, large = (equivariance_error(lambda x, s=s: s * layer(x), x, C4) for s in (1, 100))
        assert large.relative_mean == pytest.approx(small.relative_mean)
        assert large.relative_max == pytest.approx(small.relative_max)
        assert large.mse_eq14 == pytest.approx(1e4 * small.mse_eq14)

    def test_zero_output_has_no_error_and_nan_is_not_hidden(self) -> None:
        x = images(2, 1, 4, 4)
        assert equivariance_error(torch.zeros_like, x, C4).relative_max == 0
        broken = equivariance_error(lambda x: x * math.nan, x, C4)
        assert math.isnan(broken.relative_max)
        assert math.isnan(broken.absolute_max)
        assert Errors().relative_max == 0
        assert Errors().worst == ""

    def test_worst_names_the_element(self) -> None:
        errors = equivariance_error(
            LiftingConv(1, 2, 3, stride=2, padding=1).double(), images(2, 1, 8, 9), C4
        )
        assert errors.elements["r"].relative_mean < 1e-12  # counter-clockwise asks for the width only
        assert errors.worst in ("r^2", "r^3")
        assert errors.worst in errors.table()


class TestExactLayers:
    @pytest.mark.parametrize("group", [C4, D4, cyclic(2), dihedral(1)])
    @pytest.mark.parametrize("size", [(7, 7), (6, 9)])
    def test_features(self, group: object, size: tuple[int, int]) -> None:
        net = nn.Sequential(
            LiftingConv(2, 3, 3, padding=1, group=group),
            nn.ReLU(),
            GroupConv(3, 2, 3, group=group),
            nn.Tanh(),
        ).double()
        errors = equivariance_error(net, images(2, 2, *size), group)
        assert len(errors.elements) == group.order - 1
        assert errors.relative_max < 1e-13

    def test_features_in_and_orientations_out(self) -> None:
        net = nn.Sequential(GroupConv(2, 3, 3, group=D4), GroupBatchNorm(3, D4), GlobalAvgPool()).double()
        assert net(images(2, 2, 8, 5, 5)).shape == (2, 3, 8)
        assert equivariance_error(net, images(2, 2, 8, 5, 5), D4).relative_max < 1e-13

    def test_wrong_action_shows(self) -> None:
        net = nn.Sequential(LiftingConv(1, 3, 3), GlobalAvgPool()).double()
        x = images(2, 1, 6, 6)
        assert equivariance_error(net, x, C4).relative_max < 1e-13
        assert invariance_error(net, x, C4).relative_max > 1e-3
        assert equivariance_error(net, x, C4, act_out="trivial").relative_max > 1e-3

    def test_p4cnn_in_miniature(self) -> None:
        """Invariant at even sizes only, where the 2x2 pool leaves nothing (fact sheet 3.1)."""
        torch.manual_seed(0)
        net = nn.Sequential(
            LiftingConv(1, 4, 3, padding=1),
            GroupBatchNorm(4),
            nn.ReLU(),
            Dropout(0.3),
            SpatialMaxPool(2),
            GroupConv(4, 4, 4),
            nn.ReLU(),
            GlobalAvgPool(),
            GroupPool(),
            nn.Linear(4, 10),
        )
        errors = {
            n: invariance_error(net, images(4, 1, n, n), C4, dtype=torch.float64).relative_max
            for n in (13, 14, 15)
        }
        assert errors[14] < 1e-12
        assert min(errors[13], errors[15]) > 1e-4


@pytest.mark.parametrize(
    ("k", "s", "p", "size"), [(3, 2, 1, 32), (3, 3, 1, 30), (2, 3, 0, 33), (5, 4, 2, 31), (3, 4, 1, 32)]
)
def test_broken_rotation_is_broken_translation(k: int, s: int, p: int, size: int) -> None:
    """L(T x) = T' L(x shifted by -r along the width), r the remainder, blank border (fact sheet 2.3)."""
    layer = LiftingConv(1, 2, k, stride=s, padding=p).double()
    x = torch.zeros(1, 1, size, size, dtype=torch.float64)
    x[..., 6:-6, 6:-6] = images(1, 1, size - 12, size - 12)
    remainder = (size + 2 * p - k) % s
    assert remainder > 0
    shifted = x.roll(-remainder, -1)
    errors = compare(layer(act_image(C4, 1, x)), act_features(C4, 1, layer(shifted)))
    assert errors.relative_max < 1e-13
    assert equivariance_error(layer, x, C4).relative_max > 1e-3


class TestStages:
    def network(self) -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(
            LiftingConv(1, 2, 3, padding=1),
            nn.Sequential(nn.ReLU(), GroupConv(2, 2, 3, padding=1)),
            nn.Sequential(nn.ReLU(), GroupConv(2, 2, 3, stride=2, padding=1)),
            GlobalAvgPool(),
            nn.Sequential(GroupPool(), nn.Linear(2, 3)),
        )

    def test_error_starts_at_the_subsampling_stage(self) -> None:
        errors = errors_by_stage(self.network(), images(2, 1, 8, 8), C4, dtype=torch.float64)
        assert list(errors) == ["0", "1", "2", "3", "4"]
        assert max(errors[name].relative_max for name in "01") < 1e-13
        assert min(errors[name].relative_max for name in "234") > 1e-4

    def test_all_stages_exact_at_an_odd_size(self) -> None:
        errors = errors_by_stage(self.network(), images(2, 1, 9, 9), C4, ["1.1", "4"], dtype=torch.float64)
        assert list(errors) == ["1.1", "4"]
        assert max(e.relative_max for e in errors.values()) < 1e-12

    @pytest.mark.parametrize("batch_size", [1, 2, 5, 9])
    def test_batches_add_up_to_the_errors_of_all_inputs(self, batch_size: int) -> None:
        x, net = images(5, 1, 8, 8), self.network()
        whole = errors_by_stage(net, x, C4, dtype=torch.float64)
        parts = errors_by_stage(net, x, C4, dtype=torch.float64, batch_size=batch_size)
        for name, errors in whole.items():
            for g, element in errors.elements.items():
                found = vars(parts[name].elements[g])
                assert found == pytest.approx(vars(element), rel=1e-9, abs=1e-14)

    def test_hooks_are_removed(self) -> None:
        net = self.network()
        errors_by_stage(net, torch.randn(1, 1, 9, 9), C4)
        assert not any(m._forward_hooks for m in net.modules())

    def test_refusals(self) -> None:
        net = self.network()
        with pytest.raises(UserError, match="did you mean '1'"):
            errors_by_stage(net, torch.randn(1, 1, 9, 9), C4, ["1 "])
        net.unused = nn.Linear(1, 1)
        net.forward = lambda x: net[0](x)
        with pytest.raises(UserError, match="'unused' did not run"):
            errors_by_stage(net, torch.randn(1, 1, 9, 9), C4, ["unused"])


class TestModuleIsLeftAsItWas:
    def test_modes_types_and_gradients(self) -> None:
        net = nn.Sequential(LiftingConv(1, 2, 3), GroupBatchNorm(2), Dropout(0.5))
        net[1].eval()
        before = {name: value.clone() for name, value in net.state_dict().items()}
        errors = equivariance_error(net, torch.randn(2, 1, 6, 6, requires_grad=True), C4, dtype=torch.float64)
        assert errors.relative_max < 1e-13  # float64, and no dropout
        assert [m.training for m in net] == [True, False, True]
        assert net.training
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
        assert net[0].weight.dtype == torch.float32
        assert net[0].weight.grad is None

    def test_modes_are_restored_after_an_error(self) -> None:
        net = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Dropout()).train()
        with pytest.raises(RuntimeError):
            equivariance_error(net, torch.randn(1, 2, 6, 6), C4)
        assert net[1].training


class TestActions:
    def test_orientations_follow_features(self) -> None:
        x = images(2, 3, 8, 4, 4)
        for g in range(8):
            pooled = act_features(D4, g, x).mean((-2, -1))
            assert torch.allclose(act_orientations(D4, g, x.mean((-2, -1))), pooled)

    def test_told_from_shape_name_or_function(self) -> None:
        assert find_action(None, torch.zeros(2, 3), C4, "out") is find_action(
            "trivial", torch.zeros(1), C4, "in"
        )
        assert find_action(None, torch.zeros(2, 3, 4), C4, "out") is act_orientations
        assert find_action(None, torch.zeros(2, 3, 4, 5), C4, "in") is act_image
        assert find_action(None, torch.zeros(2, 3, 4, 5, 5), C4, "in") is act_features
        shifted = find_action(lambda group, g, x: x.add_(g), torch.zeros(1), C4, "in")
        assert shifted(C4, 2, torch.zeros(1)) == 2

    def test_refusals(self) -> None:
        with pytest.raises(UserError, match=r"cannot tell how C4 acts on the output.*give act_out"):
            find_action(None, torch.zeros(2, 3, 5, 6, 6), C4, "out")
        for shape in [(2, 3), (2,), (2, 5, 4)]:  # vectors, points, amounts?
            with pytest.raises(UserError, match=r"cannot tell how C4 acts on the input.*give act_in"):
                find_action(None, torch.zeros(shape), C4, "in")
        with pytest.raises(UserError, match="did you mean 'image'"):
            find_action("images", torch.zeros(1), C4, "in")
        with pytest.raises(UserError, match="elements of C4 are 0 to 3"):
            equivariance_error(nn.Identity(), images(1, 1, 4, 4), C4, elements=[4])
        with pytest.raises(ValueError, match="orientations are"):
            act_orientations(C4, 1, torch.zeros(2, 3, 5))

    def test_elements_can_be_chosen(self) -> None:
        layer = LiftingConv(1, 2, 3, stride=2, padding=1, group=D4).double()
        errors = equivariance_error(layer, images(2, 1, 8, 9), D4, elements=[1, 4])
        assert list(errors.elements) == ["r", "m"]
        assert errors.relative_max < 1e-13

    def test_shapes_that_differ_are_infinitely_wrong(self) -> None:
        errors = equivariance_error(nn.MaxPool2d((1, 2)), images(1, 1, 4, 4), C4)
        assert errors.elements["r"].relative_mean == math.inf
        assert errors.elements["r^2"].relative_mean == 0
        assert errors.relative_max == math.inf

    def test_rectangle_that_cannot_be_turned(self) -> None:
        net = nn.Sequential(nn.AvgPool2d((1, 2)), nn.Flatten(), nn.Linear(3 * 5, 2)).double()
        with pytest.raises(UserError, match="not turned ones"):
            equivariance_error(net, images(1, 1, 3, 11), C4)
