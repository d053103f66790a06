"""Reader of MATLAB's .mat files (level 5): numbers, text and structures; nothing in them is executed.

Written here because SciPy's reader crashes the process on some damaged files. The format is described in
"MAT-File Format", The MathWorks: a header, then elements, each with its type and size; an array is made of
further elements, which are its flags, dimensions, name and content.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.base.errors import UserError

_MATRIX, _COMPRESSED = 14, 15
#: Types of elements that hold numbers, and text as 8, 16 and 32 bits a letter.
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
#: Classes of arrays: of numbers (whatever the type they are stored in), of text, of structures.
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_STRUCTURES, _TEXT = 2, 4
_COMPLEX = 0x0800
#: Structures within structures.
_MOST_DEPTH = 8
_ERRORS = (ValueError, LookupError, ArithmeticError, MemoryError, struct.error, zlib.error)


def read_mat(content: bytes, name: str, limit: int = 16 << 20) -> dict[str, Any]:
    """Variables of a .mat file, by name.

    Args:
        content: the file.
        name: for the message.
        limit: bytes that the file may have with all that is packed in it.

    Returns:
        For numbers an array with the axes that MATLAB gives it (at least two), for text a string, for
        structures a list of dictionaries in MATLAB's order (first axis fastest); None for everything else.

    Raises:
        UserError: if it is not such a file, is damaged, or is larger than the limit.
    """
    try:
        if len(content) > limit:
            raise _Large
        if len(content) < 128 or content[124:128] not in (b"\0\1IM", b"\1\0MI"):
            raise ValueError("it does not begin with the header of one")
        order = "<" if content[126:128] == b"IM" else ">"
        variables, left = {}, limit - len(content)
        for element in _elements(content[128:], order):
            if element.kind == _COMPRESSED:
                (element,) = _elements(unpacked := _unpacked(element.content, left), order)
                left -= len(unpacked)
            key, value = _array(element, order, 0)
            variables[key] = value
        return variables
    except _Large:
        raise UserError(
            f"{name} unpacks to more than {limit} bytes and is refused; check its source"
        ) from None
    except _ERRORS as error:
        raise UserError(
            f"{name} is damaged: it is not a whole .mat file of level 5 ({error}); get the data set again"
        ) from None


class _Large(Exception):
    """What is packed is larger than it may be."""


@dataclass(frozen=True)
class _Element:
    """One element: its type and its bytes."""

    kind: int
    content: bytes


def _unpacked(content: bytes, limit: int) -> bytes:
    """What is packed in an element, if it is whole and not too large."""
    packed = zlib.decompressobj()
    found = packed.decompress(content, max(1, limit + 1))
    if len(found) > limit:
        raise _Large
    if not packed.eof:
        raise ValueError("what is packed in it ends too soon")
    return found


def _elements(content: bytes, order: str) -> Iterator[_Element]:
    """The elements that follow each other in some bytes; those of at most four bytes have a shorter form."""
    place = 0
    while place < len(content):
        first, size = struct.unpack_from(f"{order}II", content, place)
        start, kind = place + 8, first
        if first >> 16:
            start, kind, size = place + 4, first & 0xFFFF, first >> 16
        if start + size > len(content) or (first >> 16 and size > 4):
            raise ValueError("it ends within an element")
        yield _Element(kind, content[start : start + size])
        place = start + size
        place += 0 if kind == _COMPRESSED else -place % 8


def _array(element: _Element, order: str, depth: int) -> tuple[str, Any]:
    """Name and value of an array."""
    if element.kind != _MATRIX or depth > _MOST_DEPTH:
        raise ValueError(
            f"it has an element of type {element.kind} at depth {depth} in the place of an array"
        )
    if not element.content:  # what MATLAB writes for []
        return "", np.zeros((0, 0))
    flags, dimensions, name, *parts = _elements(element.content, order)
    shape = tuple(_numbers(dimensions, order, "i").tolist())
    flag, *_ = _numbers(flags, order, "u").tolist()
    if len(shape) < 2 or min(shape) < 0:
        raise ValueError(f"it has an array of shape {shape}")
    return name.content.decode("latin-1"), _value(flag, shape, parts, order, depth)


def _value(flag: int, shape: tuple[int, ...], parts: list[_Element], order: str, depth: int) -> Any:
    """Content of an array of some class (the last byte of the flags)."""
    kind, count = flag & 0xFF, math.prod(shape)
    if kind == _STRUCTURES:
        return _structures(count, parts, order, depth)
    if kind == _TEXT and len(parts) == 1 and parts[0].kind in _TEXTS:
        return _text(parts[0], shape, order)
    if kind not in _CLASSES or flag & _COMPLEX:
        return None
    (part,) = parts
    numbers = _numbers(part, order)
    if len(numbers) != count:
        raise ValueError(f"it has {len(numbers)} numbers for an array of shape {shape}")
    with np.errstate(invalid="ignore"):  # what is no number becomes some number, without a word
        return numbers.astype(_CLASSES[kind]).reshape(shape, order="F")


def _numbers(element: _Element, order: str, kinds: str = "iuf") -> np.ndarray:
    """The numbers of an element, if they are signed, unsigned or with fractions as asked for."""
    if _NUMBERS.get(element.kind, "?")[0] not in kinds:
        raise ValueError(f"it has an element of type {element.kind} in the place of numbers")
    return np.frombuffer(element.content, order + _NUMBERS[element.kind])


def _text(element: _Element, shape: tuple[int, ...], order: str) -> str | None:
    """A line of text; None for several, which nobody here needs."""
    coding = _TEXTS[element.kind]
    if coding not in ("latin-1", "utf-8"):
        coding += "-le" if order == "<" else "-be"
    return element.content.decode(coding, "replace") if shape[0] == 1 or not math.prod(shape) else None


def _structures(count: int, parts: list[_Element], order: str, depth: int) -> list[dict[str, Any]]:
    """Structures: the length of a field's name, the names, then the fields of the first, the second, ..."""
    length, names, *fields = parts
    (width,) = _numbers(length, order, "i").tolist()
    if width < 1 or len(names.content) % width or not names.content:
        raise ValueError("its structures have no names of fields")
    starts = range(0, len(names.content), width)
    keys = [names.content[i : i + width].split(b"\0")[0].decode("latin-1") for i in starts]
    if len(fields) != count * len(keys):
        raise ValueError(f"it has {len(fields)} values for {count} structures of {len(keys)} fields")
    values = [_array(field, order, depth + 1)[1] for field in fields]
    return [dict(zip(keys, values[i * len(keys) : (i + 1) * len(keys)])) for i in range(count)]
