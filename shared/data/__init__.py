"""Data sets: catalogue, download, readers, preparation.

    from shared import data
    images, labels = data.load("mnist", "train")

Importing this package does not import torch; :func:`load` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.data import catalogue
from shared.data.obtain import get, notes

if TYPE_CHECKING:
    import torch

__all__ = ["catalogue", "get", "load", "notes"]


def load(name: str, split: str, *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and labels of one split of a data set, fetched first if need be.

    Args:
        name: a name of datasets.yaml.
        split: "train" or "test".
        seed: of the random numbers of a derived set (angles, permutation); other sets do not look at it.

    Shape:
        uint8 (n, c, h, w) and int64 (n,)

    Raises:
        UserError: if the set or the split is unknown, or the data cannot be had.
    """
    from shared.data.loading import load_split

    return load_split(catalogue.find(name), split, seed)
