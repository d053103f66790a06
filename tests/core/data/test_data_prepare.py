"""Rotation, scrambling, circle crop and resizing, against slow references and for reproducible bits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from shared.data import prepare

FAST = settings(max_examples=40, deadline=None, database=None)


def pictures(n: int, channels: int = 1, height: int = 9, width: int = 9, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, height, width), generator=random, dtype=torch.uint8)


def reference(image: np.ndarray, degrees: float, fill: float) -> np.ndarray:
    """Rotate one channel, pixel by pixel, straight from the definition; positive is counter-clockwise."""
    height, width = image.shape
    padded = np.full((height + 2, width + 2), fill)
    padded[1:-1, 1:-1] = image
    result = np.full((height, width), fill)
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    for i in range(height):
        for j in range(width):
            right, up = j - (width - 1) / 2, (height - 1) / 2 - i
            # The pixel comes from where the inverse rotation takes it.
            x, y = c * right + s * up + (width - 1) / 2, (height - 1) / 2 - (c * up - s * right)
            if not (-1 < x < width and -1 < y < height):
                continue
            a, b = math.floor(y) + 1, math.floor(x) + 1
            v, u = y - math.floor(y), x - math.floor(x)
            rows = padded[a : a + 2, b : b + 2]
            result[i, j] = (1 - v) * ((1 - u) * rows[0, 0] + u * rows[0, 1]) + v * (
                (1 - u) * rows[1, 0] + u * rows[1, 1]
            )
    return result


@pytest.mark.parametrize(("height", "width"), [(9, 9), (8, 8), (6, 9)])
@pytest.mark.parametrize("fill", [0.0, 0.25])
def test_rotation_is_the_textbook_one(height: int, width: int, fill: float) -> None:
    images = pictures(12, 2, height, width).double() / 255
    angles = torch.tensor([0.0, 10, 45, 89.9, 90, 133, 180, 222.2, 270, 300, -17, 1234])
    got = prepare.rotate(images, angles, fill=fill)
    for image, angle, result in zip(images, angles.tolist(), got):
        for channel, ours in zip(image, result):
            assert np.allclose(ours, reference(channel.numpy(), angle, fill), atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize("side", [8, 9])
def test_quarter_turns_are_exact(dtype: torch.dtype, side: int) -> None:
    images = pictures(5, 3, side, side).to(dtype)
    for turns in range(-5, 6):
        want = torch.rot90(images, turns, (-2, -1))
        assert torch.equal(prepare.rotate(images, 90.0 * turns, fill=7), want)
    mixed = prepare.rotate(images, torch.tensor([0.0, 90, 180, 270, 360]))
    for k in range(5):
        assert torch.equal(mixed[k], torch.rot90(images[k], k, (-2, -1)))


def test_oblong_images_keep_their_size() -> None:
    images = pictures(2, 1, 6, 9)
    assert torch.equal(prepare.rotate(images, 180.0), images.flip(-2, -1))
    assert prepare.rotate(images, 90.0).shape == images.shape


@FAST
@given(
    n=st.integers(1, 40),
    chunk=st.integers(1, 50),
    first=st.integers(0, 39),
    kind=st.sampled_from([torch.uint8, torch.float32]),
    side=st.integers(1, 12),
)
def test_not_one_bit_depends_on_the_chunks_or_on_the_company(
    n: int, chunk: int, first: int, kind: torch.dtype, side: int
) -> None:
    images = pictures(n, 2, side, side, seed=n).to(kind)
    angles = prepare.random_angles(n, seed=n)
    angles[::5] = 90.0
    whole = prepare.rotate(images, angles)
    assert torch.equal(whole, prepare.rotate(images, angles, chunk=chunk))
    one = first % n
    assert torch.equal(whole[one:], prepare.rotate(images[one:], angles[one:]))
    assert torch.equal(whole[one : one + 1], prepare.rotate(images[one : one + 1], float(angles[one])))
    sizes = prepare.resize(images, side + 1)
    assert torch.equal(sizes, prepare.resize(images, side + 1, chunk=chunk))
    assert torch.equal(sizes[one:], prepare.resize(images[one:], side + 1))


def test_one_angle_for_all_gives_the_bits_of_one_each() -> None:
    images = pictures(300, 1, 28, 28)
    assert torch.equal(
        prepare.rotate(images, 33.3), prepare.rotate(images, torch.full((300,), 33.3).double())
    )


def test_the_number_of_threads_changes_nothing() -> None:
    images, angles = pictures(300, 1, 28, 28), prepare.random_angles(300, 1)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = prepare.rotate(images, angles)
        torch.set_num_threads(2)
        assert torch.equal(one, prepare.rotate(images, angles))
    finally:
        torch.set_num_threads(before)


def test_bytes_are_rounded_to_nearest() -> None:
    images, angles = pictures(50, 1, 28, 28), prepare.random_angles(50, 0)
    exact = prepare.rotate(images.double(), angles)
    assert (prepare.rotate(images, angles) - exact).abs().max() <= 0.5 + 1e-3
    white = torch.full((3, 1, 9, 9), 255, dtype=torch.uint8)
    assert prepare.rotate(white, 30.0)[:, :, 4, 4].eq(255).all()
    assert prepare.rotate(white, 30.0, fill=255).eq(255).all()


def test_images_are_left_alone() -> None:
    images = pictures(4)
    copy = images.clone()
    for result in (prepare.rotate(images, 0.0), prepare.rotate(images, 20.0), prepare.resize(images, 9)):
        result.zero_()
        assert torch.equal(images, copy)


def test_no_images() -> None:
    none = pictures(0)
    assert prepare.rotate(none, 30.0).shape == none.shape
    assert prepare.resize(none, 5).shape == (0, 1, 5, 5)


@pytest.mark.parametrize(
    ("degrees", "fill", "says"),
    [
        (torch.zeros(3), 0.0, "3 angles for 4 images"),
        (math.nan, 0.0, "finite"),
        (math.inf, 0.0, "finite"),
        (10.0, -1.0, "fill must be"),
        (10.0, 256.0, "fill must be"),
    ],
)
def test_rotation_refuses(degrees: torch.Tensor | float, fill: float, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        prepare.rotate(pictures(4), degrees, fill=fill)


def test_rotation_wants_batches() -> None:
    with pytest.raises(ValueError, match=r"\(n, c, h, w\)"):
        prepare.rotate(pictures(1)[0], 10.0)


UNIFORM = [145.13922365486079, 16.288958288808576, 28.48408942778521]
NORMAL = [70.16512090344341, -0.4858276281425873, 17.75922361433619]
PERMUTATION = [8, 1, 4, 3, 7, 6, 5, 0, 2]


def test_angles_are_frozen() -> None:
    """Recorded results hang on these numbers: they may never change."""
    uniform = prepare.random_angles(3, seed=0).tolist()
    normal = prepare.random_angles(3, seed=0, kind="normal", mean=45, std=20).tolist()
    assert uniform == pytest.approx(UNIFORM, abs=1e-9)
    assert normal == pytest.approx(NORMAL, abs=1e-9)
    assert prepare.pixel_permutation(3, seed=0).tolist() == PERMUTATION


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_angles_by_seed(kind: str) -> None:
    angles = prepare.random_angles(1000, 5, kind, low=-90, high=90, mean=45, std=20)
    assert angles.dtype == torch.float64
    assert torch.equal(angles[:17], prepare.random_angles(17, 5, kind, low=-90, high=90, mean=45, std=20))
    for other in (
        prepare.random_angles(1000, 6, kind, low=-90, high=90, mean=45, std=20),
        prepare.random_angles(1000, 5, kind, low=-90, high=90, mean=45, std=20, place="test"),
    ):
        assert not torch.isclose(angles, other).any()
    if kind == "uniform":
        assert -90 <= angles.min() < -88
        assert 88 < angles.max() < 90
    else:
        assert abs(angles.mean() - 45) < 2
        assert abs(angles.std() - 20) < 2


def test_unknown_kind_of_angles() -> None:
    with pytest.raises(ValueError, match="'uniform' or 'normal'"):
        prepare.random_angles(3, 0, "gauss")


def test_scrambling_is_one_permutation_for_all() -> None:
    images = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    permutation = prepare.pixel_permutation((4, 5), seed=1)
    result = prepare.scramble(images, permutation)
    for image, got in zip(images.reshape(6, 20), result.reshape(6, 20)):
        assert torch.equal(got, image[permutation])
    back = prepare.scramble(result, permutation.argsort())
    assert torch.equal(back, images)
    assert not torch.equal(permutation, prepare.pixel_permutation((4, 5), seed=2))


@pytest.mark.parametrize("wrong", [torch.arange(8), torch.zeros(9).long(), torch.arange(9) + 1])
def test_scrambling_refuses_what_is_no_permutation(wrong: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="permutation of the 9 pixels"):
        prepare.scramble(pictures(1, 1, 3, 3), wrong)


@pytest.mark.parametrize(
    ("side", "kept"),
    [
        (27, 529),
        (28, 560),
        (29, 613),
        (32, 740),
        (33, 797),
        (96, 7080),
        (97, 7213),
        (224, 39028),
        (225, 39381),
    ],
)
def test_circle_mask(side: int, kept: int) -> None:
    mask = prepare.circle_mask(side)
    assert int(mask.sum()) == kept
    assert torch.equal(mask, torch.rot90(mask))
    assert torch.equal(mask, mask.flip(0))


def test_circle_crop() -> None:
    images = pictures(2, 3, 9, 9).float() + 1
    cropped = prepare.circle_crop(images)
    mask = prepare.circle_mask(9)
    assert torch.equal(cropped[..., mask], images[..., mask])
    assert cropped[..., ~mask].eq(0).all()
    assert prepare.circle_crop(images, fill=2.0)[..., ~mask].eq(2).all()
    with pytest.raises(ValueError, match="square"):
        prepare.circle_crop(pictures(1, 1, 3, 4))


@pytest.mark.parametrize("side", [5, 8, 13])
def test_resizing_commutes_with_quarter_turns(side: int) -> None:
    images = pictures(3, 1, 9, 9).double()
    resized = prepare.resize(images, side)
    assert torch.allclose(resized, F.interpolate(images, (side, side), mode="bilinear", align_corners=False))
    for k in range(4):
        turned = prepare.resize(torch.rot90(images, k, (-2, -1)), side)
        assert torch.allclose(turned, torch.rot90(resized, k, (-2, -1)), atol=1e-10)
    rounded = prepare.resize(images.to(torch.uint8), side)
    assert rounded.dtype == torch.uint8
    assert (rounded - resized).abs().max() <= 0.5 + 1e-3


def test_resizing_to_an_oblong() -> None:
    assert prepare.resize(pictures(2), (4, 7)).shape == (2, 1, 4, 7)


def test_the_gpu_agrees(gpu: str) -> None:
    images, angles = pictures(64, 3, 28, 28).float() / 255, prepare.random_angles(64, 0)
    angles[:4] = torch.tensor([0.0, 90, 180, 270])
    on_gpu = images.to(gpu)
    assert torch.allclose(prepare.rotate(on_gpu, angles).cpu(), prepare.rotate(images, angles), atol=1e-5)
    assert torch.equal(prepare.circle_crop(on_gpu).cpu(), prepare.circle_crop(images))
    permutation = prepare.pixel_permutation(28, 0)
    assert torch.equal(prepare.scramble(on_gpu, permutation).cpu(), prepare.scramble(images, permutation))
    assert torch.allclose(prepare.resize(on_gpu, 29).cpu(), prepare.resize(images, 29), atol=1e-5)
