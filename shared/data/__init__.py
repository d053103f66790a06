"""Data sets: catalogue, download, readers, preparation.

    from shared import data
    images, labels = data.load("mnist", "train")

Importing this package does not import torch; :func:`load` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.data import catalogue
from shared.data.obtain import available, get, notes

if TYPE_CHECKING:
    import torch

    from shared.data.pictures import Pictures

__all__ = ["available", "catalogue", "get", "load", "notes"]


def load(name: str, split: str, *, limit: int | None = None) -> tuple[torch.Tensor | Pictures, torch.Tensor]:
    """Images and labels of one split of a data set, fetched first if need be.

    Images that lie uncompressed in one file (pcam) are mapped into memory, so that only those that are used
    are read. Sets that are too large for memory (imagenet) come as `shared.data.pictures.Pictures`, which
    give a tensor when they are indexed.

    Args:
        name: a name of datasets.yaml.
        split: "train" or "test", for some sets also "valid".
        limit: images at most, taken evenly over the split, since some sets are in the order of their classes.

    Shape:
        uint8 (n, c, h, w) and int64 (n,)

    Raises:
        UserError: if the set or the split is unknown, or the data cannot be had.
    """
    from shared.data.loading import load_split

    return load_split(catalogue.find(name), split, limit)
