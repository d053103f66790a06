"""Damaged files by the thousand, and what a reader makes of them, told by a process of its own.

No test file itself. The same name and number always give the same file, so that a finding can be made again.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from shared.base.errors import UserError

#: Seconds that a reader may take for one small file, and bytes of memory beside what is there.
SECONDS, MEMORY = 20, 1 << 30
_TEXTS = (
    "&a |*a|<<: |!!int |!!bool |.inf|.nan|1_000|0e999|1e999|2026-99-99|null|NaN|-1|true|{}|[]|'|,|:|=cmd()|"
    '0-99999999999|[*a, *a, *a]|&a [*a]|? |> |%|#|..|/|"|\n|\r\n|\r|\t|\0|\ufeff|\x1b[2J|\u2028'
)
_BYTES = (
    b"\xff",
    b"\xed\xa0\x80",
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    bytes(8),
    b"\x80" + b"\xff" * 11,
)
_LONG = (b"9" * 5000, b"[" * 300, b"{" * 50, b"- " * 60, b"77777777777\0", b"| ", b"\x80" + b"\xff" * 11)
_TOKENS = (*(text.encode() for text in _TEXTS.split("|")), *_BYTES, *_LONG)


def mutated(samples: Sequence[bytes], name: str, number: int) -> bytes:
    """One of the samples with one to four changes."""
    chance = random.Random(f"{name} {number}")
    content = bytearray(chance.choice(samples))
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        at = chance.randrange(len(content) + 1)
        end = min(len(content), at + int(2 ** chance.uniform(0, 10)))
        kind = chance.randrange(8)
        if kind == 0 and at < len(content):
            content[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            content[at:end] = b""
        elif kind == 2:
            content[at:at] = content[at:end] * chance.choice((1, 2, 40))
        elif kind == 3:
            del content[at:]
        elif kind == 4:
            content[at : at + chance.choice((0, 1, 4, 8))] = chance.choice(_TOKENS)
        elif kind == 5:
            content[at:at] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 9)))
        elif kind == 6:
            other = chance.choice(samples)
            start = chance.randrange(len(other) + 1)
            content[at:end] = other[start : start + chance.randrange(1, 400)]
        else:  # what stands between separators, by something else
            places = [i for i, byte in enumerate(content) if byte in b' ,:\n"[]{}']
            if len(places) > 1:
                first = chance.randrange(len(places) - 1)
                content[places[first] + 1 : places[first + 1]] = chance.choice(_TOKENS)
    return bytes(content)


def outcomes(read: Callable[[bytes], Any], samples: Sequence[bytes], name: str, count: int) -> Counter[str]:
    """How often a reader took a damaged file, refused it, crashed its process, or did something else.

    Anything else is told by the number of the file and what happened. The reader works in a child with a
    bound on its memory, and a bound on its time for each file.
    """
    found: Counter[str] = Counter()
    done = 0
    while done < count:
        for line in _child(lambda number: _outcome(read, mutated(samples, name, number)), done, count):
            found[line if line in ("taken", "refused") else f"{name} {done}: {line}"] += 1
            done += 1
        if done < count:
            found["crashed"] += 1
            done += 1
    return found


def _outcome(read: Callable[[bytes], Any], content: bytes) -> str:
    try:
        read(content)
    except UserError as error:
        lines = str(error).split("\n")
        return "refused" if all(0 < len(line) < 2_200 for line in lines) else f"said {str(error)[:200]!r}"
    except BaseException as error:
        place = error.__traceback__
        while place and place.tb_next:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
        return f"{type(error).__name__}: {str(error)[:200]} ({where})"
    return "taken"


def _child(work: Callable[[int], str], start: int, end: int) -> list[str]:
    """What the work gives for each number, as far as a child comes."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reading)
            _bound()
            with os.fdopen(writing, "w") as told:
                for number in range(start, end):
                    signal.setitimer(signal.ITIMER_REAL, SECONDS)
                    told.write(json.dumps(work(number)) + "\n")
                    told.flush()
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        lines = [json.loads(line) for line in told if line.endswith("\n")]
    os.waitpid(child, 0)
    return lines


def _bound() -> None:
    """Bound the memory of this process; a file that takes too long is an error."""

    def late(number: int, frame: Any) -> None:
        raise TimeoutError(f"more than {SECONDS} seconds")

    signal.signal(signal.SIGALRM, late)
    with contextlib.suppress(OSError, ValueError):  # Linux says what is used
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)  # what libraries print of damaged files
