"""Readers of the publishers' formats IDX and the binary version of CIFAR; none of them can run code.

Every reader checks the header against the bytes that are there before it makes an array, so a damaged file
ends in a sentence, not in a wrong array or a crash. The pickled version of CIFAR is not read on purpose.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shared.base.errors import UserError

if TYPE_CHECKING:
    from shared.data.entries import DataSet

#: Types of IDX files (third byte of the header), always big-endian.
_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CIFAR_PIXELS = 3 * 32 * 32


def read(data_set: DataSet, files: list[Path], split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a split; see `shared.data.loading.read_split`."""
    if data_set.format == "idx":
        images, labels = (read_idx(file) for file in files)
        return (images[:, None] if images.ndim == 3 else images), labels
    label_bytes = {"cifar10": 1, "cifar100": 2}[data_set.format]
    batches = [read_cifar(file, label_bytes, len(data_set.classes)) for file in files]
    images, labels = (np.concatenate(arrays) for arrays in zip(*batches))
    return images, labels


def _damaged(path: Path, what: str) -> UserError:
    return UserError(f"{path} is damaged: {what}; delete it and get the data set again")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); get the data set again") from None


def read_idx(path: Path) -> np.ndarray:
    """Array of an (uncompressed) IDX file, the format of MNIST, in the machine's byte order.

    The header is two zero bytes, a type byte, the number of axes, then one 32-bit size per axis.

    Shape:
        as the header says, for example (60000, 28, 28)

    Raises:
        UserError: if the header is not one of an IDX file or does not fit the length of the file.
    """
    content = _read(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _IDX_TYPES or content[3] == 0:
        raise _damaged(path, "it does not begin with the header of an IDX file")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise _damaged(path, "it ends within its header")
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    kind = np.dtype(_IDX_TYPES[content[2]])
    if content[3] > 32:
        raise _damaged(path, f"it has {content[3]} axes")
    wanted = start + math.prod(shape) * kind.itemsize
    if len(content) != wanted:
        raise _damaged(path, f"its header promises {wanted} bytes and it has {len(content)}")
    if math.prod(size for size in shape if size) * kind.itemsize >= 1 << 63:  # beside a size of 0
        raise _damaged(path, f"it has the sizes {shape}, more than an array can have")
    array = np.frombuffer(content, kind, offset=start).reshape(shape)
    return array.astype(kind.newbyteorder("="))


def idx_bytes(array: np.ndarray) -> bytes:
    """The IDX file that holds a uint8 array; the same bytes on every machine.

    Raises:
        ValueError: if the array is not uint8 or has no axis.
    """
    if array.dtype != np.uint8 or not 0 < array.ndim <= 32:
        raise ValueError(
            f"idx_bytes takes uint8 arrays with 1 to 32 axes, not {array.dtype} with {array.ndim}"
        )
    header = struct.pack(f">HBB{array.ndim}I", 0, 0x08, array.ndim, *array.shape)
    return header + np.ascontiguousarray(array).tobytes()


def read_cifar(path: Path, label_bytes: int = 1, classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of one batch of the binary version of CIFAR-10 or CIFAR-100.

    A record is ``label_bytes`` labels (CIFAR-10: the class; CIFAR-100: coarse, then fine, of which the fine
    one is returned) and 3,072 pixels, channel first.

    Shape:
        uint8 (n, 3, 32, 32) and uint8 (n,)

    Raises:
        UserError: if the file is not a whole number of records or a label is out of range.
    """
    record = label_bytes + _CIFAR_PIXELS
    content = _read(path)
    if not content or len(content) % record:
        raise _damaged(path, f"its {len(content)} bytes are not a whole number of records of {record} bytes")
    rows = np.frombuffer(content, np.uint8).reshape(-1, record)
    labels = rows[:, label_bytes - 1].copy()
    if labels.max() >= classes:
        raise _damaged(path, f"it has the label {labels.max()} and there are {classes} classes")
    return rows[:, label_bytes:].reshape(-1, 3, 32, 32).copy(), labels
