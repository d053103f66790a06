"""Images of the L-conv experiments: as they are, turned, scrambled, or both (fact sheet, section 5)."""

from __future__ import annotations

import functools
import zlib
from dataclasses import dataclass

import torch
from torch import Tensor

import shared.data
from pipelines.lconv import rotation
from pipelines.lconv.settings import Settings
from shared.base.errors import UserError
from shared.data import catalogue, prepare

#: Part of the official training images that is trained on; the rest is the paper's test set.
TRAINED_ON = 0.8


@dataclass
class Images:
    """Everything a run looks at, in about [-0.5, 0.5].

    Attributes:
        pool: (count, channels, size, size) float32, the images to train on and then those held out.
        labels: (count,) int64.
        train: how many of the pool are trained on.
        test, test_labels: official test images, prepared alike; empty unless the settings ask for them.
        permutation: (size * size,), pixel i of a prepared image is pixel permutation[i] of the turned one.
        classes: number of labels.
    """

    pool: Tensor
    labels: Tensor
    train: int
    test: Tensor
    test_labels: Tensor
    permutation: Tensor
    classes: int

    @property
    def fingerprint(self) -> int:
        """CRC-32 of the permutation as 8-byte integers, for the record."""
        return zlib.crc32(self.permutation.numpy().astype("<i8").tobytes())


def load(settings: Settings, device: str = "cpu") -> Images:
    """Load and prepare the images of a run; the turned ones are kept for the next run of this process.

    Raises:
        UserError: if the images are not square, or there are fewer than the settings ask for.
    """
    known = catalogue.find(settings.dataset)
    _, height, width = known.shape
    if height != width:
        raise UserError(
            f"the images of {settings.dataset} have {height}x{width} pixels; turning them in place needs "
            "square ones"
        )
    side = settings.size or height
    pool, labels, train = _prepared(_key(settings), "train", settings.train_images, settings.holdout_images)
    test, test_labels = pool[:0], labels[:0]
    if settings.test == "official":
        test, test_labels, _ = _prepared(_key(settings), "test", settings.test_images, 0)
    permutation = torch.arange(side * side)
    if settings.variant in ("scrambled", "rotated_scrambled"):
        permutation = prepare.pixel_permutation(side, settings.data_seed)
        pool, test = (prepare.scramble(images, permutation) for images in (pool, test))
    moved = (part.to(device) for part in (pool, labels, test, test_labels))
    pool, labels, test, test_labels = moved
    return Images(pool, labels, train, test, test_labels, permutation, len(known.classes))


#: What the turned images depend on: data set, side, turned, angle, rotation, clip, seed.
Key = tuple[str, int, bool, float, str, bool, int]


def _key(settings: Settings) -> Key:
    turned = settings.variant in ("rotated", "rotated_scrambled")
    how = (
        (settings.angle, settings.rotation, settings.clip, settings.data_seed)
        if turned
        else (0.0, "", False, 0)
    )
    return (settings.dataset, settings.size, turned, *how)


@functools.lru_cache(maxsize=2)
def _prepared(key: Key, split: str, first: int, rest: int) -> tuple[Tensor, Tensor, int]:
    """Images and labels of a split, turned but not scrambled, and how many of them are of the first part.

    Of the training split: the ``first`` of the first four fifths, then the ``rest`` of the last; 0 for all.
    """
    dataset, size, turned, angle, how, clip, seed = key
    images, labels = shared.data.load(dataset, split)
    if split == "train":
        border = int(TRAINED_ON * len(images))
        chosen = [_front(dataset, "train_images", first, range(border))]
        chosen += [_front(dataset, "holdout_images", rest, range(border, len(images)))]
    else:
        chosen = [_front(dataset, "test_images", first, range(len(images)))]
    index = torch.tensor([i for part in chosen for i in part])
    # an image's angle does not depend on which others are used
    angles = prepare.random_angles(len(images), seed, low=-angle, high=angle, place=f"0/{split}")[index]
    images = images[index]
    if size:
        images = prepare.resize(images, size)
    if turned and how == "bilinear":
        images = prepare.rotate(images, angles)
    pixels = images.float() / 255 - 0.5
    if turned and how == "cubic":
        pixels = rotation.rotate(pixels, angles)
    return (pixels.clamp_(-0.5, 0.5) if clip else pixels), labels[index], len(chosen[0])


def _front(dataset: str, name: str, count: int, available: range) -> range:
    """The first ``count`` of the available images, all for 0."""
    if count > len(available):
        raise UserError(
            f"{dataset} has {len(available)} images for {name}, not {count}; lower {name} in experiments.yaml"
        )
    return available[: count or len(available)]
