"""Images of a run: one split for all seeds, standardized, cropped, mirrored; sixes and their half turns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

import shared.data
from pipelines.soft_equivariance.settings import Settings
from shared.base.errors import UserError
from shared.data import augment, catalogue, prepare

#: Mean and standard deviation of the channels, of pixels in [0, 1], as in the released code: ImageNet's for
#: CIFAR-10, CIFAR-10's for CIFAR-100. Those of other data sets are measured on their training images.
STANDARDS = {
    "cifar10": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cifar100": ((0.49137, 0.48235, 0.44667), (0.24706, 0.24353, 0.26157)),
    "mnist": ((0.1307,), (0.3081,)),
}
#: Zeros around an image before a crop of its old size.
PADDING = 4


@dataclass
class Images:
    """Everything a run looks at.

    Attributes:
        pool, labels: official training images, (count, channels, side, side) uint8, and labels, int64.
        train, validation: rows of the pool to train on and to choose the epoch by.
        test, test_labels: official test images.
        classes: number of labels.
        mean, std: of the channels, (channels, 1, 1).
    """

    pool: Tensor
    labels: Tensor
    train: Tensor
    validation: Tensor
    test: Tensor
    test_labels: Tensor
    classes: int
    mean: Tensor
    std: Tensor

    def plain(self, images: Tensor) -> Tensor:
        """Network inputs of stored images, float32."""
        return (images.float() / 255 - self.mean) / self.std

    def augmented(self, images: Tensor, generator: Generator) -> Tensor:
        """Network inputs of stored images, each mirrored with probability 1/2 and cut out after padding."""
        return self.plain(augment.random_crop(augment.random_flip(images, generator), PADDING, generator))


def load(settings: Settings, device: str = "cpu") -> Images:
    """Load the images of a run onto the device.

    Raises:
        UserError: if the data set cannot be had, has fewer images than the settings ask for, or no sixes.
    """
    pool, labels = _split(settings, "train")
    test, test_labels = _split(settings, "test")
    train, validation = _rows(settings, len(pool))
    count = settings.test_images
    if count > len(test):
        raise UserError(f"{settings.dataset} has {len(test)} test images, not {count}; lower test_images")
    if count:
        test, test_labels = test[:count], test_labels[:count]
    mean, std = _standard(settings, pool[train])
    parts = (pool, labels, train, validation, test, test_labels)
    return Images(*(part.to(device) for part in parts), classes(settings), mean.to(device), std.to(device))


def classes(settings: Settings) -> int:
    """How many labels there are."""
    return 2 if settings.problem == "half_turns" else len(catalogue.find(settings.dataset).classes)


def shape(settings: Settings) -> tuple[int, int, int]:
    """Channels, height and width of the network's input.

    Raises:
        UserError: if the images are not square.
    """
    channels, height, width = catalogue.find(settings.dataset).shape
    if settings.size:
        return channels, settings.size, settings.size
    if height != width:
        raise UserError(
            f"the images of {settings.dataset} have {height}x{width} pixels, but these networks turn them; "
            "choose square ones, or set size"
        )
    return channels, height, width


def _split(settings: Settings, split: str) -> tuple[Tensor, Tensor]:
    """Stored images and labels of a split; of sixes one after the other with its half turn."""
    images, labels = shared.data.load(settings.dataset, split)
    if settings.problem == "half_turns":
        names = [str(name) for name in catalogue.find(settings.dataset).classes]
        if "6" not in names:
            raise UserError(
                f"{settings.dataset} has no class 6; take mnist, or digits, for problem: half_turns"
            )
        sixes = images[labels == names.index("6")]
        images = torch.stack([sixes, sixes.rot90(2, (-2, -1))], 1).flatten(0, 1)
        labels = torch.arange(len(images)) % 2
    if settings.size:
        images = prepare.resize(images, settings.size)
    return images, labels


def _rows(settings: Settings, available: int) -> tuple[Tensor, Tensor]:
    """Rows of the pool to train on and to validate on: parts of one permutation, the same for all seeds."""
    together = 2 if settings.problem == "half_turns" else 1  # the copies of a six stay in one part
    order = torch.randperm(
        available // together, generator=torch.Generator().manual_seed(settings.split_seed)
    )
    rows = (together * order[:, None] + torch.arange(together)).flatten()
    border = available - settings.validation_images
    if border < max(settings.train_images, 1):
        raise UserError(
            f"{settings.dataset} has {available} images to train and validate on, not "
            f"{settings.train_images} and {settings.validation_images}; lower train_images or "
            "validation_images"
        )
    return rows[: settings.train_images or border], rows[border:]


def _standard(settings: Settings, train: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation by channel, (channels, 1, 1)."""
    if settings.dataset in STANDARDS:
        mean, std = map(torch.tensor, STANDARDS[settings.dataset])
    else:
        pixels = train.double().transpose(0, 1).flatten(1) / 255
        mean, std = pixels.mean(1).float(), pixels.std(1).float()
    return mean[:, None, None], std[:, None, None]
