"""Digits, each turned once by its own angle."""

from __future__ import annotations

from torch import Tensor

import shared.data
from shared.base.errors import UserError
from shared.data import prepare

from .settings import Settings


def digits(settings: Settings, split: str) -> tuple[Tensor, Tensor]:
    """Turned digits in [0, 1] and their labels; the same for every seed.

    Args:
        settings: of the run.
        split: "train" or "test".

    Shape:
        (count, 1, size, size) float32 and (count,) int64

    Raises:
        UserError: if the data set has fewer images than the settings ask for.
    """
    count = settings.train_images if split == "train" else settings.test_images
    images, labels = shared.data.load(settings.dataset, split)
    if len(images) < count:
        have = f"{settings.dataset} has {len(images)} {split} images"
        raise UserError(f"{have}, not {count}; lower {split}_images in experiments.yaml")
    pixels = images[:count].float() / 255
    turned = prepare.rotate(pixels, prepare.random_angles(count, seed=0, place=split))
    return prepare.resize(turned, settings.size), labels[:count]
