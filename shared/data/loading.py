"""From the files of a data set to tensors, and from a set to those derived from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from shared.data import catalogue, prepare, readers
from shared.data.catalogue import DataSet, Step
from shared.data.obtain import get
from shared.errors import UserError, unknown


def load_split(data_set: DataSet, split: str, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and labels of a split; see :func:`shared.data.load`."""
    if split not in data_set.splits:
        raise UserError(unknown(f"split of {data_set.name}", split, data_set.splits))
    if data_set.base:
        images, labels = load_split(catalogue.find(data_set.base), split, seed)
        for position, step in enumerate(data_set.steps):
            images = apply(step, images, seed, f"{position}/{split}")
        return images, labels
    images, labels = read_split(data_set, get(data_set.name), split)
    return torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))


def read_split(data_set: DataSet, folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Arrays of a split from the files in ``folder``.

    Shape:
        uint8 (n, c, h, w) and an integer array (n,)

    Raises:
        UserError: if a file is damaged or does not hold what the catalogue says.
    """
    files = [folder / name for name in data_set.splits[split]]
    if data_set.format == "idx":
        images, labels = (readers.read_idx(file) for file in files)
        images = images[:, None] if images.ndim == 3 else images
    else:
        label_bytes = {"cifar10": 1, "cifar100": 2}[data_set.format]
        batches = [readers.read_cifar(file, label_bytes, len(data_set.classes)) for file in files]
        images, labels = (np.concatenate(arrays) for arrays in zip(*batches))
    if images.dtype != np.uint8 or images.shape != (len(labels), *data_set.shape) or labels.ndim != 1:
        raise UserError(
            f"{folder} does not hold what the catalogue says of {data_set.name}; correct datasets.yaml"
        )
    return images, labels


def apply(step: Step, images: torch.Tensor, seed: int, place: str) -> torch.Tensor:
    """One preparation step of a derived set.

    The angles differ between splits (``place`` is mixed into the seed); the permutation of the pixels is one
    for all, or nothing learned on the training images would hold on the test images.
    """
    if step.name == "rotate":
        angles = prepare.random_angles(len(images), seed, place=place, **step.settings)
        return prepare.rotate(images, angles)
    if step.name == "scramble":
        return prepare.scramble(images, prepare.pixel_permutation(tuple(images.shape[-2:]), seed))
    if step.name == "resize":
        return prepare.resize(images, step.settings["size"])
    return prepare.circle_crop(images)
