"""The steerable systems of Tables 4 and 5: parameters, what they are invariant to, and that they train."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from pipelines.regular_latent import models, networks
from pipelines.regular_latent.settings import Settings
from pipelines.regular_latent.steerable import PRIORS, SYSTEMS, Plane
from shared.base.errors import UserError
from shared.nn import baselines
from shared.nn.fields import ExpandedConv

#: Parameters with 48 and with 66 filters (released code's networks, built).
PLANE = {
    ("scnn", "C4"): (116_632, 119_116),
    ("scnn", "D1"): (28_132, 30_616),
    ("scnn", "D4"): (145_636, 148_120),
    ("restriction", "C4"): (124_192, 126_676),
    ("restriction", "D1"): (33_316, 35_800),
    ("restriction", "D4"): (169_828, 172_312),
    ("rpp", "C4"): (793_696, 798_772),
    ("rpp", "D1"): (78_340, 81_472),
    ("rpp", "D4"): (1_733_404, 1_739_776),
    ("pscnn", "C4"): (509_416, 513_844),
    ("pscnn", "D1"): (38_596, 41_080),
    ("pscnn", "D4"): (1_226_092, 1_231_816),
}
#: PSCNN without the duplicated elements of its basis, 48 filters.
SINGLE = {"C4": 447_496, "D1": 38_596, "D4": 1_040_332}
SPACE = {
    ("scnn", "SO3"): 128_450,
    ("scnn", "O3"): 192_800,
    ("rpp", "SO3"): 18_263_786,
    ("rpp", "O3"): 29_292_200,
    ("pscnn", "SO3"): 4_166_339,
    ("pscnn", "O3"): 3_511_682,
}
#: Does a system predict the same for moved images before it is trained?
INVARIANT = {"scnn": True, "restriction": False, "rpp": False, "pscnn": True}
EVERY = [*PLANE, *SPACE]


@pytest.fixture(autouse=True)
def with_escnn() -> None:
    if not baselines.available("escnn"):
        pytest.skip("escnn is not installed")


def wanted(system: str, group: str, **changes) -> Settings:
    kind = "medmnist" if group in ("SO3", "O3") else "ddmnist"
    return Settings(kind=kind, model=system, group=group, **changes)


def small(system: str, group: str, **changes) -> nn.Module:
    """Two fields at the narrowest place, or one in space."""
    width = 1 if group in ("SO3", "O3") else 2
    return models.build(wanted(system, group, channels=width, **changes), 0, 3)


def inputs(group: str, count: int, seed: int = 0) -> Tensor:
    shape = (28, 28, 28) if group in ("SO3", "O3") else (56, 56)
    return torch.randn(count, 1, *shape, generator=torch.Generator().manual_seed(seed))


def parameters(settings: Settings, classes: int) -> int:
    return models.count_parameters(models.build(settings, 0, classes))


@pytest.mark.parametrize(("system", "group"), PLANE)
def test_parameters_in_the_plane(system, group):
    for filters, expected in zip((48, 66), PLANE[system, group], strict=True):
        settings = wanted(system, group, filters=filters, duplicated=system == "pscnn")
        assert parameters(settings, 100) == expected


@pytest.mark.parametrize("group", SINGLE)
def test_parameters_without_duplicates(group):
    assert parameters(wanted("pscnn", group, filters=48), 100) == SINGLE[group]


@pytest.mark.parametrize(("system", "group"), SPACE)
def test_parameters_in_space(system, group):
    settings = wanted(system, group, duplicated=system == "pscnn")
    assert parameters(settings, 2) == SPACE[system, group]


def test_parameters_in_space_without_duplicates():
    """Of O(3) the released code has no duplicates."""
    assert parameters(wanted("pscnn", "SO3"), 2) == 1_593_635
    assert parameters(wanted("pscnn", "O3"), 2) == SPACE["pscnn", "O3"]


def moved_error(network: nn.Module, group: str, motions: int = 3) -> float:
    """In float64 in the plane; volumes would take long."""
    moved = networks.motions(group, "")[:motions]
    if group in ("SO3", "O3"):
        return networks.symmetry_error(network, inputs(group, 2), moved)
    return networks.symmetry_error(network.double(), inputs(group, 3).double(), moved)


@pytest.mark.parametrize(("system", "group"), EVERY)
def test_what_is_claimed_to_be_invariant_is(system, group):
    """SCNN and uniform PSCNN do not see a motion of the whole image, Restriction and RPP do."""
    if not INVARIANT[system]:
        assert moved_error(small(system, group), group, motions=1) > 0.05
        return
    error = moved_error(small(system, group), group)
    # escnn's filters are float32
    assert error < (1e-9 if system == "pscnn" and group not in ("SO3", "O3") else 1e-4)


@pytest.mark.parametrize("group", ["C4", "D1", "D4", "SO3"])
def test_a_likelihood_that_is_not_uniform_frees_pscnn(group):
    network = small("pscnn", group)
    with torch.no_grad():
        for likelihood in network.likelihoods:
            likelihood.coefficients[1:].fill_(0.5)
    assert moved_error(network, group, motions=1) > 1e-3


def test_a_mirror_is_one_even_channel():
    """D1's fields are trivial only, so all filters are mirror images of themselves: no sign is left."""
    filters = [m.expand()[0] for m in small("scnn", "D1").modules() if isinstance(m, ExpandedConv)]
    for bank in filters:
        torch.testing.assert_close(bank, bank.flip(-1))


def losses(network: nn.Module, group: str, steps: int) -> list[float]:
    x = inputs(group, 3 if group in ("SO3", "O3") else 6)
    labels = torch.arange(len(x)) % 3
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    found = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(x), labels) + models.penalty(network)
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


@pytest.mark.parametrize(("system", "group"), EVERY)
def test_every_system_trains(system, group):
    network = small(system, group)
    begin = copy.deepcopy(network.state_dict())
    found = losses(network, group, 4)
    assert found[-1] < found[0] - 0.02
    still = [name for name, value in network.named_parameters() if torch.equal(value, begin[name])]
    # a uniform likelihood moves only by what its divergence adds, which is 0 at first
    assert [name for name in still if "likelihood" not in name] == []


def test_the_priors_of_rpp_are_in_its_loss():
    network = small("rpp", "C4")
    steerable, free = network.squares()
    names = [name for name, _ in network.named_parameters() if "free" in name]
    by_hand = sum(network.get_parameter(name).square().sum() for name in names)
    torch.testing.assert_close(free, by_hand)
    assert PRIORS == (1e-5, 1e-3)
    torch.testing.assert_close(network.penalty(), 1e-5 * steerable + 1e-3 * free)
    in_space = small("rpp", "SO3")
    convolutions = [m for m in in_space.modules() if isinstance(m, nn.Conv3d)]
    assert len(convolutions) == 9
    by_hand = sum(p.square().sum() for layer in convolutions for p in layer.parameters())
    torch.testing.assert_close(in_space.squares()[1], by_hand)


@pytest.mark.parametrize(("group", "weights"), [("C4", (5, 3, 3)), ("SO3", (5, 1, 1))])
def test_the_losses_of_pscnn_are_in_its_loss(group, weights):
    network = small("pscnn", group)
    assert network.penalty().item() == pytest.approx(0, abs=1e-5)
    assert len(network.likelihoods) == (6 if group == "C4" else 3)
    with torch.no_grad():
        network.likelihoods[0].coefficients[1] = 0.3
    first, second, *_ = network.likelihoods
    expected = weights[0] * first.alignment()
    expected += (weights[1] * second.divergence(first) + weights[2] * first.divergence(None)) / len(
        network.likelihoods
    )
    assert network.penalty().item() == pytest.approx(expected.item(), rel=1e-4)
    network.penalty().backward()
    assert first.coefficients.grad.abs().max() > 0
    assert small("scnn", group).penalty().item() == 0


def test_layers_share_likelihoods_and_gates_as_released():
    network = small("pscnn", "SO3")
    owners = [m for m in network.modules() if hasattr(m, "likelihood") and isinstance(m, ExpandedConv)]
    assert [[o.likelihood is wanted for wanted in network.likelihoods].index(True) for o in owners] == [
        *(0, 0, 1, 1),
        *(2, 2),
    ]
    assert len({id(o.likelihood) for o in owners}) == 3
    first = network.body[1].branches
    assert first[0][-1] is first[1][-1]


@pytest.mark.parametrize("system", SYSTEMS)
def test_training_and_evaluation_have_one_state(system):
    """The libraries keep expanded filters in evaluation, so that a state does not load in the other mode."""
    network, other = small(system, "C4"), models.build(wanted(system, "C4", channels=2), 1, 3)
    losses(network, "C4", 1)
    state = network.eval().state_dict()
    assert set(state) == set(other.train().state_dict())
    other.load_state_dict(state)
    x = inputs("C4", 2)
    assert torch.equal(network(x), other.eval()(x))
    twin = copy.deepcopy(network)
    assert torch.equal(twin(x), network(x))
    assert sum(v.numel() for v in state.values()) < 2 * models.count_parameters(network)


def test_the_same_seed_draws_the_same_network():
    x = inputs("D4", 2)
    first, again, other = (models.build(wanted("pscnn", "D4", channels=2), s, 3)(x) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_networks_are_counted_and_measured():
    settings = Settings(kind="networks", task="ddmnist", dataset="", model="scnn", group="D1", filters=48)
    rows = networks.run(settings, [0, 1], None)
    for seed in (0, 1):
        values = {row.metric: row.value for row in rows[seed]}
        assert values.pop("parameters") == 28_132
        assert 0 < values.pop("symmetry_error") < 1e-4
        assert values == {}
    cnn = networks.run(replace(settings, model="cnn"), [0], None)[0]
    assert cnn[0].value == 31_240
    assert cnn[1].value > 0.1
    flows = replace(settings, task="smoke", group="C4", model="e2cnn", channels=4, size=8)
    assert networks.run(flows, [0], None)[0][1].value < 1e-4
    assert networks.run(replace(flows, model="cnn"), [0], None)[0][1].value > 0.1


def test_the_error_is_in_units_of_the_spread_of_predictions():
    class Left(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 3 * x[..., :28].mean((1, 2, 3))[:, None] + 100

    x = torch.zeros(2, 1, 56, 56)
    x[0, ..., :28] = 1
    # predictions 103 and 100; of mirrored images 100 and 100
    error = networks.symmetry_error(Left(), x, networks.motions("D1", "ddmnist"))
    assert error == pytest.approx(2**0.5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "networks"}, "task"),
        ({"task": "ddmnist"}, "task"),
        ({"duplicated": True}, "pscnn"),
        ({"normalized": False, "model": "scnn"}, "pscnn"),
        ({"kind": "medmnist", "group": "S4", "model": "scnn"}, "S4"),
        ({"kind": "medmnist", "group": "SO3", "model": "cnn"}, "SO3"),
        ({"group": "O3", "model": "scnn"}, "O3"),
    ],
)
def test_what_does_not_go_together_is_said(changes, words):
    with pytest.raises(UserError, match=words):
        Settings(**changes)


def test_without_escnn_a_run_says_how_to_install_it(monkeypatch):
    def missing(backend: str):
        raise UserError(f"{backend} cannot be imported; install it: {baselines.INSTALL[backend]}")

    monkeypatch.setattr("shared.nn.baselines_steerable.load", missing)
    from shared.nn import baselines_steerable

    monkeypatch.setattr(baselines_steerable, "space", baselines_steerable.space.__wrapped__)
    with pytest.raises(UserError, match="pip install"):
        Plane(wanted("scnn", "C4"), 100)


@pytest.mark.parametrize("system", ["rpp", "pscnn"])
def test_bf16_rounds_activations_and_neither_filters_nor_penalties(system):
    network = small(system, "C4")
    with torch.no_grad():
        for likelihood in network.likelihoods:
            likelihood.coefficients[1:].fill_(0.3)
    exact, x = network.penalty().item(), inputs("C4", 4)
    plain = network(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, penalty = network(x), network.penalty()
        filters = [m.expanded()[0].dtype for m in network.modules() if isinstance(m, ExpandedConv)]
    assert set(filters) == {torch.float32}
    assert logits.dtype == torch.bfloat16
    assert ((logits - plain).norm() / plain.norm()).item() < 0.1
    assert penalty.item() == pytest.approx(exact, rel=1e-6)
    assert all(buffer.dtype != torch.bfloat16 for buffer in network.buffers())
