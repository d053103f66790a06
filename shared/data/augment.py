"""Random crops and mirror images of training batches, and the constants that standardize them; batched torch.

Each function takes (batch, channels, h, w) with one generator, or (replicas, batch, channels, h, w) with one
per replica: what happens to the images of a replica depends on its generator and on nothing else. Random
numbers are drawn on the generator's device, everything else happens on the images'.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from shared.data.prepare import working_type

#: One generator, or one per replica.
Generators = Generator | Sequence[Generator]
#: Boxes tried for each image before one in its center is taken.
_TRIES = 10
#: Images per step of the interpolation: bounds the memory and changes no bit.
_CHUNK = 64


@dataclass(frozen=True)
class Standard:
    """Mean and standard deviation of the three colors of a data set, of pixels in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


_CIFAR = Standard((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
_IMAGENET = Standard((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
#: Constants by name of the data set, from the code of Edixhoven et al., "Using and Abusing Equivariance"
#: (2023), which takes CIFAR-10's for CIFAR-100 and ImageNet's for the flowers. PCam's are given there for
#: pixels in [-1, 1], as (0.3949, 0.0696, 0.3760) and (0.4721, 0.5571, 0.4291). The drawn shapes are measured.
STANDARDS = {
    "cifar10": _CIFAR,
    "cifar100": _CIFAR,
    "flowers102": _IMAGENET,
    "imagenet": _IMAGENET,
    "pcam": Standard((0.69745, 0.5348, 0.688), (0.23605, 0.27855, 0.21455)),
    "shapes": Standard((0.4853, 0.5040, 0.5002), (0.2783, 0.2805, 0.2746)),
}


def standardize(images: Tensor, standard: Standard) -> Tensor:
    """Subtract the mean of each color and divide by its standard deviation.

    Args:
        images: uint8, or floats in [0, 1].

    Shape:
        (..., 3, h, w), floats (float32 for uint8)

    Raises:
        ValueError: if there are not three colors.
    """
    if images.dim() < 3 or images.shape[-3] != 3:
        raise ValueError(f"images must have the shape (..., 3, h, w), not {tuple(images.shape)}")
    kind = working_type(images)
    mean, std = (
        torch.tensor(values, dtype=kind, device=images.device)[:, None, None]
        for values in (standard.mean, standard.std)
    )
    white = 1.0 if images.is_floating_point() else 255.0
    return torch.addcmul(-mean / std, images.to(kind), 1 / (white * std))


def random_crop(images: Tensor, padding: int, generators: Generators) -> Tensor:
    """Move each image by up to ``padding`` pixels along both axes; zeros come in from outside.

    That is: pad with zeros, then cut out the old size at a random place (He et al., "Deep Residual Learning
    for Image Recognition", CVPR 2016, section 4.2, with 4 pixels).

    Args:
        images: of any type.

    Shape:
        ([replicas,] batch, channels, h, w), in and out

    Raises:
        ValueError: if padding is negative or the shapes do not fit the generators.
    """
    if padding < 0:
        raise ValueError(f"padding must not be negative, and is {padding}")

    def places(generator: Generator, count: int) -> Tensor:
        return torch.randint(0, 2 * padding + 1, (count, 2), generator=generator, device=generator.device)

    flat, place = _drawn(images, generators, places)
    height, width = flat.shape[-2:]
    windows = F.pad(flat, (padding,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    rows = torch.arange(len(flat), device=flat.device)
    return windows[rows, :, place[:, 0], place[:, 1]].reshape(images.shape)


def random_flip(images: Tensor, generators: Generators, probability: float = 0.5) -> Tensor:
    """Mirror images left to right, each with the same probability.

    Args:
        images: of any type.

    Shape:
        ([replicas,] batch, channels, h, w), in and out

    Raises:
        ValueError: if the shapes do not fit the generators.
    """

    def chances(generator: Generator, count: int) -> Tensor:
        return torch.rand(count, generator=generator, device=generator.device)

    flat, chance = _drawn(images, generators, chances)
    turned = (chance < probability)[:, None, None, None]
    return torch.where(turned, flat.flip(-1), flat).reshape(images.shape)


def random_resized_crop(
    images: Tensor,
    size: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    generators: Generators,
) -> Tensor:
    """Cut a random box out of each image and resize it, bilinearly, with half-pixel centers, not antialiased.

    The box has an area uniform between ``scale`` times that of the image and a ratio of width to height that
    is uniform in its logarithm, rounded to whole pixels (Szegedy et al., "Going Deeper with Convolutions",
    CVPR 2015). If none of ten boxes fits, the largest of an allowed ratio in the center is taken.

    Args:
        images: floats, or uint8, which are rounded to nearest.
        size: side of the result.
        scale: least and greatest area of the box, as a part of the image's; often (0.08, 1).
        ratio: least and greatest width of the box by its height; often (3 / 4, 4 / 3).

    Shape:
        in ([replicas,] batch, channels, h, w), out ([replicas,] batch, channels, size, size)

    Raises:
        ValueError: if scale or ratio is no range above 0, or the shapes do not fit the generators.
    """
    if not (0 < scale[0] <= scale[1] <= 1 and 0 < ratio[0] <= ratio[1]):
        raise ValueError(f"scale {scale} must be a range within (0, 1] and ratio {ratio} one above 0")
    height, width = images.shape[-2:]

    def boxes(generator: Generator, count: int) -> Tensor:
        draw = {"generator": generator, "device": generator.device}
        shape, place = torch.rand(count, _TRIES, 2, **draw), torch.rand(count, 2, **draw)
        return _boxes(shape, place, height, width, scale, ratio)

    flat, box = _drawn(images, generators, boxes)
    result = flat.new_empty((len(flat), flat.shape[1], size, size))
    for start in range(0, len(flat), _CHUNK):
        part = slice(start, start + _CHUNK)
        result[part] = _resampled(flat[part], box[part], size)
    return result.reshape(*images.shape[:-2], size, size)


def _drawn(
    images: Tensor, generators: Generators, draw: Callable[[Generator, int], Tensor]
) -> tuple[Tensor, Tensor]:
    """Images of all replicas one after the other, and what was drawn for each of them."""
    alone = isinstance(generators, Generator)
    if images.dim() != (4 if alone else 5) or not (alone or len(generators) == len(images)):
        many = "one generator" if alone else f"{len(generators)} generators"
        raise ValueError(f"images of shape {tuple(images.shape)} do not go with {many}")
    drawn = [draw(generator, images.shape[-4]) for generator in ([generators] if alone else generators)]
    return images.reshape(-1, *images.shape[-3:]), torch.cat(drawn).to(images.device)


def _boxes(
    shape: Tensor,
    place: Tensor,
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Tensor:
    """Top, left, height and width of a box per image, from numbers uniform over [0, 1).

    Shape:
        shape (n, tries, 2), place (n, 2), result (n, 4)
    """
    area = height * width * (scale[0] + (scale[1] - scale[0]) * shape[..., 0])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = torch.exp(low + (high - low) * shape[..., 1])
    sides = torch.stack([(area / aspect).sqrt(), (area * aspect).sqrt()], -1).round()  # (n, tries, 2)
    whole = sides.new_tensor([height, width])
    fits = ((sides >= 1) & (sides <= whole)).all(-1)
    nearest = min(max(width / height, ratio[0]), ratio[1])  # allowed ratio nearest to the image's
    largest = sides.new_tensor([round(min(height, width / nearest)), round(min(width, height * nearest))])
    first = sides[torch.arange(len(sides), device=sides.device), fits.int().argmax(1)]
    some = fits.any(1, keepdim=True)
    chosen = torch.where(some, first, largest)
    room = whole - chosen
    # the product may round up to room + 1
    corner = torch.where(some, torch.minimum((place * (room + 1)).floor(), room), (room / 2).floor())
    return torch.cat([corner, chosen], 1)


def _resampled(images: Tensor, box: Tensor, size: int) -> Tensor:
    """The boxes of the images, bilinearly resized to ``size`` x ``size``."""
    kind = working_type(images)
    steps = (torch.arange(size, dtype=kind, device=images.device) + 0.5) / size
    corner, sides = box[:, :2, None].to(kind), box[:, 2:, None].to(kind)  # (n, 2, 1): rows, columns
    # Within the box only: what lies beside it does not show at its edge.
    at = torch.minimum((corner + sides * steps - 0.5).clamp_min(corner), corner + sides - 1)  # (n, 2, size)
    whole = at.new_tensor(images.shape[-2:])[:, None]
    at = (2 * at + 1) / whole - 1  # in grid_sample's units
    rows, columns = at[:, 0, :, None], at[:, 1, None, :]
    grid = torch.stack([columns.expand(-1, size, -1), rows.expand(-1, -1, size)], -1)
    values = F.grid_sample(images.to(kind), grid, "bilinear", "border", align_corners=False)
    return values if images.is_floating_point() else values.round_()
