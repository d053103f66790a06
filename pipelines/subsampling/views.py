"""Images of Table 2 and Figure 4: as stored, and as the networks see them in training and in testing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import shared.data
from pipelines.subsampling.settings import Settings
from shared.base.errors import UserError, unknown
from shared.data import augment, prepare

#: Pixels that a training image may move by along each axis (authors' code).
CROP_PADDING = 4
#: Least and greatest area and ratio of the sides of the part that a training image is cut to: by data set
#: where the authors' code says so, else as usual.
_AREAS = {"imagenet": ((0.1, 1.0), (0.8, 1.25))}
_USUAL_AREAS = ((0.08, 1.0), (3 / 4, 4 / 3))


@dataclass
class Images:
    """Stored images (uint8, on the device or read when asked for) and labels.

    Attributes:
        train: the training images, followed by the validation images if the data set has some.
        labels: of ``train``, on the device.
        validation: number of validation images at the end of ``train``.
        test, test_labels: the test images.
        classes: how many.
    """

    train: Any
    labels: Tensor
    validation: int
    test: Any
    test_labels: Tensor
    classes: int


def load(settings: Settings, device: str) -> Images:
    """The images as stored: nothing is resized or normalized before it is used.

    Raises:
        UserError: if the data set is not there, has no color images, or fewer or smaller ones than the
            settings ask for, or these ask for the circle crop of the digits.
    """
    if settings.crop:
        raise UserError(f"{settings.model} is trained on whole images; set crop: false in experiments.yaml")
    if settings.dataset not in augment.STANDARDS:
        raise UserError(unknown("data set of color images", settings.dataset, sorted(augment.STANDARDS)))
    data_set = shared.data.catalogue.find(settings.dataset)
    if settings.augment == "resized_crop" and settings.size > data_set.shape[-1]:
        raise UserError(
            f"augment: resized_crop cuts {settings.size} pixels out of images of {data_set.shape[-1]}; "
            "lower size, or set augment: crop_flip"
        )
    train, labels = shared.data.load(settings.dataset, "train")
    if settings.train_on == "train_and_valid":
        train, labels = _with_validation(settings, train, labels)
    test, test_labels = shared.data.load(settings.dataset, "test")
    if settings.train_images > len(labels) or settings.test_images > len(test_labels):
        raise UserError(
            f"{settings.dataset} has {len(labels)} training and {len(test_labels)} test images, fewer than "
            f"the {settings.train_images} and {settings.test_images} asked for; lower train_images or "
            "test_images in experiments.yaml"
        )
    held_out = 0
    if settings.validation_images:
        before = len(labels)
        train, labels = _with_validation(settings, train, labels, settings.validation_images)
        held_out = len(labels) - before
    train, test = (x.to(device) if isinstance(x, Tensor) else x for x in (train, test))
    return Images(train, labels.to(device), held_out, test, test_labels.to(device), len(data_set.classes))


def _with_validation(
    settings: Settings, train: Tensor, labels: Tensor, limit: int | None = None
) -> tuple[Tensor, Tensor]:
    """Training images and labels, followed by those for validation."""
    if "valid" not in shared.data.catalogue.find(settings.dataset).splits:
        raise UserError(
            f"{settings.dataset} has no validation images; set validation_images to 0 and train_on to train"
        )
    valid, valid_labels = shared.data.load(settings.dataset, "valid", limit=limit)
    return torch.cat([train, valid]), torch.cat([labels, valid_labels])


def stored(images: Any, start: int, count: int, device: str) -> Tensor:
    """Some consecutive stored images, on the device."""
    return images[torch.arange(start, min(start + count, len(images)))].to(device)


def test_view(settings: Settings, side: int) -> Callable[[Tensor], Tensor]:
    """From stored images to network inputs without augmentation.

    Shape:
        in  (count, channels, side, side) uint8
        out (count, channels, size, size) float32, normalized
    """
    standard = augment.STANDARDS[settings.dataset]

    def view(batch: Tensor) -> Tensor:
        images = batch.float() / 255
        if settings.augment == "resized_crop":
            first = (side - settings.size) // 2
            images = images[..., first : first + settings.size, first : first + settings.size]
        return augment.standardize(_resized(images, settings.size), standard)

    return view


def _resized(images: Tensor, size: int) -> Tensor:
    return images if images.shape[-1] == size else prepare.resize(images, size)


def training_view(
    settings: Settings, side: int, device: str
) -> Callable[[Tensor, Sequence[torch.Generator]], Tensor]:
    """From stored images, side by side for several seeds, to augmented network inputs.

    Shape:
        in  (seeds, batch, channels, side, side) uint8, and one generator per seed
        out (seeds, batch, channels, size, size)
    """
    standard, plain = augment.STANDARDS[settings.dataset], test_view(settings, side)
    areas = _AREAS.get(settings.dataset, _USUAL_AREAS)

    def view(batch: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        flat = batch.to(device).flatten(0, 1)
        if settings.augment == "none":
            return plain(flat).unflatten(0, batch.shape[:2])
        images = flat.float() / 255
        if settings.augment == "crop_flip":
            images = _resized(images, settings.size).unflatten(0, batch.shape[:2])
            images = augment.random_crop(images, CROP_PADDING, generators)
        else:
            images = images.unflatten(0, batch.shape[:2])
            images = augment.random_resized_crop(images, settings.size, *areas, generators)
        return augment.standardize(augment.random_flip(images, generators), standard)

    return view
