"""Kernel networks: their initial values, coordinates, frequencies, and how many parameters they have."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from shared.nn.angles import FixedAngles, PartialAngles, RandomAngles, one_draw, seed_angles
from shared.nn.kernel_networks import RFF_OMEGA, KernelNetwork, KernelSettings

TURN = 2 * math.pi
AUTHORS = KernelSettings()


def net(settings, out=6, seed=0, **how):
    torch.manual_seed(seed)
    return KernelNetwork(out, settings, **how)


def count(network):
    return sum(p.numel() for p in network.parameters())


def points(n=4000):
    generator = torch.Generator().manual_seed(1)
    return {
        "offset": torch.rand(n, 2, generator=generator) * 2 - 1,
        "relative": torch.rand(n, generator=generator) * TURN,
        "angle": torch.rand(n, generator=generator) * TURN,
        "position": torch.rand(n, 2, generator=generator) * 2 - 1,
    }


@pytest.mark.parametrize(
    ("how", "settings", "out", "expected"),
    [
        ({"relative": False}, AUTHORS, 3 * 32, 4320),
        ({}, AUTHORS, 32 * 32, 34976),
        ({}, replace(AUTHORS, omega_angle=1.0), 32 * 64, 68800),
        ({}, replace(AUTHORS, omega_position=1.0), 64 * 64, 136416),
        ({"offset": False, "domain": False}, replace(AUTHORS, hidden=16, omega_angle=1.0), 32 * 32, 17712),
        ({}, replace(AUTHORS, rotation="integer", omega_angle=1.0), 32 * 64, 68800),  # frozen ones count
        (
            {},
            replace(AUTHORS, omega_angle=1.0, omega_position=1.0, learned=True),
            4,
            1 + 1 + 192 + 32 + 1056 + 132,
        ),
        ({}, replace(AUTHORS, omega_position=1.0, learned=True, tied=False), 4, 2 + 160 + 32 + 1056 + 132),
        ({}, replace(AUTHORS, form="rff"), 4, 48 + 1056 + 132),
        ({}, replace(AUTHORS, form="rff", omega_angle=1.0), 4, 48 + 16 + 1024 + 1056 + 132),
    ],
)
def test_number_of_parameters(how, settings, out, expected):
    assert count(net(settings, out, **how)) == expected


def test_initial_values_have_the_bounds_and_sizes_of_each_form():
    for form, hidden in (("authors", 0.01 * math.sqrt(6 / 32)), ("released", math.sqrt(6 / 32) / 10)):
        settings = replace(AUTHORS, form=form)
        network = net(settings, 2000)
        assert 0.32 < float(network.first_offset.detach().abs().max()) <= 1 / 3
        for weight in (network.hidden_weight, network.last_weight):
            assert 0.97 * hidden < float(weight.detach().abs().max()) <= hidden
        assert not any(b.any() for b in (network.first_bias, network.hidden_bias, network.last_bias))
        with torch.no_grad():
            spread = float(network(**points()).std())
        assert abs(spread / {"authors": 1.3e-4, "released": 0.09}[form] - 1) < 0.2


def test_all_coordinates_may_bound_the_first_weights():
    soft = replace(AUTHORS, omega_angle=1.0, rotation="free")
    few, many = net(soft), net(replace(soft, fan_in="all"))
    torch.testing.assert_close(many.first_offset, few.first_offset * 3 / 4)


@pytest.mark.parametrize("form", ["authors", "released", "rff"])
@pytest.mark.parametrize("rotation", ["integer", "free"])
def test_networks_of_one_seed_share_what_is_stationary(form, rotation):
    strict = net(replace(AUTHORS, form=form, rotation=rotation))
    after = torch.rand(())
    soft = net(replace(AUTHORS, form=form, rotation=rotation, omega_angle=1.0, omega_position=1.0))
    assert torch.equal(after, torch.rand(()))  # and leave the global generator in the same state
    for name, p in strict.named_parameters():
        assert torch.equal(p, soft.get_parameter(name)), name
    assert soft.first_position.any()


def test_rotation_weights():
    soft = replace(AUTHORS, omega_angle=2.0)
    authors = net(soft)
    assert (authors.first_angle == 1).all()
    assert (authors.first_relative == 1).all()
    assert authors.first_relative.requires_grad
    assert not (net(AUTHORS).first_relative == 1).any()
    integer = net(replace(soft, rotation="integer"))
    for weight in (integer.first_relative, integer.first_angle):
        assert set(weight.flatten().tolist()) == {-1, 0, 1}
        assert not weight.requires_grad
    shortcut = net(replace(AUTHORS, rotation="integer", hidden=64), offset=False, largest=3)
    assert set(shortcut.first_relative.flatten().tolist()) == {-3, -2, -1, 0, 1, 2, 3}


def test_columns_are_frozen_only_where_they_would_undo_a_penalty():
    both = replace(AUTHORS, omega_position=1.0)
    assert net(both).first_position.requires_grad
    assert not net(replace(both, learned=True)).first_position.requires_grad
    assert net(replace(both, learned=True, freeze=False)).first_position.requires_grad
    assert net(replace(both, learned=True)).first_offset.requires_grad


def values(network, **change):
    given = {key: c.double() for key, c in points(50).items()}
    given.update({key: given[key] + by for key, by in change.items()})
    with torch.no_grad():
        return network.double()(**given)


@pytest.mark.parametrize("form", ["authors", "released", "rff"])
def test_integer_kernels_are_smooth_on_the_circle_and_know_half_turns(form):
    settings = replace(AUTHORS, form=form, rotation="integer", omega_angle=1.0)
    network = net(settings)
    for key in ("relative", "angle"):
        torch.testing.assert_close(values(network), values(network, **{key: TURN}), rtol=1e-9, atol=1e-15)
        whole = values(network).abs().max()
        assert (values(network) - values(network, **{key: math.pi})).abs().max() > 0.01 * whole
    step = (values(network, angle=1e-6) - values(network, angle=-1e-6)).abs().max()
    assert step < 1e-4 * values(network).abs().max()


def test_an_angle_over_pi_hides_half_turns_from_fourier_features():
    """The trap of Eq. 7 with angles over pi and integer weights: only even harmonics."""
    w = torch.randn(16, generator=torch.Generator().manual_seed(0)).round()
    theta = torch.linspace(0, TURN, 9)
    over_pi = [torch.cos(TURN * w[:, None] * (t / math.pi)) for t in (theta, theta + math.pi)]
    torch.testing.assert_close(*over_pi, rtol=0, atol=1e-4)


def test_frequency_m_repeats_after_a_turn_over_m():
    for form in ("authors", "released", "rff"):
        network = net(replace(AUTHORS, form=form, rotation="integer", omega_angle=3.0))
        torch.testing.assert_close(values(network), values(network, angle=TURN / 3), rtol=1e-9, atol=1e-15)


def test_absolute_angles_of_the_authors_are_in_radians_from_0():
    network = net(replace(AUTHORS, omega_angle=0.5))
    with torch.no_grad():
        network.hidden_weight.zero_()
        network.hidden_weight[:, 0] = 0.1
        c = {key: torch.zeros_like(c) for key, c in points(3).items()}
        c["relative"] = torch.full((3,), math.pi)  # the middle of [-1, 1)
        c["angle"] = torch.tensor([0.0, 1.0, 6.0])
        due = torch.sin(0.1 * torch.sin(0.5 * c["angle"]))
        torch.testing.assert_close(network.features(**c)[:, 0], due)


def test_the_relative_angle_may_follow_omega_prime():
    follows = replace(AUTHORS, omega_angle=0.0, relative_follows=True)
    kept = replace(follows, relative_follows=False)
    still, moved = values(net(follows)), values(net(follows), relative=1.0)
    torch.testing.assert_close(still, moved)
    assert (values(net(kept)) - values(net(kept), relative=1.0)).abs().max() > 1e-6


def test_random_fourier_features_approach_a_gaussian():
    network = net(KernelSettings(form="rff", hidden=8000), out=1, relative=False)
    a, b = torch.rand(20, 2), torch.rand(20, 2)
    features = [network._fourier(network._phases(network.columns, {"offset": c})).detach() for c in (a, b)]
    found = (features[0] * features[1]).sum(1)
    due = torch.exp(-2 * math.pi**2 * (RFF_OMEGA * (a - b)).square().sum(1))
    assert (found - due).abs().max() < 0.06
    torch.testing.assert_close(features[0].square().sum(1), torch.ones(20))


def test_angle_grids():
    assert torch.equal(FixedAngles(4)().angles, torch.arange(4, dtype=torch.float64) * (TURN / 4))
    random = RandomAngles(8)
    seed_angles(random, 0)
    offsets = []
    for _ in range(50):
        grid = random()
        assert grid.full
        torch.testing.assert_close(grid.angles.diff(), torch.full((7,), TURN / 8, dtype=torch.float64))
        offsets.append(float(grid.angles[0]))
    assert 0 <= min(offsets) < 0.1 < 0.7 < max(offsets) < TURN / 8
    with one_draw(random):
        assert torch.equal(random().angles, random().angles)
    assert not torch.equal(random().angles, random().angles)
    with pytest.raises(ValueError, match="one generator"):
        random.seed([torch.Generator(), torch.Generator()])


def test_partial_angles_cover_their_interval():
    partial = PartialAngles(8)
    seed_angles(partial, 0)
    for p, expected in ((0.4, 4), (1e-4, 1), (1.0, 8), (-0.4, 4), (1.7, 8)):
        with torch.no_grad():
            partial.interval.fill_(p)
        grid = partial()
        assert len(grid) == expected
        assert not grid.full
        if 0 < p <= 1:
            centered = torch.remainder(grid.angles + math.pi, TURN) - math.pi
            assert (centered.abs() <= math.pi * p + 1e-6).all()
    assert dict(partial.named_parameters()).keys() == {"interval"}


@pytest.mark.parametrize("full", [False, True])
def test_gradient_of_the_interval(full):
    partial = PartialAngles(4, reparametrized=full)
    seed_angles(partial, 0)
    partial.hold(True)
    with torch.no_grad():
        partial.interval.fill_(0.6)
    grid = partial()
    grid.angles.sum().backward()
    u = float(partial._draw())
    k = torch.arange(3) * (TURN / 3) if full else torch.zeros(3)
    due = float((k - math.pi + u * TURN / 3).sum())
    assert abs(float(partial.interval.grad) - due) < 1e-5
