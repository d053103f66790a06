"""What enters from a file is bounded before it is used: its bytes, the depth of JSON, digits of numbers."""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Any

from shared.base.errors import UserError

#: Bytes of a file that people write, and of one that this project writes.
MOST_WRITTEN, MOST_RECORDED = 4 << 20, 1 << 30
#: Levels of JSON; what is recorded has fewer than ten.
MOST_DEPTH = 40
_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,4})?")
_LONGEST_NUMBER = 40


def read_text(path: Path, name: str, most: int = MOST_WRITTEN) -> str:
    """The text of a file in UTF-8; a byte order mark in front is left out.

    Args:
        path: of the file.
        name: of the file, for the message.
        most: bytes that it may have; no more are read.

    Raises:
        UserError: if it is larger, or not UTF-8.
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        # no more than is there: so much memory is taken before anything is read
        content = file.read(min(size, most) + 1)
        while len(content) <= most and (more := file.read(1 << 16)):  # a pipe, or a file that grows
            content += more
    if len(content) > most:
        raise UserError(f"{name} has more than {most:,} bytes and is not read; look what it is")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not text in UTF-8 ({error}); save it as such") from None


def json_of(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: if it is not JSON (as NaN is not), is nested too deep, or holds a number of thousands of
            digits.
    """
    try:
        value = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError(f"it is nested more than {MOST_DEPTH} deep") from None
    if is_deep(value, MOST_DEPTH):
        raise ValueError(f"it is nested more than {MOST_DEPTH} deep")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def is_deep(value: Any, most: int) -> bool:
    """Whether lists and mappings are nested more than ``most`` deep."""
    level = [value]
    for _ in range(most + 1):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += [v for v in one.values() if isinstance(v, (dict, list))]
            elif isinstance(one, list):
                inner += [v for v in one if isinstance(v, (dict, list))]
        if not inner:
            return False
        level = inner
    return True


def whole(text: str) -> int:
    """The whole number that a text is, of at most 18 decimal digits.

    Raises:
        ValueError: if it is none; ``1_000`` and digits of other scripts, which Python takes, are none here.
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text[:_LONGEST_NUMBER]!r} is not a whole number")
    return int(text)


def number(text: str) -> float:
    """The finite number that a text of at most 40 letters is.

    Raises:
        ValueError: if it is none, as `whole`.
    """
    if len(text) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text) and math.isfinite(found := float(text)):
        return found
    raise ValueError(f"{text[:_LONGEST_NUMBER]!r} is not a number")
