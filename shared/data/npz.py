"""Reader of NPZ archives with images and labels of all splits, the format of MedMNIST, without pickle.

An NPZ file is a ZIP archive of NPY files. Each header is held against the bytes that are there before an
array is made, so that a damaged or hostile file ends in a sentence; arrays of Python objects are refused.
"""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shared.base.errors import UserError

if TYPE_CHECKING:
    from shared.data.entries import DataSet

#: Name of a split in the catalogue -> what the archive calls it, where they differ.
_NAMES = {"valid": "val"}
#: Deflate cannot shrink data more than this, so more is a bomb.
_MOST_COMPRESSION = 1100
#: Bytes of an NPY header, at most; ours have about 128.
_LONGEST_HEADER = 10_000


def read(data_set: DataSet, files: list[Path], split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a split; see `shared.data.loading.read_split`."""
    return read_pair(files[0], _NAMES.get(split, split))


def read_pair(path: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The arrays ``{name}_images`` and ``{name}_labels`` of an archive, with an axis for the one channel.

    Shape:
        images uint8 (n, d, h, w) in the file, (n, 1, d, h, w) here; labels (n, 1) or (n,), (n,) here

    Raises:
        UserError: if the file is missing or damaged, or holds something else than such arrays.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            images, labels = (_array(archive, path, f"{name}_{kind}.npy") for kind in ("images", "labels"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; get the data set again") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); get the data set again") from None
    except UserError:
        raise
    except Exception as error:  # zipfile and numpy raise many kinds; all mean that the file is not usable
        said = " ".join(str(error).split()) or type(error).__name__
        raise _damaged(path, f"it is not a whole NPZ archive ({said})") from None
    if images.dtype != np.uint8 or images.ndim != 4:
        raise _damaged(path, f"its images have the type {images.dtype} and the shape {images.shape}")
    if labels.dtype.kind not in "iu" or labels.shape not in ((len(images),), (len(images), 1)):
        raise _damaged(path, f"its labels of shape {labels.shape} do not fit images of shape {images.shape}")
    return images[:, None], labels.reshape(-1)


def _damaged(path: Path, what: str) -> UserError:
    return UserError(f"{path} is damaged: {what}; delete it and get the data set again")


def _array(archive: zipfile.ZipFile, path: Path, name: str) -> np.ndarray:
    """One array of plain numbers; the archive's checksum of it is looked at, too."""
    try:
        entry = archive.getinfo(name)
    except KeyError:
        raise _damaged(path, f"it has no array {name.removesuffix('.npy')!r}") from None
    if entry.file_size > _MOST_COMPRESSION * max(entry.compress_size, 1):
        raise _damaged(path, f"{name} promises {entry.file_size} bytes of {entry.compress_size}")
    content = archive.read(entry)
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise _damaged(path, f"{name} has the unknown version {version}")
    shape, by_columns, kind = readers[version](stream, max_header_size=_LONGEST_HEADER)
    if kind.hasobject or kind.kind not in "iu":
        raise _damaged(path, f"{name} holds {kind}, not whole numbers")
    wanted = math.prod(shape) * kind.itemsize
    if wanted != len(content) - stream.tell():
        raise _damaged(
            path, f"the header of {name} promises {wanted} bytes and it has {len(content) - stream.tell()}"
        )
    array = np.frombuffer(content, kind, offset=stream.tell())
    return array.reshape(shape, order="F" if by_columns else "C").astype(kind.newbyteorder("="))
