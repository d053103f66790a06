"""The checker is checked: it catches every planted bug and passes every correct twin."""

from __future__ import annotations

import builtins
import contextlib
import math
import random
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from shared import testing
from shared.algebra.actions import exact_on_grid
from shared.algebra.groups import cyclic, dihedral
from shared.atlas import SYMMETRIES, atlas
from shared.atlas.symmetry import embedding
from shared.base.errors import UserError
from shared.measure import equivariance_error
from shared.nn import GlobalAvgPool, GroupBatchNorm, GroupConv, GroupPool, LiftingConv
from shared.testing import Planted, assert_equivariant, planted_bugs, random_network, shake, tolerance_for
from shared.testing.strategies import grid_groups, sides, symmetries

BUGS = planted_bugs()
#: Mistakes made of layers that the size atlas knows.
JUDGED = {
    "ordinary convolution",
    "orientations flattened into the classifier",
    "even size with stride 2",
    "odd size with a 2x2 pool",
    "ceil mode at an odd size",
    "asymmetric padding",
    "stride on one axis",
    "nearest neighbor by a fraction",
}
by_name = pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])


class TestPlantedBugs:
    def test_the_family(self) -> None:
        names = [bug.name for bug in BUGS]
        assert len(set(names)) == len(names) >= 20
        demanded = {
            "wrong roll direction",
            "transpose instead of rotation",
            "missing inverse",
            "even size with stride 2",
        }
        assert demanded <= set(names)

    @by_name
    def test_bug_is_caught(self, bug: Planted) -> None:
        with pytest.raises(AssertionError, match="is not equivariant to"):
            assert_equivariant(bug.wrong(), bug.group, size=bug.size, act_out=bug.act_out)

    @by_name
    def test_bug_is_caught_in_single_precision(self, bug: Planted) -> None:
        with pytest.raises(AssertionError, match="float32"):
            assert_equivariant(
                bug.wrong(), bug.group, size=bug.size, act_out=bug.act_out, dtype=torch.float32
            )

    @by_name
    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    def test_correct_twin_passes(self, bug: Planted, dtype: torch.dtype) -> None:
        errors = assert_equivariant(
            bug.right(), bug.group, size=bug.right_size, act_out=bug.act_out, dtype=dtype
        )
        assert errors.relative_max < {torch.float64: 1e-13, torch.float32: 1e-5}[dtype]

    @by_name
    def test_atlas_judges_layers_that_it_knows_and_refuses_others(self, bug: Planted) -> None:
        if bug.name in JUDGED:
            assert not atlas(bug.wrong(), bug.size, bug.group).exact
            assert atlas(bug.right(), bug.right_size, bug.group).exact
            return
        with contextlib.suppress(UserError):  # what it cannot follow
            assert not atlas(bug.wrong(), bug.size, bug.group).exact

    @pytest.mark.parametrize("name", ["bias per orientation", "batch norm per orientation"])
    def test_fresh_weights_would_hide_it(self, name: str) -> None:
        bug = next(bug for bug in BUGS if bug.name == name)
        assert_equivariant(bug.wrong(), bug.group, size=bug.size, shaken=False)


class TestAssertEquivariant:
    def test_message_names_elements_and_the_breaking_layer(self) -> None:
        net = nn.Sequential(
            LiftingConv(1, 2, 3, padding=1), nn.ReLU(), GroupConv(2, 2, 3, stride=2, padding=1)
        )
        with pytest.raises(AssertionError) as caught:
            assert_equivariant(net, "p4", size=8)
        message = str(caught.value)
        assert "Sequential is not equivariant to C4 at 8x8" in message
        assert "r^2" in message
        assert "'2' breaks it first: (8 + 2 - 3) mod 2 = 1" in message
        assert "nearest exact sizes to 8: 7 and 9" in message

    def test_network_passes_and_is_left_alone(self) -> None:
        net = nn.Sequential(
            LiftingConv(3, 2, 3, stride=2, padding=1), GlobalAvgPool(), GroupPool(), nn.Linear(2, 4)
        )
        before = {name: value.clone() for name, value in net.state_dict().items()}
        errors = assert_equivariant(net, "p4", size=9)
        assert errors.relative_max < 1e-13
        assert net.training
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())

    def test_rectangles_features_and_functions(self) -> None:
        assert_equivariant(GroupConv(2, 3, 3, group=dihedral(4)), "p4m", size=(5, 8))
        assert_equivariant(GroupBatchNorm(2), size=5)
        assert_equivariant(torch.tanh, "p4m", size=4, in_channels=2)
        x = torch.randn(2, 1, 4, 6, 6)
        assert_equivariant(lambda x: x.amax(2), x=x)

    def test_nan_fails(self) -> None:
        with pytest.raises(AssertionError, match="relative error nan"):
            assert_equivariant(lambda x: x * math.nan, size=4, in_channels=1)

    def test_a_constant_proves_nothing(self) -> None:
        with pytest.raises(UserError, match="nothing was tested"):
            assert_equivariant(torch.zeros_like, size=4, in_channels=1)

    def test_small_fault_needs_double_precision_or_a_tight_tolerance(self) -> None:
        def nearly(x: Tensor) -> Tensor:
            return x * (1 + 1e-7 * torch.arange(x.shape[-1]))

        with pytest.raises(AssertionError):
            assert_equivariant(nearly, size=6, in_channels=1)
        assert_equivariant(nearly, size=6, in_channels=1, dtype=torch.float32)
        with pytest.raises(AssertionError):
            assert_equivariant(nearly, size=6, in_channels=1, dtype=torch.float32, tolerance=1e-9)

    def test_refusals(self) -> None:
        with pytest.raises(UserError, match="give size="):
            assert_equivariant(LiftingConv(1, 1, 3))
        with pytest.raises(UserError, match="in_channels"):
            assert_equivariant(nn.ReLU(), size=4)
        with pytest.raises(UserError, match="did you mean 'p4m'"):
            assert_equivariant(LiftingConv(1, 1, 3), "p4mm", size=4)
        with pytest.raises(UserError, match="no tolerance for"):
            assert_equivariant(LiftingConv(1, 1, 3), size=4, dtype=torch.complex64)

    def test_tolerance_depends_on_type_and_library(self) -> None:
        foreign = type("R2Conv", (nn.Module,), {"__module__": "escnn.nn.modules"})()
        assert tolerance_for(nn.Sequential(foreign), torch.float64) > tolerance_for(nn.ReLU(), torch.float64)
        assert tolerance_for(nn.ReLU(), torch.float32) > tolerance_for(nn.ReLU(), torch.float64)

    def test_shake_reaches_every_parameter_and_statistic(self) -> None:
        net = nn.Sequential(LiftingConv(1, 2, 3), GroupBatchNorm(2), nn.BatchNorm3d(2))
        before = {
            name: value.clone() for name, value in net.state_dict().items() if value.is_floating_point()
        }
        shake(net, torch.Generator().manual_seed(0))
        after = net.state_dict()
        assert not any(torch.equal(after[name], value) for name, value in before.items())
        assert all((after[name] > 0).all() for name in before if name.endswith("running_var"))


class TestStrategies:
    @settings(derandomize=True, database=None, deadline=None, max_examples=30)
    @given(group=grid_groups(), size=sides(), data=st.data())
    def test_values(self, group: object, size: tuple[int, int], data: st.DataObject) -> None:
        assert exact_on_grid(group)
        assert min(size) >= 1
        assert max(size) <= 16
        if group.order > 1:
            elements = SYMMETRIES[data.draw(symmetries(cyclic(4)))].elements
            assert set(elements) <= set(embedding(cyclic(4)))

    def test_missing_hypothesis_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = builtins.__import__

        def without(name: str, *args: object, **kwargs: object) -> object:
            if name.split(".")[0] == "hypothesis":
                raise ModuleNotFoundError(name)
            return real(name, *args, **kwargs)

        monkeypatch.delitem(sys.modules, "shared.testing.strategies")
        monkeypatch.delattr(testing, "strategies", raising=False)
        monkeypatch.setattr(builtins, "__import__", without)
        with pytest.raises(UserError, match="pip install hypothesis"):
            _ = testing.strategies
        with pytest.raises(AttributeError):
            _ = testing.no_such_thing

    def test_random_networks_differ_and_repeat(self) -> None:
        texts = [str(random_network(random.Random(seed).choice, cyclic(4)).module) for seed in (0, 0, 1)]
        assert texts[0] == texts[1] != texts[2]

    def test_random_network_runs_on_its_size(self) -> None:
        for seed in range(5):
            net = random_network(random.Random(seed).choice, dihedral(4))
            x = torch.randn(1, net.in_channels, *net.size, dtype=torch.float64)
            errors = equivariance_error(net.module, x, net.group, elements=range(net.group.order))
            assert errors.elements[net.group.element_names[net.group.identity]].relative_max == 0
