"""The one exception that the command line turns into a sentence instead of a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can put right: one sentence that says what is wrong and what to do."""


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Say that ``name`` is not a known ``kind``, and name the nearest known one.

    >>> unknown("experiment", "tabel1", ["table1", "figure3"])
    "unknown experiment 'tabel1'; did you mean 'table1'? (known: figure3, table1)"
    """
    choices = sorted(known)
    near = difflib.get_close_matches(str(name), choices, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    return f"unknown {kind} {str(name)!r}{hint} (known: {', '.join(choices) or 'none'})"
