"""The one exception that the command line turns into a sentence instead of a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any


class UserError(Exception):
    """Something the user can put right: one sentence that says what is wrong and what to do."""


class Mistakes(UserError):
    """Several of them, one sentence a line, each once."""

    def __init__(self, sentences: Iterable[str]) -> None:
        super().__init__("\n".join(dict.fromkeys(sentences)))


def each(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """What ``function`` returns for each item; if it fails for some, what it says of all of them.

    Raises:
        UserError: if it does for an item.
    """
    found, refused = [], []
    for item in items:
        try:
            found.append(function(item))
        except UserError as error:
            refused.append(error)
    if len(refused) == 1:
        raise refused[0]
    if refused:
        raise Mistakes(line for error in refused for line in str(error).splitlines())
    return found


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Say that ``name`` is not a known ``kind``, and name the nearest known one.

    >>> unknown("experiment", "tabel1", ["table1", "figure3"])
    "unknown experiment 'tabel1'; did you mean 'table1'? (known: figure3, table1)"
    """
    choices = sorted(known)
    near = difflib.get_close_matches(str(name), choices, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {str(name)!r}{hint} (known: {', '.join(choices) or 'none'})"
