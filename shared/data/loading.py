"""From the files of a data set to tensors."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import torch

from shared.base.errors import UserError, unknown
from shared.data import catalogue
from shared.data.catalogue import DataSet
from shared.data.obtain import get
from shared.data.pictures import Pictures

#: Images of a split: an array, or pictures that are decoded when they are indexed.
Images = np.ndarray | Pictures


def load_split(
    data_set: DataSet, split: str, limit: int | None = None
) -> tuple[torch.Tensor | Pictures, torch.Tensor]:
    """Images and labels of a split; see :func:`shared.data.load`."""
    if split not in data_set.splits:
        raise UserError(unknown(f"split of {data_set.name}", split, data_set.splits))
    if limit is not None and limit < 1:
        raise UserError(f"limit must be at least 1, not {limit}")
    found, numbers = read_split(data_set, get(data_set.name), split)
    images = found if isinstance(found, Pictures) else torch.from_numpy(found)
    labels = torch.from_numpy(numbers.astype(np.int64))
    if limit is None or limit >= len(labels):
        return images, labels
    rows = torch.arange(limit) * len(labels) // limit
    return images.select(rows.numpy()) if isinstance(images, Pictures) else images[rows], labels[rows]


def read_split(data_set: DataSet, folder: Path, split: str) -> tuple[Images, np.ndarray]:
    """Arrays of a split from the files in ``folder``.

    Shape:
        uint8 (n, c, h, w) and an integer array (n,)

    Raises:
        UserError: if a file is damaged or does not hold what the catalogue says.
    """
    files = [folder / name for name in data_set.splits[split]]
    reader = importlib.import_module(catalogue.READERS[data_set.format])
    images, labels = reader.read(data_set, files, split)
    right = images.dtype in (np.uint8, torch.uint8) and tuple(images.shape) == (len(labels), *data_set.shape)
    if right and labels.ndim == 1 and len(labels):
        right = labels.min() >= 0 and labels.max() < len(data_set.classes)
    if not right or labels.ndim != 1:
        raise UserError(
            f"{folder} does not hold what the catalogue says of {data_set.name}; correct datasets.yaml"
        )
    return images, labels
