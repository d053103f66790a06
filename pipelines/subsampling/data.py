"""Images of the subsampling experiments: digits, upright or turned, and the line figure of Figure 3."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

import shared.data
from pipelines.subsampling.settings import Settings
from shared.base.errors import UserError
from shared.data import prepare

#: Mean and standard deviation of the pixels of MNIST, in [0, 1].
MEAN, STD = 0.1307, 0.3081
#: The turned training set is one data set, drawn once; only the split differs between seeds.
TURN_SEED = 2308_11316


@dataclass
class Digits:
    """Training pool and test images, both in [0, 1] with one channel, and the labels.

    Attributes:
        pool: (count, 1, size, size) float32, turned, resized and cropped as the settings say.
        pool_labels: (count,) int64.
        test: (count, 1, size, size) float32, upright and resized; not cropped, since it is turned first.
        test_labels: (count,) int64.
    """

    pool: Tensor
    pool_labels: Tensor
    test: Tensor
    test_labels: Tensor


def digits(settings: Settings, device: str = "cpu") -> Digits:
    """Load and prepare the images.

    Raises:
        UserError: if the data set has fewer images than the settings ask for.
    """
    first, second = ("test", "train") if settings.split == "swapped" else ("train", "test")
    images, labels = shared.data.load(settings.dataset, first)
    test, test_labels = shared.data.load(settings.dataset, second)
    wanted = settings.train_images + settings.validation_images
    if len(images) < wanted or len(test) < max(settings.test_images, settings.sweep_images):
        raise UserError(
            f"{settings.dataset} has {len(images)} images for training and {len(test)} for testing, fewer "
            f"than the {wanted} and {settings.test_images} asked for; lower train_images, validation_images, "
            "test_images or sweep_images in experiments.yaml"
        )
    pool = images.float() / 255
    if settings.training == "uniform":
        pool = prepare.rotate(pool, prepare.random_angles(len(pool), TURN_SEED, "uniform"))
    count = max(settings.test_images, settings.sweep_images)
    return Digits(
        crop(resize(pool, settings), settings).to(device),
        labels.to(device),
        resize(test[:count].float() / 255, settings).to(device),
        test_labels[:count].to(device),
    )


def resize(images: Tensor, settings: Settings) -> Tensor:
    """Resize to the network's size, bilinearly, with or without averaging where that shrinks; in [0, 1].

    Both ways commute with quarter turns.

    Shape:
        in  (count, 1, height, width)
        out (count, 1, size, size)
    """
    if not settings.antialias:
        return prepare.resize(images, settings.size)
    sides = (settings.size, settings.size)
    return F.interpolate(images, sides, mode="bilinear", align_corners=False, antialias=True)


def crop(images: Tensor, settings: Settings) -> Tensor:
    """Blank the corners if the settings say so; (count, 1, size, size) in and out."""
    if not settings.crop:
        return images
    return prepare.circle_crop(images, fill=MEAN if settings.crop_fill == "mean" else 0.0)


def turn(images: Tensor, degrees: float, settings: Settings) -> Tensor:
    """Test images turned by an angle and cropped; (count, 1, size, size) in and out."""
    if settings.interpolation == "nearest" and degrees % 90:
        return crop(_turned_nearest(images, degrees), settings)
    return crop(prepare.rotate(images, float(degrees)), settings)


def _turned_nearest(images: Tensor, degrees: float) -> Tensor:
    """Images turned about their center, counter-clockwise, each pixel as the nearest one of the original."""
    size, angle = images.shape[-1], math.radians(degrees)
    at = torch.arange(size, device=images.device, dtype=torch.float64) - (size - 1) / 2
    y, x = torch.meshgrid(at, at, indexing="ij")  # rows run downwards
    columns = math.cos(angle) * x - math.sin(angle) * y
    rows = math.sin(angle) * x + math.cos(angle) * y
    grid = torch.stack((columns, rows), -1).to(images.dtype) * (2 / size)
    return F.grid_sample(
        images, grid.expand(len(images), -1, -1, -1), "nearest", "zeros", align_corners=False
    )


def split(settings: Settings, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of the training and validation images of one seed."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    train, rest = order[: settings.train_images], order[settings.train_images :]
    return train, rest[: settings.validation_images]


def network_input(images: Tensor, settings: Settings) -> Tensor:
    """Standardize grey images in [0, 1] and repeat the channel.

    Shape:
        in  (..., 1, size, size)
        out (..., channels, size, size)
    """
    shape = (*images.shape[:-3], settings.channels, *images.shape[-2:])
    return ((images - MEAN) / STD).expand(shape)


def training_input(images: Tensor, settings: Settings, generators: Sequence[torch.Generator]) -> Tensor:
    """Network inputs of one step; biased training turns them by angles from each seed's own generator.

    An angle holds for the whole batch (the released code) or for one image (the paper's text).

    Shape:
        in  (seeds, batch, 1, size, size), in [0, 1]
        out (seeds, batch, channels, size, size)
    """
    if settings.training == "biased":
        count = images.shape[1] if settings.bias_per == "image" else 1
        draws = [torch.randn(count, generator=g, device=g.device).cpu() for g in generators]
        angles = settings.bias_mean + settings.bias_std * torch.stack(draws).expand(-1, images.shape[1])
        turned = prepare.rotate(images.flatten(0, 1), angles.flatten())
        images = crop(turned, settings).view_as(images)
    return network_input(images, settings)


#: A line figure without any symmetry, as strokes in the unit square (x to the right, y down).
STROKES: Sequence[Sequence[tuple[float, float]]] = (
    ((0.22, 0.82), (0.22, 0.20), (0.58, 0.20), (0.70, 0.32), (0.58, 0.46), (0.22, 0.46)),
    ((0.44, 0.46), (0.78, 0.84)),
    ((0.80, 0.16), (0.86, 0.24)),
)


def line_figure(size: int, width: float = 0.05) -> Tensor:
    """The figure of `STROKES`, anti-aliased, in [0, 1].

    The same vector figure at every size, so that 32 and 33 pixels show the same thing.

    Shape:
        out (1, 1, size, size)
    """
    centers = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    y, x = torch.meshgrid(centers, centers, indexing="ij")
    distance = torch.full((size, size), float("inf"), dtype=torch.float64)
    for stroke in STROKES:
        for (x0, y0), (x1, y1) in pairwise(stroke):
            dx, dy = x1 - x0, y1 - y0
            along = (((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy)).clamp(0, 1)
            distance = torch.minimum(distance, torch.hypot(x - x0 - along * dx, y - y0 - along * dy))
    # full inside the stroke, falling to zero over one pixel
    return (0.5 + (width / 2 - distance) * size).clamp(0, 1).float()[None, None]
