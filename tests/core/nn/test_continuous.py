"""Continuous convolutions: sums over taps and angles, what they are equivariant to, and what they refuse."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from shared.nn.angles import AngleGrid, FixedAngles, PartialAngles, RandomAngles, seed_angles
from shared.nn.continuous import (
    ContinuousGroupConv,
    ContinuousLifting,
    ContinuousPointwise,
    check_rotations,
    kept_rotations,
    tap_offsets,
)
from shared.nn.correlation import WAYS
from shared.nn.kernel_networks import KernelSettings

RELEASED = KernelSettings(form="released", rotation="free", hidden=8)
INTEGER = replace(RELEASED, rotation="integer")


def build(make, seed=0):
    """A float64 layer whose biases are not 0."""
    torch.manual_seed(seed)
    layer = make().double()
    with torch.no_grad():
        for name, p in layer.named_parameters():
            if name.endswith("bias"):
                p.uniform_(-0.5, 0.5)
    return layer


class Net(nn.Module):
    """Lift, group convolution with a grid of its own, shortcut beside it, a valid convolution."""

    def __init__(self, angles, settings, **how):
        super().__init__()
        self.lift = ContinuousLifting(2, 3, angles(), settings, **how)
        self.conv = ContinuousGroupConv(3, 2, angles(), settings, **how)
        self.short = ContinuousPointwise(3, 2, settings)
        self.last = ContinuousGroupConv(2, 2, angles(), settings, padding="valid", **how)

    def forward(self, x):
        seed_angles(self, 3)
        y, first = self.lift(x)
        z, second = self.conv(y, first)
        return self.last(torch.tanh(z + self.short(y, first, second)), second)[0]


def change(net, n, k, size=8):
    """Relative change of the output under k quarter turns, beyond the one that is due."""
    x = torch.randn(2, 2, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        y, turned = net(x), net(torch.rot90(x, k, (2, 3)))
    due = torch.rot90(y.roll(-(k * n) // 4, 2), k, (3, 4))
    return float((turned - due).abs().max() / y.abs().max())


# ---------------------------------------------------------------- symmetries


@pytest.mark.parametrize("angles", [FixedAngles, RandomAngles])
@pytest.mark.parametrize("form", ["authors", "released", "rff"])
@pytest.mark.parametrize("rotation", ["authors", "integer", "free"])
def test_strict_layers_keep_quarter_turns(angles, form, rotation):
    settings = replace(RELEASED, form=form, rotation=rotation)
    for n in (4, 8):
        net = build(lambda n=n: Net(lambda: angles(n), settings))
        assert max(change(net, n, k) for k in (1, 2, 3)) < 1e-12


def test_the_other_sense_of_rotation_is_not_kept():
    net = build(lambda: Net(lambda: FixedAngles(4), RELEASED))
    x = torch.randn(1, 2, 8, 8, dtype=torch.float64)
    y, turned = net(x), net(torch.rot90(x, 1, (2, 3)))
    assert (turned - torch.rot90(y.roll(1, 2), 1, (3, 4))).abs().max() > 0.1 * y.abs().max()


@pytest.mark.parametrize("n", [4, 8, 16])
@pytest.mark.parametrize("domain", ["output", "input"])
def test_integer_frequency_m_leaves_exactly_the_turns_of_gcd_m_n(n, domain):
    for m in (1, 2, 3, 4, 6, 8, 12, 16) if n < 16 else (2, 4, 6, 16):
        settings = replace(INTEGER, omega_angle=float(m), domain=domain)
        net = build(lambda settings=settings: Net(lambda: RandomAngles(n), settings))
        with torch.no_grad():  # no harmonic may be missing by chance
            for layer in (net.lift, net.conv, net.last):
                layer.network.first_angle.fill_(1.0)
        kept = kept_rotations(n, m)
        for k in (1, 2, 3):
            exact = (k * n // 4) % (n // kept) == 0
            found = change(net, n, k)
            assert found < 1e-12 if exact else found > 1e-3, (m, k)


@pytest.mark.parametrize("form", ["authors", "released", "rff"])
@pytest.mark.parametrize("space", ["omega_angle", "omega_position"])
def test_soft_layers_at_zero_are_strict_and_share_the_weights_of_strict_ones(form, space):
    strict = replace(RELEASED, form=form)
    soft = replace(strict, **{space: 0.0})
    nets = [build_plain(lambda s=s: Net(lambda: RandomAngles(4), s)) for s in (strict, soft)]
    x = torch.randn(2, 2, 8, 8, dtype=torch.float64)
    first, second = (net(x) for net in nets)
    if form != "rff":  # whose constant features of the domain are a bias
        torch.testing.assert_close(first, second, rtol=1e-10, atol=1e-12 * float(first.detach().abs().max()))
    assert max(change(nets[1], 4, k) for k in (1, 2, 3)) < 1e-12
    above = build_plain(lambda: Net(lambda: RandomAngles(4), replace(strict, **{space: 1.0})))
    assert change(above, 4, 1) > 1e-6
    for name, p in nets[0].named_parameters():
        assert torch.equal(p, dict(above.named_parameters())[name]), name


def build_plain(make):
    torch.manual_seed(2)
    net = make().double()
    with torch.no_grad():
        for name, p in net.named_parameters():
            if name.endswith(("hidden_bias", "last_bias")):
                p.fill_(0.3)
    return net


def shifted(layer, x):
    """Interiors of the output of the shifted map, and of the shifted output."""
    grid = FixedAngles(x.shape[2])()
    y, moved = layer(x, grid)[0], layer(x.roll((1, 2), (3, 4)), grid)[0]
    return moved[..., 5:-3, 5:-3], y.roll((1, 2), (3, 4))[..., 5:-3, 5:-3]


def test_translations_are_kept_unless_the_position_counts():
    x = torch.randn(1, 2, 4, 12, 12, dtype=torch.float64)
    for settings in (RELEASED, replace(RELEASED, omega_angle=1.0), replace(RELEASED, omega_position=0.0)):
        assert torch.allclose(*shifted(build(lambda s=settings: ContinuousGroupConv(2, 2, None, s)), x))
    soft = build(lambda: ContinuousGroupConv(2, 2, None, replace(RELEASED, omega_position=1.0)))
    assert not torch.allclose(*shifted(soft, x), rtol=0.01)


def test_relaxing_translations_breaks_rotations_too():
    net = build(lambda: Net(lambda: FixedAngles(4), replace(INTEGER, omega_position=1.0)))
    assert change(net, 4, 1) > 1e-2


# ---------------------------------------------------------------- sums


def brute(layer, x, given, made, size):
    """The definition: one evaluation of the kernel network for each pair of elements."""
    network, radius = layer.network, layer.radius
    of_input = network.settings.domain == "input"
    same = layer.padding == "same"
    height, width = x.shape[3:]
    out = x.new_zeros(x.shape[0], layer.out_channels, len(made), *size)
    positions = [
        torch.linspace(-1, 1, s, dtype=torch.float64) for s in ((height, width) if of_input else size)
    ]
    step = [2 / max(s - 1, 1) for s in (height, width)]
    for j, row, column in itertools.product(range(len(made)), range(size[0]), range(size[1])):
        t = made.angles[j]
        for k, (dr, dc) in itertools.product(
            range(len(given)), tap_offsets(layer.kernel_size, layer.taps).tolist()
        ):
            shift = 0 if same else radius
            r, c = row + dr + shift, column + dc + shift
            inside = 0 <= r < height and 0 <= c < width
            if not inside and layer.border == "zeros":
                continue
            pixel = x[:, :, k, min(max(r, 0), height - 1), min(max(c, 0), width - 1)]
            a, b = dr / radius, dc / radius
            offset = torch.stack([t.cos() * a - t.sin() * b, t.sin() * a + t.cos() * b])
            inputs = {"offset": offset, "relative": given.angles[k] - t}
            lift = "relative" not in network.columns
            inputs["angle"] = given.angles[k] if of_input and not lift else t
            place = torch.stack([positions[0][row], positions[1][column]]) if not of_input else None
            if of_input:
                place = torch.tensor([r * step[0] - 1, c * step[1] - 1], dtype=torch.float64)
            inputs["position"] = place
            value = network(**inputs).view(layer.out_channels, layer.in_channels)
            out[:, :, j, row, column] += pixel @ value.T
    return out


CASES = [
    {},
    {"omega_angle": 1.0},
    {"omega_angle": 2.0, "domain": "input"},
    {"omega_position": 3.0},
    {"omega_position": 2.0, "domain": "input"},
    {"omega_angle": 1.0, "omega_position": 0.7},
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("padding", "border"), [("same", "zeros"), ("same", "replicate"), ("valid", "zeros")]
)
def test_layers_equal_the_sum_over_angles_and_taps(case, padding, border):
    settings = replace(RELEASED, rotation="authors", **case)
    given = AngleGrid(FixedAngles(2)().angles + 0.3)
    angles = RandomAngles(3)
    how = {"kernel_size": 3, "padding": padding, "border": border}
    x = torch.randn(2, 2, 2, 4, 5, dtype=torch.float64)
    for taps, way in itertools.product(("disk", "all"), WAYS):
        layer = build(lambda taps=taps: ContinuousGroupConv(2, 2, angles, settings, taps=taps, **how))
        layer.way = way
        seed_angles(layer, 0)
        with torch.no_grad():
            y, made = layer(x, given)
            expected = brute(layer, x, given, made, y.shape[3:])
        torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-12)
    lift = build(lambda: ContinuousLifting(2, 2, angles, settings, **how))
    seed_angles(lift, 0)
    with torch.no_grad():
        y, made = lift(x[:, :, 0])
        expected = brute(lift, x[:, :, :1], FixedAngles(1)(), made, y.shape[3:])
    torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-12)


def test_soft_t2_at_zero_equals_one_convolution_to_rounding():
    strict = build_plain(lambda: ContinuousGroupConv(4, 5, None, RELEASED, taps="all")).float()
    soft_settings = replace(RELEASED, omega_position=0.0)
    soft = build_plain(lambda: ContinuousGroupConv(4, 5, None, soft_settings, taps="all")).float()
    x, grid = torch.randn(3, 4, 1, 9, 9), FixedAngles(1)()
    y = strict(x, grid)[0]
    assert (soft(x, grid)[0] - y).abs().max() < 1e-5 * y.abs().max()


def test_constant_kernels_pool():
    """Remark 2 and 3: with all frequencies 0, the sum over the disk and all angles times one matrix."""
    layer = build(lambda: ContinuousGroupConv(3, 2, FixedAngles(4), replace(INTEGER, omega=0.0)))
    with torch.no_grad():
        layer.network.first_relative.zero_()
        x = torch.randn(2, 3, 4, 9, 9, dtype=torch.float64)
        y = layer(x, FixedAngles(4)())[0]
        matrix = layer.kernel(FixedAngles(4)(), FixedAngles(4)())[0, :, :, 0, 0]
        disk = torch.zeros(7, 7, dtype=torch.float64)
        offsets = tap_offsets(7)
        disk[offsets[:, 0] + 3, offsets[:, 1] + 3] = 1
        total = nn.functional.pad(x.sum(2), (3, 3, 3, 3), mode="replicate")
        pooled = nn.functional.conv2d(total, disk.expand(3, 1, 7, 7), groups=3)
    due = torch.einsum("oi,bihw->bohw", matrix, pooled)[:, :, None].expand_as(y)
    torch.testing.assert_close(y, due, rtol=1e-12, atol=1e-12)


def test_an_impulse_is_a_pointwise_product():
    """Remark 1: a kernel of the center tap alone that depends on the position."""
    settings = replace(RELEASED, omega_position=5.0)
    layer = build(lambda: ContinuousGroupConv(2, 3, None, settings, taps="center"))
    x, grid = torch.randn(2, 2, 1, 5, 5, dtype=torch.float64), FixedAngles(1)()
    matrices = layer.kernel(grid, grid, (5, 5))[:, 0, :, :, 0, 0].view(5, 5, 3, 2)
    due = torch.einsum("hwoi,bihw->bohw", matrices, x[:, :, 0])
    torch.testing.assert_close(layer(x, grid)[0][:, :, 0], due)
    assert (matrices[0, 0] - matrices[0, 1]).abs().max() > 1e-3


@pytest.mark.parametrize("omega", [None, 2.0])
def test_kernels_that_commute_with_half_turns_may_take_their_own_way(omega):
    layer = build(lambda: ContinuousGroupConv(2, 3, RandomAngles(4), replace(INTEGER, omega_angle=omega)))
    x, given = torch.randn(2, 2, 4, 8, 8, dtype=torch.float64), FixedAngles(4)()
    found = []
    for layer.way in ("direct", "half_turn"):
        seed_angles(layer, 0)
        y, made = layer(x, given)
        assert layer.keeps_half_turns(given, made)
        found.append((y, *torch.autograd.grad(y.square().sum(), layer.network.last_weight)))
    for a, b in zip(*found):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def test_who_keeps_half_turns():
    full, part, odd = FixedAngles(4)(), AngleGrid(FixedAngles(4)().angles, full=False), FixedAngles(3)()
    strict = ContinuousGroupConv(1, 1, None, INTEGER)
    assert strict.keeps_half_turns(full, full)
    assert not strict.keeps_half_turns(full, part)
    assert not strict.keeps_half_turns(odd, odd)
    for how in (
        {"omega_angle": 1.0},
        {"omega_angle": 2.0, "learned": True},
        {"omega_angle": 2.0, "rotation": "free"},
    ):
        assert not ContinuousGroupConv(1, 1, None, replace(INTEGER, **how)).keeps_half_turns(full, full)
    assert not ContinuousLifting(1, 1, FixedAngles(4)).keeps_half_turns(full, full)


# ---------------------------------------------------------------- taps


def test_the_disk_has_29_taps_and_the_kernel_is_0_outside():
    assert [len(tap_offsets(7, taps)) for taps in ("disk", "all", "center")] == [29, 49, 1]
    layer = build(lambda: ContinuousLifting(1, 1, RandomAngles(8), RELEASED))
    seed_angles(layer, 0)
    x = torch.zeros(1, 1, 7, 7, dtype=torch.float64)
    x[0, 0, 3, 3] = 1
    response = layer(x)[0][0, 0]
    assert ((response != 0).sum((1, 2)) == 29).all()


def test_the_center_tap_alone_is_equal_in_all_angles():
    layer = build(lambda: ContinuousLifting(2, 3, FixedAngles(8), RELEASED, taps="center"))
    x = torch.randn(1, 2, 6, 6, dtype=torch.float64)
    y = layer(x)[0]
    torch.testing.assert_close(y, y[:, :, :1].expand_as(y))
    y.sum().backward()
    fresh = ContinuousLifting(2, 3, FixedAngles(8), taps="center")
    assert not fresh(torch.randn(1, 2, 6, 6))[0].any()  # an odd function of the coordinates at the start


def test_a_disk_found_on_scaled_coordinates_is_another_one():
    """The slip of the authors' strict networks: 10 times the coordinates leaves the center tap alone."""
    scaled = 10 * tap_offsets(7, "all") / 3
    assert int((scaled.square().sum(1) <= 1).sum()) == 1


# ---------------------------------------------------------------- gradients, penalties, bad input


def test_gradients_agree_with_finite_differences():
    settings = replace(RELEASED, hidden=4, omega_angle=1.5, omega_position=0.5, learned=True, tied=False)
    layer = build(
        lambda: ContinuousGroupConv(1, 2, PartialAngles(3, reparametrized=True), settings, kernel_size=3)
    )
    seed_angles(layer, 0)
    layer.angles.hold(True)
    with torch.no_grad():
        layer.angles.interval.fill_(0.9)
    x = torch.randn(1, 1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    names = [name for name, p in layer.named_parameters() if p.requires_grad]
    assert {"network.omega_angle", "network.omega_position", "angles.interval"} <= set(names)

    def call(x, *values):
        given = dict(zip(names, values))
        return torch.func.functional_call(layer, given, (x, FixedAngles(2)()))[0]

    values = [p.detach().clone().requires_grad_() for p in layer.parameters() if p.requires_grad]
    assert torch.autograd.gradcheck(call, (x, *values))


def test_penalty_is_the_sum_of_the_squares_with_its_gradient():
    settings = replace(RELEASED, omega_angle=3.0, omega_position=2.0, learned=True)
    layer = ContinuousGroupConv(1, 1, None, settings)
    assert float(layer.penalty().detach()) == 13
    (0.5 * layer.penalty()).backward()
    assert float(layer.network.omega_angle.grad) == 3
    assert float(layer.network.omega_position.grad) == 2
    assert not any(layer.network.get_parameter(f"first_{key}").requires_grad for key in ("angle", "position"))
    assert float(ContinuousGroupConv(1, 1, None, RELEASED).penalty()) == 0


def test_the_norm_of_the_kernel_is_that_of_its_values():
    grid = FixedAngles(2)()
    for case, per in (({}, 1), ({"omega_position": 1.0}, 5)):
        layer = build(lambda case=case: ContinuousGroupConv(2, 3, None, replace(RELEASED, **case)))
        layer.keep_norm = True
        layer(torch.zeros(1, 2, 2, 5, 5, dtype=torch.float64), grid)
        values = layer.kernel(grid, grid, (5, 5))
        torch.testing.assert_close(layer.kernel_norm, values.square().sum().sqrt() / per)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ContinuousLifting(1, 1, FixedAngles(4), kernel_size=4), "odd"),
        (lambda: ContinuousLifting(0, 1, FixedAngles(4)), "channels"),
        (lambda: ContinuousGroupConv(1, 1, border="mirror"), "border"),
        (lambda: ContinuousGroupConv(1, 1, taps="ring"), "taps"),
        (lambda: ContinuousGroupConv(1, 1, padding="full"), "padding"),
        (lambda: KernelSettings(omega_angle=-1.0), "omega_angle"),
        (lambda: KernelSettings(omega_position=-0.1), "omega_position"),
        (lambda: KernelSettings(omega=math.nan), "omega"),
        (lambda: KernelSettings(form="siren"), "form"),
        (lambda: KernelSettings(rotation="integer", omega_angle=0.5), "integer"),
        (lambda: KernelSettings(form="rff", hidden=7), "even"),
        (lambda: FixedAngles(0), "positive"),
        (lambda: RandomAngles(4)(), "seed_angles"),
        (lambda: check_rotations(4, 6), "C6"),
        (lambda: check_rotations(4, 8, 2), "C2"),
        (lambda: check_rotations(3, 6), "1, 2 or 4"),
        (
            lambda: ContinuousGroupConv(1, 1, padding="valid")(torch.zeros(1, 1, 1, 6, 9), FixedAngles(1)()),
            "smaller than the kernel",
        ),
        (lambda: ContinuousGroupConv(1, 1)(torch.zeros(1, 1, 2, 9, 9), FixedAngles(1)()), "expects"),
        (lambda: ContinuousLifting(1, 1, FixedAngles(1))(torch.zeros(1, 2, 9, 9)), "expects"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_what_fits_is_not_refused():
    assert check_rotations(4, 8) is None
    assert check_rotations(2, 4, 6) is None
