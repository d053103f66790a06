"""Records of runs: a JSON file per finished run in the ignored store, and the committed CSV with its sidecar.

A record says what it was made from (`inputs`), what came out (`rows`) and under which circumstances
(`environment`). Whether it is valid is decided from the inputs alone, never from times or commits.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.base import bounded, paths
from shared.base.errors import UserError
from shared.base.files import lock, named, write_json
from shared.runs import config, facts
from shared.runs.api import Row

_TIMING = re.compile(r"(.*_)?(seconds|mb)|.*_per_second")
_METRIC = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
#: A number of an execution that is only claimed.
MOST_EXECUTIONS = 10**9


class Unwritable(UserError):
    """Nothing can be recorded here, whatever is computed."""


@dataclass(frozen=True)
class Record:
    """The result of one run."""

    run: str
    inputs: Mapping[str, Any]
    rows: tuple[Row, ...]
    environment: Mapping[str, Any]

    @functools.cached_property
    def digest(self) -> str:
        """`rows_digest` of its rows."""
        return rows_digest(self.rows)

    def contradiction(self, other: Record) -> str | None:
        """The first value in which two records of the same run differ, as text; timings may differ."""
        if self.digest == other.digest:
            return None
        mine, theirs = untimed(self.rows), untimed(other.rows)
        for key in differences(mine, theirs):
            return f"{key[0]} at step {key[1]!r} is {mine.get(key)} and {theirs.get(key)}"
        return None


def untimed(rows: Iterable[Row]) -> dict[tuple[str, int | float | str], float]:
    """Values by metric and step, without those that measure time or memory."""
    return {(row.metric, row.step): row.value for row in rows if not is_timing(row.metric)}


def differences(mine: Mapping[Any, float], theirs: Mapping[Any, float]) -> list[Any]:
    """Where two records differ in a value, or one has none: the keys of `untimed`, in order."""
    keys = [*mine, *(key for key in theirs if key not in mine)]
    return [key for key in keys if mine.get(key) != theirs.get(key)]


def rows_digest(rows: Iterable[Row]) -> str:
    """Sixteen hexadecimal digits of the rows, kept in the sidecar so that an edit of the CSV is noticed."""
    text = json.dumps([list(row) for row in rows])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_timing(metric: str) -> bool:
    """Whether a metric measures time or memory, which differ from one execution of a run to the next."""
    return _TIMING.fullmatch(metric) is not None


def checked_rows(rows: Iterable[Any], where: str) -> tuple[Row, ...]:
    """Rows with plain Python numbers, verified to be recordable.

    Raises:
        UserError: if there is none, a name is malformed, a value is not finite, or a step comes twice.
    """
    made: list[Row] = []
    for row in rows:
        metric, number, place = _read(row, where)
        if not isinstance(metric, str) or not _METRIC.fullmatch(metric):
            raise UserError(f"{where}: {metric!r} is not a name for a metric; use letters, digits, _ . -")
        if not math.isfinite(number):
            at = "" if place == "" else f" at step {place}"
            raise UserError(
                f"{where}: {metric}{at} is {number}, so nothing was recorded; look at what measures it in "
                "experiment.py"
            )
        if isinstance(place, str) and place:
            raise UserError(f"{where}: {metric} has the step {place!r}; use a number or the empty string")
        made.append(Row(metric, place, number))
    if not made:
        raise UserError(f"{where}: the experiment returned no rows; nothing was recorded")
    if len({(row.metric, row.step) for row in made}) != len(made):
        raise UserError(f"{where}: a metric has two values at one step; nothing was recorded")
    return tuple(made)


def _read(row: Any, where: str) -> tuple[Any, float, int | float | str]:
    """The metric as it is, value and step as plain Python has them."""
    try:
        metric, step, value = row
        if isinstance(value, str):
            raise ValueError
        if not isinstance(step, str) and not math.isfinite(step):
            raise ValueError
        return metric, float(value), step if isinstance(step, str) else _number(step)
    except (TypeError, ValueError, OverflowError):
        raise UserError(
            f"{where}: {row!r} is no row of metric, step and value; nothing was recorded"
        ) from None


def _number(step: Any) -> int | float:
    return int(step) if int(step) == step else float(step)


def stored_path(run_id: str) -> Path:
    """File of a run in the store."""
    return paths.store() / "runs" / f"{run_id}.json"


def lock_path(name: str) -> Path:
    """File that stands for a lock."""
    return paths.store() / "locks" / name


def writing() -> contextlib.AbstractContextManager[None]:
    """The lock to hold from looking at what the store has of a run until `save`: nobody else writes then.

    It is held for moments, and whoever holds it waits for no other lock.
    """
    return lock(lock_path("store"))


def order(environment: Mapping[str, Any]) -> tuple[int, str]:
    """What tells which of two executions of a run is the later one, from their circumstances; no clock.

    Each execution has a number, one more than any that was known of when it was recorded. Executions recorded
    before there were numbers have 0 and are told apart by when they were finished, as far as that is true.
    """
    number = environment.get("execution", 0)
    return (number, "") if number else (0, environment.get("finished", ""))


def is_same_execution(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Whether the circumstances are those of one execution of a run."""
    return order(mine) == order(theirs) and mine.get("finished") == theirs.get("finished")


def save(record: Record) -> None:
    """Write a record to the store, whole or not at all; `writing` is to be held."""
    write_json(
        stored_path(record.run),
        {
            "run": record.run,
            "inputs": record.inputs,
            "rows": [list(row) for row in record.rows],
            "environment": record.environment,
        },
    )


def check_writable() -> None:
    """Look whether records and checkpoints can be written, before anything is computed for them.

    Raises:
        Unwritable: if not, with the reason.
    """
    for folder in (stored_path("").parent, paths.store() / "checkpoints"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with named(folder), tempfile.TemporaryFile(dir=folder, buffering=0) as probe:
                probe.write(bytes(4096))
        except OSError as error:
            raise unwritable(error) from None


def unwritable(error: OSError) -> Unwritable:
    """What to say of an error of writing in the store."""
    file = Path(error.filename) if isinstance(error.filename, str) else paths.store()
    return Unwritable(
        f"{paths.shown(file)} cannot be written ({error.strerror}), so no further run was begun; see to "
        "space and permissions there, then give the same command again: it goes on from what is recorded"
    )


def stored(run_id: str) -> Record | None:
    """The record of a run in the store; None if there is none or the file is damaged."""
    file = stored_path(run_id)
    try:
        text = bounded.read_text(file, file.name, bounded.MOST_RECORDED)
        return parse(bounded.json_of(text), file.name)
    except (OSError, ValueError, UserError):
        return None


def signature(run_id: str) -> tuple[int, ...] | None:
    """Something that changes whenever the record of a run is written or edited; None without a record."""
    try:
        stat = os.stat(f"{_runs_folder(paths.store())}/{run_id}.json")
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino)


@functools.lru_cache(maxsize=8)
def _runs_folder(store: Path) -> str:
    """The folder of the records, as text: ten thousand paths cost a second to build."""
    return str(store / "runs")


def parse(value: Any, where: str) -> Record:
    """A record from its JSON, verified: the name of the run must follow from the inputs.

    Raises:
        UserError: if the content has another form, or its name does not follow from its inputs.
    """
    try:
        if said := facts.wrong(value["environment"], value["inputs"]):
            raise UserError(f"{where} is not the record of a run: {said}; copy it anew or leave it out")
        rows = checked_rows(value["rows"], where)
        record = Record(value["run"], dict(value["inputs"]), rows, dict(value["environment"]))
        json.dumps(record.environment, allow_nan=False)  # or it could not be saved
        name = config.identity(record.inputs)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        said = f"{type(error).__name__}: {error}"
        raise UserError(
            f"{where} is not the record of a run ({said}); copy it anew or leave it out"
        ) from None
    if name != record.run:
        raise UserError(
            f"{where}: the name of the run does not follow from its inputs; it was edited by hand"
        )
    return record
