"""Networks of the soft equivariance paper: parameter counts, symmetries, the center tap, bad settings."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from pipelines.soft_equivariance import counts, data, models
from pipelines.soft_equivariance.settings import Settings
from shared.base.errors import UserError
from shared.nn.angles import FixedAngles, one_draw, seed_angles
from shared.runs import config
from shared.runs.api import Context

#: Table 5 and the controls beside it (fact sheet, section 3.3), CIFAR-10; CIFAR-100 has 5,850 more.
TABLE5 = {
    "cnn": 451_898,
    "soft_t2": 452_282,
    "strict": 451_898,
    "partial": 469_615,
    "soft": 469_802,
    "strict_per_layer": 469_610,
    "soft_shared": 452_090,
    "soft_t2_se2_shared": 452_282,
    "soft_t2_se2": 469_994,
    "both_shared": 452_474,
    "both": 470_186,
}
OTHERS = {
    "logged_hidden64_cifar10": 936_426,
    "logged_hidden64_cifar100": 942_276,
    "logged_t2_wide_cifar100": 3_519_684,
    "mnist_strict": 28_012,
    "mnist_partial": 28_017,
    "mnist_soft": 28_204,
}
SMALL = {"channels": (3, 4), "hidden": 8, "shortcut_hidden": 4, "kernel": 3, "pools": (0, 1)}
SIDE = 12
SOFT = {"model": "soft", "grid": "per_layer", "shortcut": "learned"}


def small(**changes) -> Settings:
    return Settings(**{**SMALL, **changes})


def network(seed: int = 0, **changes) -> models.CKResNet:
    """A small network in float64 and eval mode, with kernels of order 1 that are not odd."""
    made = models.build(small(**{"kernel_net": "released", **changes}), seed, 3, SIDE, 5)
    generator = torch.Generator().manual_seed(7)
    for name, parameter in made.named_parameters():
        if name.endswith(("first_bias", "hidden_bias")):
            parameter.data.uniform_(-1, 1, generator=generator)
    return made.double().eval()


def turns(made: models.CKResNet) -> dict[int, float]:
    """Relative change of the logits by quarter turns, with one draw of angles."""
    x = torch.randn(2, 3, SIDE, SIDE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    seed_angles(made, 5)
    with torch.no_grad(), one_draw(made):
        upright = made(x)
        changes = [(made(x.rot90(k, (-2, -1))) - upright).abs().max() for k in (1, 2, 3)]
    return {90 * k: float(change / upright.abs().max()) for k, change in enumerate(changes, 1)}


@pytest.mark.parametrize("data_set", ["cifar10", "cifar100"])
def test_parameters_are_those_of_table_5(data_set):
    experiment = config.load("soft_equivariance").experiment("networks")
    for name, expected in TABLE5.items():
        settings = experiment.settings_of(f"{name}_{data_set}", "paper")
        rows = {row.metric: row.value for row in counts.run(settings, [0], Context())[0]}
        assert rows["parameters"] == expected + 5850 * (data_set == "cifar100"), name
    assert rows["inputs_lift"] == 5
    assert (rows["absolute_angle"], rows["absolute_position"]) == (1, 2)


@pytest.mark.parametrize("arm", OTHERS)
def test_parameters_are_those_of_the_logs_and_of_mnist(arm):
    settings = config.load("soft_equivariance").experiment("networks").settings_of(arm, "paper")
    assert counts.run(settings, [0], Context())[0][0].value == OTHERS[arm]


def test_biases_of_convolutions_are_288_parameters():
    settings = Settings(angles=4)
    with_bias = models.build(replace(settings, bias=True), 0, 3, 32, 10)
    without = models.build(settings, 0, 3, 32, 10)
    assert models.count_parameters(with_bias) - models.count_parameters(without) == 288


@pytest.mark.parametrize("grid", ["fixed", "shared", "per_layer"])
@pytest.mark.parametrize("angles", [4, 8])
def test_strict_networks_are_invariant_to_quarter_turns(grid, angles):
    assert max(turns(network(angles=angles, grid=grid)).values()) < 1e-12


def test_a_network_of_the_plane_is_not_invariant_to_turns():
    assert min(turns(network(angles=1, support="square")).values()) > 1e-3


@pytest.mark.parametrize(("angles", "omega"), [(4, 1), (4, 2), (4, 4), (8, 2), (8, 4), (8, 6)])
def test_whole_frequencies_keep_the_turns_of_their_gcd(angles, omega):
    settings = {
        **SOFT,
        "angles": angles,
        "omega_rotation": omega,
        "rot_freq": "integer",
        "relative_follows": False,
    }
    order = small(**settings).order
    for degrees, change in turns(network(**settings)).items():
        kept = (degrees * order) % 360 == 0
        assert (change < 1e-12) == kept, (degrees, change)


def test_without_omega_a_soft_network_is_the_strict_one_with_idle_weights():
    strict = network(angles=4, grid="per_layer", shortcut="learned")
    soft = network(**SOFT, angles=4, rot_freq="free", relative_follows=False)
    x = torch.randn(2, 3, SIDE, SIDE, dtype=torch.float64)
    for made in (strict, soft):
        seed_angles(made, 3)
    assert torch.equal(strict(x), soft(x))


def test_the_last_step_adds_the_absolute_angle_and_nothing_else():
    relative = network(angles=4, grid="per_layer", shortcut="learned", rot_freq="authors", omega_relative=2)
    soft = network(**SOFT, angles=4, rot_freq="authors", omega_rotation=2)
    x = torch.randn(2, 3, SIDE, SIDE, dtype=torch.float64)
    answers = []
    for clear in (False, True):
        for layer in soft.layers.values():
            layer.network.first_angle.data.mul_(not clear)
        for made in (relative, soft):
            seed_angles(made, 3)
        answers.append((relative(x), soft(x)))
    assert not torch.allclose(*answers[0])
    assert torch.allclose(*answers[1], rtol=1e-12, atol=0)


def test_a_lift_by_the_center_tap_learns_from_a_rounding_error_only():
    def gradients(clear: bool) -> float:
        made = models.build(small(angles=4, lift_taps="center"), 0, 3, SIDE, 5)
        if clear:
            made.layers["lift"].network.last_bias.data.zero_()
        made(torch.randn(4, 3, SIDE, SIDE)).square().sum().backward()
        return sum(float(p.grad.abs().sum()) for p in made.layers["lift"].parameters())

    assert gradients(clear=True) == 0
    assert gradients(clear=False) > 0


def test_the_interval_of_a_partial_network_gets_a_gradient():
    made = network(model="partial", angles=4, grid="per_layer", shortcut="learned")
    assert set(made.intervals()) == set(models.LAYERS[1:])
    made(torch.randn(2, 3, SIDE, SIDE, dtype=torch.float64)).square().sum().backward()
    grids = [layer.angles for name, layer in made.layers.items() if name != "lift"]
    assert all(grid.interval.grad.abs() > 0 for grid in grids)


def test_sines_are_taken_in_float32_whatever_the_convolutions_are_computed_in():
    layer = models.build(small(**SOFT, angles=4, omega_rotation=9), 0, 3, SIDE, 5).layers["last"]
    grid = FixedAngles(4)()
    expected = layer._features(grid, grid, (1, 1))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer._features(grid, grid, (1, 1)), expected)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {**SOFT, "angles": 4, "omega_rotation": 2},
        {"model": "soft", "soft_in": "translation", "omega_translation": 2},
        {**SOFT, "soft_in": "both", "angles": 2, "omega_rotation": 1, "omega_translation": 1},
    ],
    ids=["cnn", "rotation", "translation", "both"],
)
def test_a_step_under_autocast(changes):
    made = models.build(small(**changes), 0, 3, SIDE, 5)
    with torch.autocast("cpu", torch.bfloat16):
        logits = made(torch.randn(4, 3, SIDE, SIDE))
    logits.float().square().sum().backward()
    used = [p for n, p in made.named_parameters() if p.requires_grad and "first_relative" not in n]
    assert all(p.grad.isfinite().all() for p in used if p.grad is not None)
    assert sum(p.grad is not None for p in used) > len(used) / 2


def test_build_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    models.build(small(), 0, 3, SIDE, 5)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kernel": 4}, "make it odd"),
        ({"omega": -1.0}, "0 or more"),
        ({"model": "soft", "candidates": (1.0, -2.0)}, "0 or more"),
        ({"model": "soft", "rot_freq": "integer", "omega_rotation": 1.5}, "whole numbers"),
        ({"omega_rotation": 1.0}, "no kernel of this network has that input"),
        ({"model": "strict", "learn_omega": True}, "no omega'"),
        ({"model": "soft", "penalty": 0.1}, "learned omega'"),
        ({"model": "soft", "learn_omega": True, "candidates": (1.0,)}, "not both"),
        ({"model": "soft", "omega_relative": 2.0}, "relative_follows"),
        ({"model": "partial", "angles": 4}, "other angles in each layer"),
        ({"angles": 3, "symmetry": 2}, "does not fit"),
        (
            {"model": "soft", "angles": 8, "omega_rotation": 3, "rot_freq": "integer", "symmetry": 2},
            "does not fit",
        ),
        ({"angles": 6, "symmetry": 3}, "square image"),
        ({"angles": 8, "symmetry": 8}, "square image"),
        ({"omega": math.nan}, "0 or more"),
        ({"model": "soft", "omega_rotation": math.inf}, "finite"),
        ({"lr": math.nan}, "must be positive"),
        ({"model": "soft", "candidates": (1.0, math.nan)}, "finite"),
        ({"model": "soft", "candidates": (1.0, 2.0), "validation_images": 0}, "there are none"),
        ({"pools": (0, 3)}, "pools"),
        ({"problem": "half_turns", "validation_images": 101}, "make it even"),
        ({"warmup": 1.0}, "share of the training"),
        ({"grid": "randm"}, "random|per_layer"),
    ],
)
def test_bad_settings_are_refused_in_one_sentence(changes, said):
    with pytest.raises(UserError, match=said.replace("(", r"\(")) as error:
        Settings(**changes)
    assert "\n" not in str(error.value)


def test_maps_smaller_than_the_support_are_refused():
    with pytest.raises(UserError, match="take larger images"):
        models.build(Settings(), 0, 3, 24, 10)


def test_sizes_follow_the_data_set():
    assert data.shape(Settings()) == (3, 32, 32)
    assert data.classes(Settings(dataset="cifar100")) == 100
    assert data.classes(Settings(dataset="mnist", problem="half_turns")) == 2
