"""Reader of Oxford 102 Flowers: a packed folder of JPEG files, and their labels and splits in .mat files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shared.base.errors import UserError
from shared.data.archives import open_tar, refusing, walk
from shared.data.matlab import read_mat
from shared.data.pictures import MOST_BYTES, decode_all

if TYPE_CHECKING:
    from shared.data.entries import DataSet

#: Variable of setid.mat that names the pictures of a split.
SPLITS = {"train": "trnid", "valid": "valid", "test": "tstid"}
_PICTURE = re.compile(r"image_(\d{5})\.jpg")


def read(data_set: DataSet, files: list[Path], split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a split; see `shared.data.loading.read_split`."""
    return read_flowers(*files, split, data_set.shape[-1])


def read_flowers(
    packed: Path, labels: Path, splits: Path, split: str, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of one split in the order of setid.mat, brought to one size (see `pictures.decode`).

    Args:
        packed: 102flowers.tgz.
        labels: imagelabels.mat, the label of each picture, from 1.
        splits: setid.mat, the numbers of each split's pictures, from 1.
        split: a key of `SPLITS`.
        side: of the result.

    Shape:
        uint8 (n, 3, side, side) and int64 (n,), labels from 0

    Raises:
        UserError: if a file is damaged or lacks something.
    """
    every = _numbers(labels, "labels")
    wanted = _numbers(splits, SPLITS[split])
    if len(set(wanted.tolist())) < len(wanted) or wanted.max() > len(every):
        raise UserError(
            f"{splits.name} names pictures twice or that {labels.name} does not know; get the data set again"
        )
    places = {number: place for place, number in enumerate(wanted.tolist())}
    images = decode_all(_contents(packed, places), len(places), side, packed.name)
    return images, every[wanted - 1] - 1


def _numbers(path: Path, key: str) -> np.ndarray:
    """A row of whole numbers from 1 in a .mat file."""
    try:
        found = read_mat(path.read_bytes(), path.name).get(key)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); get the data set again") from None
    row = isinstance(found, np.ndarray) and found.dtype.kind in "iu" and found.size == max(found.shape)
    if not row or not found.size:
        raise UserError(f"{path} is damaged: it has no row of numbers {key!r}; get the data set again")
    if found.min() < 1:
        raise UserError(f"{path} is damaged: its {key!r} do not count from 1; get the data set again")
    return found.astype(np.int64).reshape(-1)


def _contents(packed: Path, places: Mapping[int, int]) -> Iterator[tuple[int, bytes]]:
    """Place and bytes of each wanted picture, in the order of the archive."""
    missing = dict(places)

    def number(name: str) -> int:
        match = _PICTURE.fullmatch(name)
        return int(match[1]) if match else 0

    with refusing(packed.name), open_tar(packed, "r:gz") as archive:
        for name, info in walk(archive, lambda name: number(name) in places):
            if number(name) not in missing or info.size > MOST_BYTES:
                raise UserError(f"{name} is in it twice or far larger than a picture")
            source = archive.extractfile(info)
            assert source is not None  # a plain file
            yield missing.pop(number(name)), source.read()
        if missing:
            raise UserError(f"{len(missing)} pictures are not in it, such as image_{min(missing):05d}.jpg")
