"""Generators on images against the moved images themselves; brackets against known algebras; bad input."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from shared.algebra import lie
from shared.algebra.actions import rotate_image
from shared.data.prepare import pixel_permutation, scramble

SIDE = 17


def blob(x: float, y: float, width: tuple[float, float] = (2.0, 2.0)) -> Tensor:
    """A smooth spot at (x, y), to the right and up from the center."""
    axis = torch.arange(SIDE, dtype=torch.float64) - (SIDE - 1) / 2
    return torch.exp(-(((axis - x) / width[0]) ** 2 + ((-axis[:, None] - y) / width[1]) ** 2) / 2)


def moments(width: float) -> Tensor:
    """Second moments of spots all around the center."""
    spots = [blob(x / 2, y / 2, (width, width)) for x in range(-4, 5) for y in range(-4, 5)]
    images = torch.stack(spots).flatten(1)
    return images.T @ images / len(images)


def gap(found: Tensor, truth: Tensor) -> float:
    return float((found - truth).norm() / truth.norm())


E = math.exp(0.2)
#: Name, how far, a blob, and the blob it becomes.
MOVES = [
    ("rotation", 0.7, (2.0, 1.0), (2 * math.cos(0.7) - math.sin(0.7), 2 * math.sin(0.7) + math.cos(0.7))),
    ("translation_x", 1.5, (2.0, 1.0), (3.5, 1.0)),
    ("translation_y", 1.5, (2.0, 1.0), (2.0, 2.5)),
    ("scaling", 0.2, (2.0, 1.0), (2 * E, E, (2 * E, 2 * E))),
    ("squeeze", 0.2, (2.0, 1.0), (2 * E, 1 / E, (2 * E, 2 / E))),
]


@pytest.mark.parametrize(("interpolation", "tolerance"), [("shannon", 0.01), ("central", 0.06)])
@pytest.mark.parametrize(("name", "t", "before", "after"), MOVES, ids=[m[0] for m in MOVES])
def test_exponential_moves_images(name, t, before, after, interpolation, tolerance):
    generator = lie.generator(name, SIDE, interpolation=interpolation)
    start, truth = blob(*before), blob(*after)
    assert gap(lie.act(generator, start, t), truth) < tolerance
    assert gap(lie.act(generator, start, -t), truth) > 0.2  # the direction matters
    assert gap(start, truth) > 0.2


@pytest.mark.parametrize(
    ("name", "map_back"),
    [("shear_x", lambda x, y: (x - 0.3 * y, y)), ("shear_y", lambda x, y: (x, y - 0.3 * x))],
)
def test_shears(name, map_back):
    axis = torch.arange(SIDE, dtype=torch.float64) - (SIDE - 1) / 2

    def oblong(x: Tensor, y: Tensor) -> Tensor:
        return torch.exp(-(((x - 1) / 2) ** 2 + ((y - 1) / 1.8) ** 2) / 2)

    x, y = axis.expand(SIDE, SIDE), -axis[:, None].expand(SIDE, SIDE)
    assert gap(lie.act(lie.generator(name, SIDE), oblong(x, y), 0.3), oblong(*map_back(x, y))) < 0.003


def test_rotation_has_the_sense_of_the_actions():
    image = blob(3, 1)
    moved = lie.act(lie.generator("rotation", SIDE), image, math.pi / 2)
    assert gap(moved, rotate_image(image, 90)) < 0.01


@pytest.mark.parametrize("side", [5, 7])
def test_translation_on_a_torus_is_a_shift(side):
    """Of an odd side, where there is no Nyquist mode, exactly."""
    image = torch.randn(2, 3, side, side, dtype=torch.float64)
    right = lie.act(lie.generator("translation_x", side, period=1), image)
    torch.testing.assert_close(right, image.roll(1, -1))
    up = lie.act(lie.generator("translation_y", side, period=1), image)
    torch.testing.assert_close(up, image.roll(-1, -2))


def test_derivative_is_that_of_waves():
    size = 9
    z = 2 * math.pi * torch.arange(size, dtype=torch.float64) / size
    slope = lie.derivative(size, period=1)
    for mode in range(5):
        truth = -mode * 2 * math.pi / size * torch.sin(mode * z)
        torch.testing.assert_close(slope @ torch.cos(mode * z), truth)
    central = lie.derivative(size, interpolation="central", period=1)
    wave = torch.cos(z)
    torch.testing.assert_close(central @ wave, (wave.roll(-1) - wave.roll(1)) / 2)
    padded = lie.derivative(3, interpolation="central")
    torch.testing.assert_close(padded, torch.tensor([[0, 0.5, 0], [-0.5, 0, 0.5], [0, -0.5, 0]]).double())


def test_kernel_interpolates():
    for period in (7, 8):
        at = lie.kernel(torch.arange(period), period)
        assert float(at[0]) == pytest.approx(1 if period % 2 else 1 - 1 / period)  # less the Nyquist mode
        z = torch.tensor([0.3], dtype=torch.float64)
        slope = (lie.kernel(z + 1e-5, period) - lie.kernel(z - 1e-5, period)) / 2e-5
        torch.testing.assert_close(lie.kernel_slope(z, period), slope, atol=1e-8, rtol=0)


def test_special_orthogonal_algebras():
    """so(3): [L_x, L_y] = L_z up to signs, Killing form (n - 2) tr(A B) = -2; so(n) closes."""
    constants, residual = lie.structure_constants(lie.so(3))
    assert residual < 1e-12
    assert sorted(constants.flatten().round(decimals=12).abs().tolist()) == [0.0] * 21 + [1.0] * 6
    torch.testing.assert_close(lie.killing_form(lie.so(3)), -2 * torch.eye(3).double())
    for n in (4, 5):
        basis = lie.so(n)
        assert len(basis) == n * (n - 1) // 2
        assert lie.structure_constants(basis)[1] < 1e-12
        torch.testing.assert_close(lie.killing_form(basis), -2.0 * (n - 2) * torch.eye(len(basis)).double())
    assert lie.structure_constants(lie.so(4)[:2])[1] == pytest.approx(1)  # two that make a third


@pytest.mark.parametrize("name", sorted(lie.GROUPS))
def test_groups_of_the_plane_close_on_smooth_images(name):
    basis = lie.group(name, SIDE)
    assert basis.shape == (len(lie.names_of(name)), SIDE**2, SIDE**2)
    assert lie.structure_constants(basis, moments(2.0))[1] < 0.05


def test_euclidean_algebra():
    """[R, T_x] = T_y, [R, T_y] = -T_x, [T_x, T_y] = 0."""
    constants, _ = lie.structure_constants(lie.group("se2", SIDE), moments(2.0))
    expected = torch.zeros(3, 3, 3, dtype=torch.float64)
    expected[0, 1, 2], expected[1, 0, 2] = 1, -1
    expected[0, 2, 1], expected[2, 0, 1] = -1, 1
    torch.testing.assert_close(constants, expected, atol=0.01, rtol=0)
    torch.testing.assert_close(
        lie.killing_form(lie.group("se2", SIDE), moments(2.0)),
        torch.diag(torch.tensor([-2.0, 0, 0])).double(),
        atol=0.02,
        rtol=0,
    )
    # on white noise nothing of it is left: the commutator of x and d/dx has no trace
    assert lie.structure_constants(lie.group("se2", 9))[1] > 0.9


def test_abelian_and_single_generators_close():
    assert lie.structure_constants(lie.shifts((3, 3), [(0, 1), (1, 0)], "circular"))[1] == 0
    assert lie.structure_constants(lie.group("so2", 4)) == (torch.zeros(1, 1, 1), 0.0)


@pytest.mark.parametrize("border", ["zero", "circular", "flat"])
def test_shifts_read_the_pixel_at_the_offset(border):
    height, width = 4, 5
    image = torch.arange(1.0, 21).double().view(height, width)
    offsets = [(0, 0), (1, 0), (0, 1), (-1, 2)]
    moved = lie.shifts((height, width), offsets, border) @ image.flatten()
    for (a, b), out in zip(offsets, moved.view(-1, height, width)):
        for r in range(height):
            for s in range(width):
                row, column, flat = r + a, s + b, (r + a) * width + s + b
                if border == "flat":
                    truth = float(image.flatten()[flat]) if 0 <= flat < 20 else 0.0
                elif border == "zero":
                    truth = float(image[row, column]) if 0 <= row < height and 0 <= column < width else 0.0
                else:
                    truth = float(image[row % height, column % width])
                assert out[r, s] == truth


def test_conjugate_acts_on_scrambled_images():
    permutation = pixel_permutation(6, seed=3)
    generator = lie.generator("rotation", 6)
    image = torch.randn(1, 1, 6, 6, dtype=torch.float64)
    moved = lie.act(lie.conjugate(generator, permutation), scramble(image, permutation), 0.4)
    torch.testing.assert_close(moved, scramble(lie.act(generator, image, 0.4), permutation))
    assert not torch.allclose(moved, lie.act(generator, scramble(image, permutation), 0.4))


def test_exponential_is_a_group():
    generator = lie.generator("rotation", 5)
    product = lie.exponential(generator, 0.3) @ lie.exponential(generator, 0.5)
    torch.testing.assert_close(product, lie.exponential(generator, 0.8))


def test_images_keep_their_type():
    generator = lie.generator("rotation", 4)
    assert lie.act(generator, torch.rand(2, 4, 4)).dtype == torch.float32
    assert lie.act(generator, torch.ones(4, 4, dtype=torch.uint8)).dtype == torch.float64


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lie.generator("rotate", 4), "unknown generator 'rotate'; did you mean 'rotation'"),
        (lambda: lie.generator("rotation", 4, interpolation="cubic"), "unknown interpolation 'cubic'"),
        (lambda: lie.generator("rotation", 4, period=3), "period must be 1"),
        (lambda: lie.generator("rotation", 1), "at least two pixels"),
        (lambda: lie.group("so3", 4), "unknown Lie group 'so3'; did you mean 'so2'"),
        (lambda: lie.so(1), "at least 2"),
        (lambda: lie.shifts((3, 3), [(0, 1)], "reflect"), "unknown border"),
        (lambda: lie.side_of(12), "12 pixels are no square image"),
        (lambda: lie.side_of(0), "0 pixels are no square image"),
        (lambda: lie.act(torch.eye(9), torch.zeros(3, 4)), "images must be square"),
        (lambda: lie.act(torch.eye(9), torch.zeros(4, 4)), "9 pixels does not act on images"),
        (lambda: lie.exponential(torch.zeros(3, 4)), "square matrices"),
        (lambda: lie.conjugate(torch.eye(3), torch.tensor([0, 1, 1])), "each of 0 to 2 once"),
        (lambda: lie.structure_constants(lie.so(3), torch.eye(4)), r"moments must have the shape \(3, 3\)"),
        (lambda: lie.structure_constants(lie.so(3), -torch.eye(3)), "without negative eigenvalues"),
        (lambda: lie.structure_constants(lie.so(3), torch.rand(3, 3) + torch.eye(3) * 3), "symmetric"),
    ],
)
def test_arguments_that_do_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()
