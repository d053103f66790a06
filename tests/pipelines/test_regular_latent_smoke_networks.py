"""The systems of Table 6: parameters, symmetry, and that each learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pipelines.regular_latent import smoke_models
from pipelines.regular_latent.settings import MODELS, Settings
from pipelines.regular_latent.smoke import loss
from pipelines.regular_latent.smoke_flows import Flows, turn, turn_maps
from shared.nn import baselines

#: Fact sheet, section 4.3, at the paper's width and grid. Lift and PSCNN: with the released encoder, and with
#: duplicated basis elements.
PARAMETERS = {
    "cnn": 247_850,
    "mlp": 8_324_992,
    "e2cnn": 622_656,
    "rpp": 4_355_658,
    "lift": 3_314_852,
    "rgroup": 1_874_632,
    "rsteer": 5_596_178,
    "pscnn": 3_121_028,
}
STEERABLE = ("e2cnn", "rpp", "lift", "rsteer", "pscnn")
needs_libraries = pytest.mark.skipif(
    not (baselines.available("e2cnn") and baselines.available("escnn")), reason="e2cnn or escnn is missing"
)


def marked(names):
    return [pytest.param(n, marks=needs_libraries) if n in STEERABLE else n for n in names]


def settings(model="cnn", **other) -> Settings:
    given = {"kind": "smoke", "dataset": "", "shifted": 0.0, "channels": 8, "size": 8, "batch_size": 4}
    return Settings(**{**given, "model": model, **other})


def build(model="cnn", **other) -> smoke_models.Predictor:
    return smoke_models.build(settings(model, **other), seed=0)


@pytest.mark.parametrize("model", marked(PARAMETERS))
def test_parameters_are_counted_as_in_the_paper(model):
    released = {
        "lift": lambda: smoke_models.Lift(92, smoke_models.LIFT_GRID),
        "pscnn": lambda: smoke_models.PSCNN(92, duplicated=True),
    }
    network = released.get(model, lambda: build(model, channels=92, size=64))()
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[model]
    assert set(PARAMETERS) == set(MODELS["smoke"])


@pytest.mark.parametrize("model", marked(MODELS["smoke"]))
def test_a_seed_makes_a_network_and_leaves_torch_alone(model):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, again = build(model), build(model)
    other = smoke_models.build(settings(model), seed=1)
    assert torch.equal(torch.rand(1), expected)
    x = torch.randn(2, 20, 8, 8, generator=torch.Generator().manual_seed(0))
    outputs = [network.eval()(x) for network in (first, again, other)]
    assert outputs[0].shape == (2, 2, 8, 8)
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


# --- symmetry ----------------------------------------------------------------------------------------------


def error(function: nn.Module, move_in=turn, move_out=turn, size: int = 8) -> float:
    """Largest relative equivariance error over the quarter turns, in float64 and evaluation."""
    function = function.double().eval()
    x = torch.randn(2, 20, size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = []
    with torch.no_grad():
        for k in range(1, 4):
            turns = torch.full((2,), k)
            turned = move_out(function(x), turns)
            found.append(((function(move_in(x, turns)) - turned).norm() / turned.norm()).item())
    return max(found)


@needs_libraries
@pytest.mark.parametrize("model", ["e2cnn", "pscnn"])
def test_steerable_networks_turn_vectors_with_their_places(model):
    """e2cnn's vectors have rows that count downwards, as our turned arrays; PSCNN begins uniform."""
    assert error(build(model)) < 1e-5
    assert error(build(model), move_in=turn_maps, move_out=turn_maps) > 0.5


@pytest.mark.parametrize("model", marked(["cnn", "mlp", "rpp", "lift", "rsteer"]))
def test_others_are_not_equivariant_at_the_start(model):
    assert error(build(model)) > 0.05


@needs_libraries
def test_pscnn_is_less_equivariant_as_its_likelihoods_move():
    network = build("pscnn")
    assert network.penalty().item() == pytest.approx(0, abs=1e-5)
    with torch.no_grad():
        for likelihood in network.likelihoods:
            likelihood.coefficients[1:] += 0.3
    assert error(network) > 0.05
    assert network.penalty().item() > 0.01


@needs_libraries
def test_rpp_without_its_free_filters_is_equivariant():
    network = build("rpp")
    assert network.penalty().item() > 0
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "free" in name:
                parameter.zero_()
    assert network.penalty().item() == 0
    assert error(network) < 1e-5


@needs_libraries
def test_lift_is_equivariant_for_what_is_lifted_alike_to_all_turns():
    network = build("lift")
    last = network.lifting[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(last.bias.view(-1, 4)[:, :1].expand(-1, 4).flatten())
    assert error(network) < 1e-5


@needs_libraries
def test_rsteer_is_equivariant_where_its_coefficients_are_alike():
    network = build("rsteer")
    assert network.penalty().item() > 0
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, smoke_models.RelaxedSteerable):
                layer.weight.copy_(layer.weight[..., :1].expand_as(layer.weight))
                layer.bias.zero_()
    assert network.penalty().item() == 0
    assert error(network) < 1e-5


def test_rgroup_begins_equivariant_for_scalars_and_can_leave_it():
    """Components are scalars to it: it knows nothing of vectors."""
    network = build("rgroup")
    assert error(network, turn_maps, turn_maps) < 1e-10
    assert error(network) > 0.5
    with torch.no_grad():
        network.encoder[1].mixture[0, 1] += 0.2
    assert error(network, turn_maps, turn_maps) > 0.01


def test_the_released_rgroup_transposes_its_output():
    x = torch.zeros(1, 20, 8, 8)
    x[:, :, 0, 7] = 1
    right, transposed = build("rgroup"), build("rgroup", transposed=True)
    assert torch.equal(right(x).mT, transposed(x))
    reach = (right(x)[0].abs().sum(0) > 0).nonzero().tolist()
    assert [0, 7] in reach
    assert [7, 0] not in reach


# --- learning ----------------------------------------------------------------------------------------------


def some_flows() -> Flows:
    """Vortices that drift, smooth in space and time."""
    y, x = torch.meshgrid(torch.linspace(-2, 2, 8), torch.linspace(-2, 2, 8), indexing="ij")
    fields = []
    for t in range(24):
        a, b = x - 0.06 * t + 0.5, y - 0.3
        fields.append(torch.stack([-b, a]) * torch.exp(-(a**2) - b**2))
    windows = torch.tensor([[0, s] for s in range(3)])
    return Flows(torch.stack(fields)[None], {"train": windows})


@pytest.mark.parametrize("model", marked(MODELS["smoke"]))
def test_every_system_learns(model):
    network, flows = build(model), some_flows()
    of_batch = loss(settings(model), flows)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.005)
    generator, values = torch.Generator().manual_seed(0), []
    for _ in range(20):
        optimizer.zero_grad()
        value = of_batch(network, flows.windows["train"], torch.zeros(3), generator)
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert sum(values[-3:]) < 0.9 * sum(values[:3])
