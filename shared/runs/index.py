"""What the store's records say in brief, kept between commands: ten thousand need not be read each time.

A line of the index holds for a record as long as its file is untouched: the times of its last changes, its
size and number. Whoever needs more than the line, or finds none, reads the record.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.base import paths
from shared.base.errors import UserError
from shared.base.files import read_json, write_json
from shared.runs.records import Record

#: New lines that are worth writing the index again.
WORTH_WRITING = 50
Signature = tuple[int, ...]


@dataclass(frozen=True)
class Line:
    """What tells whether a record is the last of its run, and the same as a collected one."""

    signature: Signature
    execution: int
    finished: str
    digest: str

    @property
    def environment(self) -> Mapping[str, Any]:
        """The circumstances that `shared.runs.records.order` looks at."""
        return {"execution": self.execution, "finished": self.finished}


class Index:
    """The lines of one store.

    Args:
        file: where they are kept.
    """

    def __init__(self, file: Path) -> None:
        self.file, self.new = file, 0
        self.lines: dict[str, Line] = {}
        with contextlib.suppress(UserError, OSError, TypeError, ValueError, AttributeError):
            self.lines = {run: _line(*entry) for run, entry in read_json(file).items()}

    def get(self, run_id: str, signature: Signature) -> Line | None:
        """The line of a record, if it is the one with this signature."""
        line = self.lines.get(run_id)
        return line if line is not None and line.signature == signature else None

    def put(self, record: Record, signature: Signature) -> Line:
        """Note a record that was read, and verified, when its file had this signature."""
        facts = record.environment
        line = Line(signature, facts.get("execution", 0), facts.get("finished", ""), record.digest)
        self.lines[record.run] = line
        self.new += 1
        return line

    def keep(self) -> None:
        """Write it, if enough is new; another process that does the same costs only time."""
        if self.new >= WORTH_WRITING:
            entries = {
                run: [list(line.signature), line.execution, line.finished, line.digest]
                for run, line in self.lines.items()
            }
            with contextlib.suppress(OSError):  # it is a convenience
                write_json(self.file, entries)
            self.new = 0


def _line(signature: list[int], execution: int, finished: str, digest: str) -> Line:
    """A line of the file; a ValueError for any other form: then the index is made anew."""
    good = all(type(number) is int for number in (*signature, execution)) and execution >= 0
    if not good or not isinstance(finished, str) or not isinstance(digest, str):
        raise ValueError("no line of an index")
    return Line(tuple(signature), execution, finished, digest)


_known: dict[Path, Index] = {}


def of_store() -> Index:
    """The index of the store of this checkout."""
    file = paths.store() / "index.json"
    if file not in _known:
        _known[file] = Index(file)
    return _known[file]


def keep() -> None:
    """Write what is new in any index; at the end of a command."""
    for index in _known.values():
        index.keep()
