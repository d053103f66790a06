"""What measuring leaves alone: modes and inputs; and the modules that it takes or refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from shared.algebra.groups import cyclic
from shared.atlas import atlas
from shared.base.errors import UserError
from shared.measure import equivariance_error, errors_by_stage, invariance_error
from shared.nn import GlobalAvgPool, GroupPool, LiftingConv
from shared.train import predict
from shared.train.statistics import estimate_statistics

X = torch.randn(2, 1, 6, 6, generator=torch.Generator().manual_seed(0))


class Doubled(nn.Module):
    """Works in place, as `nn.ReLU(inplace=True)` does."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(2)


def test_layers_that_work_in_place_are_measured_as_the_others():
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 3, 3)
    apart = errors_by_stage(nn.Sequential(conv, nn.ReLU()), X, cyclic(4))
    in_place = errors_by_stage(nn.Sequential(conv, nn.ReLU(inplace=True)), X, cyclic(4))
    assert apart["0"] != apart["1"]
    assert in_place == apart


def doubled(group, g, x: Tensor) -> Tensor:
    """A made-up action that works in place."""
    return x.mul_(2**g)


@pytest.mark.parametrize("action", [None, "image", doubled])
def test_the_input_is_left_alone(action):
    before = X.clone()
    errors = equivariance_error(Doubled(), X, cyclic(4), action, action, elements=range(4))
    assert errors.relative_max == 0
    assert errors_by_stage(nn.Sequential(Doubled()), X, cyclic(4))["0"].relative_max == 0
    assert torch.equal(X, before)


def test_one_number_for_each_sample_is_an_invariant():
    assert invariance_error(lambda x: x.mean((1, 2, 3)), X, cyclic(4)).relative_max < 1e-6
    assert invariance_error(lambda x: x[:, 0, 0, 0], X, cyclic(4)).relative_max > 0.1


@pytest.mark.parametrize(
    ("module", "x"),
    [
        (lambda x: (x, x), X),
        (torch.Tensor.to_sparse, X),
        (lambda x: x.mean((2, 3))[:, :0], X),
        (nn.ReLU(), X[:0]),
    ],
)
def test_what_cannot_be_measured_is_refused(module, x):
    with pytest.raises(
        UserError, match=r"one dense tensor, with numbers in it|holds nothing to measure with"
    ):
        invariance_error(module, x, cyclic(4))


def test_stages_that_cannot_read_the_turned_input_are_refused():
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))
    fixed = nn.Sequential(nn.AdaptiveAvgPool2d((6, 8)), network)
    assert errors_by_stage(fixed, torch.randn(2, 1, 6, 8), cyclic(4), ["1"])["1"].elements
    rigid = nn.Sequential(nn.Conv2d(1, 1, (6, 1)), nn.Flatten(), nn.Linear(8, 2))
    with pytest.raises(UserError, match="but not turned ones of"):
        errors_by_stage(rigid, torch.randn(2, 1, 6, 8), cyclic(4), ["2"])


def network_with_a_shared_part() -> nn.Module:
    part = nn.Dropout()
    first, second = nn.Sequential(part), nn.Sequential(part, nn.BatchNorm2d(1))
    network = nn.Sequential(first, second).train()
    second.training = second[1].training = False
    return network


@pytest.mark.parametrize(
    "use",
    [
        lambda net: equivariance_error(net, X, cyclic(4)),
        lambda net: predict(net, X),
        lambda net: estimate_statistics(net, X),
        lambda net: atlas(net, 6),
    ],
)
def test_every_part_keeps_its_mode(use):
    network = network_with_a_shared_part()
    before = [part.training for part in network.modules()]
    assert set(before) == {True, False}
    use(network)
    assert [part.training for part in network.modules()] == before


def test_modes_come_back_after_an_error():
    network = network_with_a_shared_part()
    before = [part.training for part in network.modules()]
    network.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        predict(network, X)
    assert [part.training for part in network.modules()] == before


@pytest.mark.parametrize(
    ("resize", "size", "says"),
    [
        (nn.Upsample(size=6), 3, "resizes the orientations"),
        (nn.Upsample(scale_factor=2), 3, "resizes the orientations"),
        (nn.Upsample(size=(4, 6, 6)), 3, ""),
        (nn.Upsample(scale_factor=(1, 2, 2)), 3, ""),
        (nn.Upsample(size=4), 4, ""),
        (nn.Upsample(scale_factor=1), 3, ""),
    ],
)
def test_resizing_orientations_is_not_called_exact(resize, size, says):
    """Torch takes one number for all three axes; the atlas used to judge the pixels alone."""
    torch.manual_seed(0)
    network = nn.Sequential(
        LiftingConv(1, 2, 3, padding=1), resize, GlobalAvgPool(), GroupPool("mean")
    ).double()
    error = invariance_error(network, torch.randn(2, 1, size, size, dtype=torch.float64), cyclic(4))
    if says:
        assert error.relative_max > 1e-3 or resize.scale_factor == 2, "nearest by 2 repeats orientations"
        with pytest.raises(UserError, match=says):
            atlas(network, size)
    else:
        assert atlas(network, size).exact
        assert error.relative_max < 1e-12
