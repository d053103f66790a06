"""Pictures of all sizes, decoded and brought to one size; if they are too many for memory, when asked for."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shared.base.errors import UserError

#: Pixels that a picture may have, before or after it is resized: more is a decompression bomb.
MOST_PIXELS = 89_478_485
#: Bytes that an encoded picture may have.
MOST_BYTES = 64 << 20


def decode(content: bytes, side: int, name: str) -> np.ndarray:
    """One picture, resized until its short side is ``side`` and cropped to its center.

    Pillow's bilinear filter, which averages over all pixels that fall into one; the long side is rounded
    down. Grey and CMYK pictures become RGB; the camera's note on how it was held is not looked at.

    Args:
        content: a JPEG or PNG file.
        side: of the result.
        name: for the message.

    Shape:
        uint8 (3, side, side)

    Raises:
        UserError: if it is damaged, of another format, or has far too many pixels.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            size = _resized(image.size, side)
            if max(image.width * image.height, size[0] * size[1]) > MOST_PIXELS:
                raise UserError(f"{name} has {image.width} x {image.height} pixels and is refused")
            small = image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
    except UserError:
        raise
    except Exception as error:  # Pillow raises many kinds; all mean that the picture is not usable
        said = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{name} is damaged: it cannot be decoded ({said}); get the data set again") from None
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    return np.asarray(small.crop((left, top, left + side, top + side))).transpose(2, 0, 1)


def _resized(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height after the short side has become ``side``."""
    width, height = size
    if width <= height:
        return side, height * side // width
    return width * side // height, side


def decode_all(contents: Iterable[tuple[int, bytes]], count: int, side: int, name: str) -> np.ndarray:
    """Array of ``count`` pictures, given as (place in the array, file); each place once.

    Shape:
        uint8 (count, 3, side, side)
    """
    result = np.empty((count, 3, side, side), np.uint8)

    def put(item: tuple[int, bytes]) -> None:
        result[item[0]] = decode(item[1], side, f"picture {item[0]} of {name}")

    _in_threads(put, contents)
    return result


def _in_threads(work: Callable[[Any], None], items: Iterable[Any]) -> None:
    """Do the work with as many threads as torch has; Pillow lets others run while it decodes."""
    threads = torch.get_num_threads()
    if threads == 1:
        for item in items:
            work(item)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, items):
            pass


class Pictures:
    """Pictures within a file on disk, in the place of a tensor (n, 3, side, side): decoded when indexed.

    Nothing is kept: indexing reads and decodes anew (about 270 pictures of 500 x 375 pixels a second on each
    core, with as many threads as torch has), and always gives the same. Only what a training needs
    of a tensor is here: ``images[rows]``, ``images.shape``, ``images.dtype`` and ``len(images)``.
    """

    dtype = torch.uint8

    def __init__(self, file: Path, offsets: np.ndarray, sizes: np.ndarray, side: int) -> None:
        """Describe pictures that lie at ``offsets`` of a file; the file is opened when they are asked for."""
        self._file, self._offsets, self._sizes, self._side = file, offsets, sizes, side

    @property
    def shape(self) -> torch.Size:
        """Of the tensor that this stands for."""
        return torch.Size((len(self), 3, self._side, self._side))

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, rows: torch.Tensor | Sequence[int] | int | slice) -> torch.Tensor | Pictures:
        """Decode the pictures of these rows, on the device of ``rows``; of a slice, pictures not yet decoded.

        Shape:
            rows int64 of any shape, result uint8 (*rows.shape, 3, side, side)

        Raises:
            UserError: if a picture is damaged.
            IndexError: if there is no such row.
            TypeError: if the rows are not whole numbers.
        """
        if isinstance(rows, slice):
            return self.select(rows)
        index = torch.as_tensor(rows)
        if index.dtype == torch.bool or index.is_floating_point():
            raise TypeError(f"pictures are indexed with whole numbers, not with {index.dtype}")
        flat = index.reshape(-1).tolist()
        if flat and not (-len(self) <= min(flat) and max(flat) < len(self)):
            raise IndexError(f"there are {len(self)} pictures, and rows from {min(flat)} to {max(flat)}")
        result = torch.empty((len(flat), 3, self._side, self._side), dtype=torch.uint8)
        self._decode(flat, result.numpy())
        return result.reshape(*index.shape, *result.shape[1:]).to(index.device)

    def select(self, rows: slice | np.ndarray) -> Pictures:
        """The pictures of these rows only, not decoded."""
        return Pictures(self._file, self._offsets[rows], self._sizes[rows], self._side)

    def _decode(self, rows: list[int], into: np.ndarray) -> None:
        """Read and decode, several at once."""
        with open(self._file, "rb") as file:

            def put(item: tuple[int, int]) -> None:
                place, row = item
                size, offset = int(self._sizes[row]), int(self._offsets[row])
                name = f"the picture at byte {offset} of {self._file.name}"
                content = os.pread(file.fileno(), size, offset)
                if len(content) < size:
                    raise UserError(f"{name} is cut short; get the data set again")
                into[place] = decode(content, self._side, name)

            _in_threads(put, enumerate(rows))
