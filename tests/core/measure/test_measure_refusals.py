"""Nothing is reported that was not tested; and what others' modules do that a measurement must survive."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from shared.algebra.groups import cyclic, dihedral
from shared.base.errors import UserError
from shared.measure import equivariance_error, errors_by_stage, invariance_error
from shared.nn import GlobalAvgPool, GroupPool, LiftingConv
from shared.testing import assert_equivariant
from shared.train import predict

C4 = cyclic(4)
X = torch.randn(2, 1, 9, 9, generator=torch.Generator().manual_seed(0))
POINTS = torch.randn(8, 2, generator=torch.Generator().manual_seed(1))
TURN = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])


def turned(group, g, x: Tensor) -> Tensor:
    return x @ TURN.to(x).matrix_power(g)


def measures(net, x, **options):
    """Every way to measure."""
    yield lambda: equivariance_error(net, x, C4, **options)
    yield lambda: invariance_error(net, x, C4, **options)
    stages = nn.Sequential(net if isinstance(net, nn.Module) else Call(net))
    yield lambda: errors_by_stage(stages, x, C4, **options)


class Call(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class TestInputsThatDoNotMove:
    @pytest.mark.parametrize(
        "x",
        [POINTS, POINTS[:, 0], POINTS[:, :, None], torch.randn(8, 5, 4)],
        ids=lambda x: str(tuple(x.shape)),
    )
    def test_shapes_that_do_not_say_how_they_move(self, x: Tensor) -> None:
        for measure in measures(torch.square, x):
            with pytest.raises(UserError, match="give act_in"):
                measure()
        with pytest.raises(UserError, match="give act_in"):
            assert_equivariant(nn.ReLU(), x=x)

    @pytest.mark.parametrize(
        ("x", "options"),
        [
            (POINTS, {"act_in": "trivial"}),
            (POINTS, {"act_in": lambda group, g, x: x}),
            (X, {"elements": [C4.identity]}),
            (torch.ones(2, 1, 5, 5), {}),
            (X[..., :1, :1], {}),
            (torch.randn(2, 1, 1, 5), {"elements": []}),
            (torch.ones(2, 3, 4), {"act_in": "orientations"}),
            (torch.ones(2, 1, 5, 5), {"dtype": torch.float64}),
        ],
    )
    def test_no_element_changes_the_input(self, x: Tensor, options: dict) -> None:
        for measure in measures(nn.Identity(), x, **options):
            with pytest.raises(UserError, match=r"nothing (was|would be) tested"):
                measure()

    def test_rounding_is_no_move(self) -> None:
        for measure in measures(nn.Identity(), POINTS, act_in=lambda group, g, x: x * (1 + 1e-7)):
            with pytest.raises(UserError, match="nothing was tested"):
                measure()

    def test_a_group_without_other_elements(self) -> None:
        with pytest.raises(UserError, match="C1 has no element to try"):
            equivariance_error(nn.Identity(), X, cyclic(1))

    def test_an_element_that_changes_nothing_is_not_called_exact(self) -> None:
        x = X + torch.rot90(X, 2, (-2, -1))
        for measure in measures(nn.ReLU(), x):
            with pytest.raises(UserError, match="r\\^2 of C4 changes neither input nor output"):
                measure()
        assert equivariance_error(nn.ReLU(), x, C4, elements=[1]).relative_max == 0

    def test_an_output_that_moves_though_the_input_does_not_is_tested(self) -> None:
        x = X + torch.rot90(X, 2, (-2, -1))
        torch.manual_seed(0)
        errors = equivariance_error(nn.Conv2d(1, 1, 3), x, C4)
        assert errors.elements["r^2"].relative_mean > 0.1

    def test_a_batch_in_which_one_input_moves_is_tested(self) -> None:
        x = torch.cat([torch.ones(2, 1, 9, 9), X])
        assert errors_by_stage(nn.Sequential(nn.ReLU()), x, C4, batch_size=1)["0"].relative_max == 0

    def test_points_with_their_rotations(self) -> None:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 3))
        assert invariance_error(net, POINTS, C4, act_in=turned).relative_mean > 0.1
        assert errors_by_stage(net, POINTS, C4, act_in=turned)["2"].relative_mean > 0.1
        norms = Call(lambda x: x.norm(dim=1, keepdim=True))
        assert invariance_error(norms, POINTS, C4, act_in=turned, dtype=torch.float64).relative_max < 1e-12
        assert equivariance_error(torch.neg, POINTS, C4, turned, turned).relative_max < 1e-6
        assert_equivariant(norms, x=POINTS, act_in=turned)

    def test_an_action_must_return_a_tensor(self) -> None:
        with pytest.raises(UserError, match="act_in returned NoneType"):
            equivariance_error(nn.ReLU(), POINTS, C4, act_in=lambda group, g, x: None)


class Counted(nn.Module):
    """Keeps state: each answer is larger than the last."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x + self.calls


GENERATOR = torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    "net",
    [
        Call(lambda x: F.dropout(x, 0.5)),
        Call(lambda x: x + torch.rand(())),
        Call(lambda x: x + torch.rand((), generator=GENERATOR)),
        Call(lambda x: x + np.random.rand()),
        Call(lambda x: x + random.random()),
        Call(lambda x: x if random.random() < 1 - 1e-12 else -x),  # hardly ever, but it is drawn
        Counted(),
        lambda x: F.alpha_dropout(x, 0.5, training=True),
    ],
)
def test_a_module_that_gives_two_answers_is_refused(net) -> None:
    for measure in measures(net, X):
        with pytest.raises(UserError, match="random even in eval mode"):
            measure()
    with pytest.raises(AssertionError, match="random even in eval mode"):
        assert_equivariant(net, x=X)


def test_the_atlas_adds_which_layer_is_random() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = LiftingConv(1, 2, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(self.conv(x), 0.5)

    with pytest.raises(AssertionError, match=r"two calls with the same input(.|\n)*size atlas: "):
        assert_equivariant(Net(), "p4", size=9)


def test_random_numbers_that_are_the_same_each_time_are_fine() -> None:
    def noisy(x: Tensor) -> Tensor:
        torch.manual_seed(0)
        return x + torch.rand(())

    with torch.random.fork_rng():
        assert equivariance_error(noisy, X, C4).relative_max < 1e-6


class Buffered(nn.Module):
    """Hands out one and the same tensor, as CUDA graphs and inference engines do."""

    def __init__(self, inner: nn.Module, like: Tensor) -> None:
        super().__init__()
        self.inner, self.out = inner, torch.zeros_like(inner(like)).detach()

    def forward(self, x: Tensor) -> Tensor:
        return self.out.copy_(self.inner(x))


def test_an_output_that_is_used_again() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 2, 3, padding=1)
    for again, once in zip(measures(Buffered(conv, X), X), measures(conv, X)):
        assert again() == once()
    assert equivariance_error(Buffered(conv, X), X, C4, dtype=torch.float64).relative_mean > 0.1
    assert torch.equal(predict(Buffered(conv, X[:1]), X, batch_size=1), predict(conv, X, batch_size=1))
    with pytest.raises(AssertionError, match="is not equivariant"):
        assert_equivariant(Buffered(conv, X), x=X)
    invariant = nn.Sequential(LiftingConv(1, 2, 3), GlobalAvgPool(), GroupPool())
    assert_equivariant(Buffered(invariant, X), x=X)


class TestComplexNumbers:
    @staticmethod
    def phase(x: Tensor) -> Tensor:
        """The real part is equivariant, the imaginary part not at all."""
        return torch.complex(x, x * torch.linspace(0, 1, 9, dtype=x.dtype))

    def test_both_parts_count(self) -> None:
        x = X.double()
        y = self.phase(x)
        gaps = []
        for k in (1, 2, 3):
            after, before = self.phase(torch.rot90(x, k, (-2, -1))), torch.rot90(y, k, (-2, -1))
            gaps.append(((after - before).norm() / before.norm()).item())
        for found in (
            equivariance_error(self.phase, x, C4),
            equivariance_error(self.phase, X, C4, dtype=torch.float64),
            errors_by_stage(nn.Sequential(Call(self.phase)), x, C4)["0"],
        ):
            assert found.relative_mean == pytest.approx(sum(gaps) / 3)
        with pytest.raises(AssertionError, match="is not equivariant"):
            assert_equivariant(self.phase, x=x)

    def test_inputs_and_weights_keep_their_imaginary_part(self) -> None:
        torch.manual_seed(0)
        net = nn.Conv2d(1, 1, 3, dtype=torch.complex64, bias=False)
        z = torch.randn(2, 1, 9, 9, dtype=torch.complex64)
        with torch.no_grad():
            net.weight.real.copy_(torch.eye(3).flip(0) + torch.eye(3))  # the real part is invariant
        single, double = (equivariance_error(net, z, C4, dtype=dtype) for dtype in (None, torch.float64))
        assert double.relative_mean == pytest.approx(single.relative_mean, rel=1e-5)
        assert double.relative_mean > 0.1


class Held(nn.Module):
    def __init__(self, inner: nn.Module, thing: object) -> None:
        super().__init__()
        self.inner, self.thing = inner, thing

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


class Kept(nn.Module):
    """Keeps what it computed, attached to the graph, and a plain tensor of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.scale, self.last = nn.Conv2d(1, 1, 3, padding=1), torch.tensor([2.0]), {}

    def forward(self, x: Tensor) -> Tensor:
        self.last = {"input": [x], "output": (self.conv(x) * self.scale,)}
        return self.last["output"][0]


class TestCopies:
    @pytest.mark.parametrize(
        "wrap",
        [
            torch.nn.utils.weight_norm,
            torch.nn.utils.spectral_norm,
            parametrizations.weight_norm,
            parametrizations.spectral_norm,
            lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
            lambda layer: Held(layer, torch.Generator()),
        ],
    )
    @pytest.mark.filterwarnings("ignore::FutureWarning")
    def test_wrapped_layers_are_measured_in_another_type(self, wrap) -> None:
        torch.manual_seed(0)
        net = wrap(LiftingConv(1, 2, 3, padding=1))
        net(X)  # used once, as after training
        assert equivariance_error(net, X, C4, dtype=torch.float64).relative_max < 1e-12
        assert_equivariant(net, "p4", size=9)
        assert next(net.parameters()).dtype == torch.float32

    def test_what_a_module_keeps_is_copied_and_converted(self) -> None:
        torch.manual_seed(0)
        net = Kept()
        net(X)
        found = equivariance_error(net, X, C4, dtype=torch.float64)
        assert found.relative_mean == pytest.approx(equivariance_error(net, X, C4).relative_mean, rel=1e-4)
        assert net.scale.dtype == net.last["output"][0].dtype == torch.float32

    @pytest.mark.parametrize("thing", [threading.Lock(), (n for n in range(3))], ids=["lock", "generator"])
    def test_what_cannot_be_copied_is_refused_with_what_to_do(self, thing) -> None:
        net = Held(LiftingConv(1, 2, 3), thing)
        with pytest.raises(UserError, match=r"Held cannot be copied.*give a function that calls it"):
            equivariance_error(net, X, C4, dtype=torch.float64)
        with pytest.raises(UserError, match="Held cannot be copied"):
            assert_equivariant(net, "p4", size=9)
        assert equivariance_error(net, X, C4).relative_max < 1e-5
        assert_equivariant(lambda x: net(x), "p4", x=X, dtype=torch.float32)

    def test_a_copy_that_shares_its_weights_would_be_changed_itself(self) -> None:
        class Shared(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv = nn.Conv2d(1, 1, 3)

            def forward(self, x: Tensor) -> Tensor:
                return self.conv(x)

            def __deepcopy__(self, memo: dict) -> nn.Module:
                return self

        net = Shared()
        with pytest.raises(UserError, match="copies itself without its weights"):
            equivariance_error(net, X, C4, dtype=torch.float64)
        assert net.conv.weight.dtype == torch.float32

    def test_a_module_that_knows_one_type_is_refused_with_what_to_do(self) -> None:
        with pytest.raises(UserError, match=r"cannot compute in float64.*leave dtype out"):
            equivariance_error(Call(lambda x: x @ torch.eye(9)), X, C4, dtype=torch.float64)


def test_unmoved_elements_of_larger_groups_are_named() -> None:
    line = torch.randn(2, 1, 1, 5)
    with pytest.raises(UserError, match="of D4 changes neither"):
        invariance_error(Call(lambda x: x.flatten(1).sum(1)), line, dihedral(4))
