"""Augmentation of batches, against plain references image by image."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import shared.data
from shared.data import augment

FAST = settings(max_examples=25, deadline=None, database=None)
TYPES = (torch.uint8, torch.float32, torch.float64, torch.float16, torch.bfloat16)


def pictures(*shape: int, kind: torch.dtype = torch.uint8, seed: int = 0) -> torch.Tensor:
    """Images without a zero, so that padding can be told from them."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, 256, shape, generator=generator).to(kind)


def dice(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def moved(image: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """An image moved by whole pixels, pixel by pixel."""
    result = torch.zeros_like(image)
    height, width = image.shape[-2:]
    for i in range(height):
        for j in range(width):
            if 0 <= i - down < height and 0 <= j - right < width:
                result[:, i, j] = image[:, i - down, j - right]
    return result


@pytest.mark.parametrize("kind", TYPES)
def test_a_crop_moves_each_image_and_fills_with_zeros(kind: torch.dtype) -> None:
    images = pictures(40, 2, 5, 7, kind=kind)
    got = augment.random_crop(images, 2, dice())
    assert (got.dtype, got.shape) == (images.dtype, images.shape)
    seen = set()
    for image, result in zip(images, got):
        places = [
            (d, r) for d in range(-2, 3) for r in range(-2, 3) if torch.equal(moved(image, d, r), result)
        ]
        assert len(places) == 1
        seen.add(places[0])
    assert {d for d, _ in seen} == {r for _, r in seen} == {-2, -1, 0, 1, 2}
    assert len(seen) > 12  # the two axes are independent


def test_no_padding_changes_nothing() -> None:
    images = pictures(3, 1, 4, 4)
    assert torch.equal(augment.random_crop(images, 0, dice()), images)


@pytest.mark.parametrize("kind", TYPES)
def test_flips_are_mirror_images_of_half_the_images(kind: torch.dtype) -> None:
    images = pictures(200, 1, 3, 4, kind=kind)
    got = augment.random_flip(images, dice())
    mirrored = [torch.equal(result, image.flip(-1)) for image, result in zip(images, got)]
    same = [torch.equal(result, image) for image, result in zip(images, got)]
    assert all(m != s for m, s in zip(mirrored, same))
    assert 70 < sum(mirrored) < 130
    assert torch.equal(augment.random_flip(images, dice(), 1.0), images.flip(-1))
    assert torch.equal(augment.random_flip(images, dice(), 0.0), images)


FUNCTIONS = {
    "crop": lambda images, generators: augment.random_crop(images, 3, generators),
    "flip": augment.random_flip,
    "resized": lambda images, generators: augment.random_resized_crop(
        images, 6, (0.2, 1.0), (0.5, 2.0), generators
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_replicas_do_not_know_of_each_other(name: str) -> None:
    function = FUNCTIONS[name]
    images = pictures(3, 70, 2, 8, 8)
    together = function(images, [dice(1), dice(2), dice(3)])
    alone = [function(part, dice(seed)) for part, seed in zip(images, (1, 2, 3))]
    assert torch.equal(together, torch.stack(alone))
    assert torch.equal(function(images[0], dice(1)), alone[0])
    assert not torch.equal(function(images[0], dice(4)), alone[0])
    stream = dice(1)
    assert not torch.equal(function(images[0], stream), function(images[0], stream))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_layout_in_memory_does_not_matter(name: str) -> None:
    images = pictures(20, 3, 8, 8)
    other = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(FUNCTIONS[name](images, dice()), FUNCTIONS[name](other, dice()))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 5, 3, 8, 8)])
def test_shapes_that_do_not_fit_the_generators(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="do not go with one generator"):
        FUNCTIONS[name](pictures(*shape), dice())
    with pytest.raises(ValueError, match="do not go with 3 generators"):
        FUNCTIONS[name](pictures(*shape), [dice(), dice(), dice()])


def drawn_boxes(
    images: torch.Tensor, scale: tuple[float, float], ratio: tuple[float, float], generator: torch.Generator
) -> list[list[int]]:
    """The boxes of `random_resized_crop`, from the same numbers, image by image."""
    count, height, width = len(images), *images.shape[-2:]
    shapes = torch.rand(count, 10, 2, generator=generator).double()
    places = torch.rand(count, 2, generator=generator).double()
    boxes = []
    for tries, (down, right) in zip(shapes, places):
        for first, second in tries.tolist():
            area = height * width * (scale[0] + (scale[1] - scale[0]) * first)
            aspect = math.exp(math.log(ratio[0]) + second * math.log(ratio[1] / ratio[0]))
            h, w = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
            if 1 <= h <= height and 1 <= w <= width:
                boxes.append([int(down * (height - h + 1)), int(right * (width - w + 1)), h, w])
                break
        else:
            nearest = min(max(width / height, ratio[0]), ratio[1])
            h, w = round(min(height, width / nearest)), round(min(width, height * nearest))
            boxes.append([(height - h) // 2, (width - w) // 2, h, w])
    return boxes


@FAST
@given(
    st.sampled_from([torch.uint8, torch.float32, torch.float64]),
    st.integers(3, 20),
    st.integers(3, 20),
    st.integers(1, 24),
    st.sampled_from([(0.08, 1.0), (0.5, 0.5), (1.0, 1.0)]),
    st.sampled_from([(0.75, 4 / 3), (0.8, 1.25), (1.0, 1.0), (3.0, 4.0)]),
    st.integers(0, 99),
)
def test_resized_crops_are_the_textbook_ones(
    kind: torch.dtype,
    height: int,
    width: int,
    size: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    seed: int,
) -> None:
    images = pictures(9, 2, height, width, kind=kind, seed=seed)
    got = augment.random_resized_crop(images, size, scale, ratio, dice(seed))
    assert (got.dtype, got.shape) == (kind, (9, 2, size, size))
    wanted = []
    for image, (top, left, h, w) in zip(images.double(), drawn_boxes(images, scale, ratio, dice(seed))):
        box = image[None, :, top : top + h, left : left + w]
        wanted.append(F.interpolate(box, (size, size), mode="bilinear", align_corners=False)[0])
    error = (got.double() - torch.stack(wanted)).abs().max()
    assert error < {torch.uint8: 0.51, torch.float32: 0.02, torch.float64: 1e-3}[kind]


def test_a_crop_of_everything_at_the_same_size_is_the_image() -> None:
    images = pictures(70, 3, 9, 9)
    assert torch.equal(augment.random_resized_crop(images, 9, (1, 1), (1, 1), dice()), images)


def test_boxes_reach_every_edge() -> None:
    images = torch.zeros(400, 1, 8, 8)
    images[:, :, 0], images[:, :, -1], images[:, :, :, 0], images[:, :, :, -1] = 1, 2, 4, 8
    got = augment.random_resized_crop(images, 4, (0.2, 0.3), (1, 1), dice())
    assert {1.0, 2.0, 4.0, 8.0, 0.0} <= set(got.unique().tolist())


def test_mistakes() -> None:
    images = pictures(2, 3, 8, 8)
    with pytest.raises(ValueError, match="padding must not be negative"):
        augment.random_crop(images, -1, dice())
    for scale, ratio in (((0, 1), (1, 1)), ((0.5, 0.4), (1, 1)), ((0.5, 2), (1, 1)), ((0.5, 1), (2, 1))):
        with pytest.raises(ValueError, match="must be a range"):
            augment.random_resized_crop(images, 4, scale, ratio, dice())


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize("name", augment.STANDARDS)
def test_standardized_images(name: str, kind: torch.dtype) -> None:
    standard = augment.STANDARDS[name]
    images = pictures(2, 5, 3, 4, 4)
    given_images = images if kind == torch.uint8 else images.to(kind) / 255
    got = augment.standardize(given_images, standard)
    assert got.dtype == (torch.float32 if kind == torch.uint8 else kind)
    for channel, (mean, std) in enumerate(zip(standard.mean, standard.std)):
        wanted = (images[:, :, channel].double() / 255 - mean) / std
        assert torch.allclose(got[:, :, channel].double(), wanted, atol=1e-5)


def test_pcams_constants_are_those_of_the_paper() -> None:
    white_and_black = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, 3, 1, 1)
    got = augment.standardize(white_and_black, augment.STANDARDS["pcam"])[:, :, 0, 0]
    mean, std = torch.tensor([0.3949, 0.0696, 0.3760]), torch.tensor([0.4721, 0.5571, 0.4291])
    assert torch.allclose(got, (torch.tensor([[-1.0], [1.0]]) - mean) / std, atol=1e-5)


def test_the_shapes_constants_are_theirs() -> None:
    pixels = shared.data.load("shapes", "train")[0].double() / 255
    standard = augment.STANDARDS["shapes"]
    assert torch.allclose(pixels.mean((0, 2, 3)), torch.tensor(standard.mean).double(), atol=1e-4)
    assert torch.allclose(pixels.std((0, 2, 3)), torch.tensor(standard.std).double(), atol=1e-4)


def test_every_color_set_has_constants() -> None:
    known = shared.data.catalogue.load()
    colored = {name for name, entry in known.items() if entry.shape[0] == 3}
    assert set(augment.STANDARDS) == colored


@pytest.mark.parametrize("name", FUNCTIONS)
def test_on_a_gpu(name: str, gpu: str) -> None:
    images = pictures(2, 30, 3, 8, 8)
    wanted = FUNCTIONS[name](images, [dice(1), dice(2)])
    got = FUNCTIONS[name](images.to(gpu), [dice(1), dice(2)])  # numbers drawn on the CPU
    assert got.is_cuda
    assert (got.cpu().int() - wanted.int()).abs().max() <= 1
    there = [torch.Generator(gpu).manual_seed(seed) for seed in (1, 2)]
    assert FUNCTIONS[name](images.to(gpu), there).shape == wanted.shape
