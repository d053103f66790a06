"""The one exception that the command line turns into a sentence instead of a traceback."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Any

#: Letters that a line of a message may have, and lines of `Mistakes`: messages show values of files.
_MOST_LETTERS, _MOST_LINES = 2_000, 50
#: What would move the cursor of a terminal, or cannot be printed.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class UserError(Exception):
    """Something the user can put right: one sentence that says what is wrong and what to do.

    Of a very long line the middle is left out, and signs that are none of text are shown as escapes.
    """

    def __init__(self, sentence: object = "") -> None:
        super().__init__("\n".join(map(_cut, str(sentence).split("\n"))))


def _cut(line: str) -> str:
    if len(line) > _MOST_LETTERS:
        line = f"{line[: _MOST_LETTERS // 2]} ... {line[-_MOST_LETTERS // 2 :]}"
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), line)


class Mistakes(UserError):
    """Several of them, one sentence a line, each once; of very many the first."""

    def __init__(self, sentences: Iterable[str]) -> None:
        lines = list(dict.fromkeys(sentences))
        if len(lines) > _MOST_LINES:
            lines[_MOST_LINES:] = [f"and {len(lines) - _MOST_LINES} more; correct these first"]
        super().__init__("\n".join(lines))


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
    choices = sorted(map(str, known))
    near = difflib.get_close_matches(str(name), choices, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {str(name)!r}{hint} (known: {', '.join(choices) or 'none'})"
