"""Reader of images and labels in HDF5 files, the format of PatchCamelyon, without loading what is not needed.

A file is looked at before it is read: only plain numbers that lie in the file itself are taken. HDF5 can also
point to other files (links, external and virtual storage) and name compression libraries to load; all of that
is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shared.base.errors import UserError

if TYPE_CHECKING:
    import h5py

    from shared.data.entries import DataSet

#: Filters that HDF5 itself brings: deflate, shuffle, checksum. Others would load a library.
_FILTERS = {1, 2, 3}
#: Deflate cannot shrink data more than this, so more is a bomb.
_MOST_COMPRESSION = 1100


def read(data_set: DataSet, files: list[Path], split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a split; see `shared.data.loading.read_split`."""
    return read_pair(*files)


def read_pair(
    images: Path, labels: Path, image_key: str = "x", label_key: str = "y"
) -> tuple[np.ndarray, ...]:
    """Images and labels that lie in two files, channel last.

    Where the images lie in one piece they are mapped into memory, so that only what is used is read; changes
    to the array never reach the file. Compressed images are read at once.

    Shape:
        uint8 (n, c, h, w), a view with the channels last in memory, and whole numbers (n,)

    Raises:
        UserError: if h5py is not installed, a file is damaged, or holds something else than such arrays.
    """
    pixels = _read(images, image_key, "u1")
    numbers = _read(labels, label_key, "iu")
    if math.prod(numbers.shape[1:]) != 1 or len(numbers) != len(pixels):
        raise _damaged(
            labels, f"its labels of shape {numbers.shape} do not fit images of shape {pixels.shape}"
        )
    return pixels.transpose(0, 3, 1, 2), np.array(numbers).reshape(-1)


def _damaged(path: Path, what: str) -> UserError:
    return UserError(f"{path} is damaged: {what}; delete it and get the data set again")


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file; whatever its library complains about becomes one sentence."""
    try:
        import h5py
    except ImportError:
        raise UserError(f"{path.name} needs h5py, which is not installed: pip install h5py") from None
    if not path.is_file():
        raise UserError(f"{path} does not exist; get the data set again")
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except UserError:
        raise
    except Exception as error:  # h5py raises many kinds; all mean that the file is not usable
        said = " ".join(str(error).split()) or type(error).__name__
        raise _damaged(path, f"it is not a whole HDF5 file ({said})") from None


def _read(path: Path, key: str, types: str) -> np.ndarray:
    """One array of four axes, mapped into memory if it lies in the file in one piece."""
    with _opened(path) as file:
        found = _checked(path, file, key, types)
        start, kind, shape = found.id.get_offset(), found.dtype, found.shape
        if start is None or found.id.get_create_plist().get_nfilters():
            return found[()]
    # After the file is closed; "c": a private copy of what is written to, so torch may have it.
    return np.memmap(path, kind, "c", start, shape)


def _checked(path: Path, file: h5py.File, key: str, types: str) -> h5py.Dataset:
    """The data set of this name, if it is plain numbers within the file and no more than the file can hold.

    Args:
        types: "u1" for bytes, "iu" for whole numbers of any size.
    """
    import h5py

    link = file.get(key, getlink=True)
    if link is None:
        raise _damaged(path, f"it has no array {key!r}")
    if not isinstance(link, h5py.HardLink) or file.get(key, getclass=True) is not h5py.Dataset:
        raise _damaged(path, f"its {key!r} is not an array of its own")
    found = file[key]
    if found.is_virtual or found.external:
        raise _damaged(path, f"its {key!r} points to other files")
    right = found.dtype == np.uint8 if types == "u1" else found.dtype.kind in types
    if not right or found.shape is None or found.ndim != 4:
        raise _damaged(path, f"its {key!r} has the type {found.dtype} and the shape {found.shape}")
    filters = found.id.get_create_plist()
    used = {filters.get_filter(i)[0] for i in range(filters.get_nfilters())}
    if not used <= _FILTERS:
        raise _damaged(path, f"its {key!r} is packed in a way that is not known here")
    held, wanted = found.id.get_storage_size(), math.prod(found.shape) * found.dtype.itemsize
    end = (found.id.get_offset() or 0) + held
    if wanted > held * (_MOST_COMPRESSION if used else 1) or end > path.stat().st_size:
        raise _damaged(path, f"its {key!r} promises {wanted} bytes and there are {held}")
    return found
