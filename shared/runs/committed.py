"""The committed form of results: a long CSV per experiment and tier, and a sidecar with the circumstances.

This module reads and writes the two files; what they mean together with the store is decided in
`shared.runs.ledger`. The tiers that are not committed have the same two files in the ignored store.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.base import bounded, paths
from shared.base.errors import UserError
from shared.base.files import write_atomic, write_json
from shared.runs import facts
from shared.runs.api import Row
from shared.runs.records import Record, rows_digest

HEADER = ("run", "experiment", "arm", "seed", "metric", "step", "value")
_ENDINGS = (".csv", paths.SIDECAR)


@dataclass(frozen=True)
class Committed:
    """One experiment's results at one tier, as the CSV and its sidecar hold them.

    Attributes:
        runs: the run of each arm and seed.
        rows: the measured values of each run.
        environments: the sidecar: environment, inputs and digest of the rows of each run.
        problems: what contradicts itself, for `check`.
        damage: a sentence for each run whose rows and sidecar do not belong together, or that lacks one.
    """

    runs: Mapping[tuple[str, int], str]
    rows: Mapping[str, tuple[Row, ...]]
    environments: Mapping[str, Mapping[str, Any]]
    problems: tuple[str, ...] = ()
    damage: Mapping[str, str] = field(default_factory=dict)

    def record(self, run_id: str) -> Record | None:
        """The record of a run; None if it is not here.

        Raises:
            UserError: if it was damaged: its rows are not those that the sidecar was written for.
        """
        if run_id in self.damage:
            raise UserError(self.damage[run_id])
        if run_id not in self.rows:
            return None
        environment = dict(self.environments[run_id])
        inputs = environment.pop("inputs", {})
        digest = environment.pop("rows", None)
        record = Record(run_id, inputs, self.rows[run_id], environment)
        if digest is not None:
            record.__dict__["digest"] = digest  # it was found equal when the files were read
        return record


#: By name of a file something that changes whenever it does.
States = dict[str, tuple[int, ...]]


def states(folder: Path) -> States:
    """The results in a folder, and their sidecars."""
    try:
        with os.scandir(folder) as entries:
            found = {entry.name: entry.stat() for entry in entries if entry.name.endswith(_ENDINGS)}
    except (FileNotFoundError, NotADirectoryError):  # a folder that may not be read is not an empty one
        return {}
    return {name: (stat.st_mtime_ns, stat.st_size, stat.st_ino) for name, stat in found.items()}


def signatures(folder: Path, found: States) -> dict[Path, tuple[Any, Any]]:
    """For each CSV of a folder, by name, something that changes whenever it or its sidecar does.

    A CSV of which only the sidecar is left is among them.
    """
    files = {folder / f"{name.removesuffix('.csv').removesuffix(paths.SIDECAR)}.csv" for name in found}
    return {file: (found.get(file.name), found.get(paths.sidecar(file).name)) for file in sorted(files)}


def read_file(file: Path) -> Committed:
    """What a CSV and its sidecar hold; empty if they do not exist.

    Raises:
        UserError: if one is there but makes no sense; the message says where and what to do.
    """
    sidecar = paths.sidecar(file)
    environments = _environments(sidecar) if sidecar.exists() else {}
    runs: dict[tuple[str, int], str] = {}
    blocks: dict[tuple[str, str], list[Row]] = {}  # by run and arm, since two arms may be the same run
    problems = []
    for number, run, key, row in _measured(file) if file.exists() else ():
        if runs.setdefault(key, run) != run:
            arm, seed = key
            problems.append(f"line {number}: {arm} with seed {seed} has two runs, {runs[key]} and {run}")
        blocks.setdefault((run, key[0]), []).append(row)
    rows: dict[str, tuple[Row, ...]] = {}
    for (run, arm), values in blocks.items():
        if len({(row.metric, row.step) for row in values}) != len(values):
            problems.append(f"run {run} has two values for one metric and step")
        if run not in rows:
            rows[run] = tuple(values)
        elif rows_digest(rows[run]) != rows_digest(values):
            problems.append(f"run {run} has other values in arm {arm} than in the arm before")
    return Committed(runs, rows, environments, tuple(problems), _damage(file, rows, sidecar, environments))


def _environments(sidecar: Path) -> dict[str, dict[str, Any]]:
    try:
        text = bounded.read_text(sidecar, paths.shown(sidecar), bounded.MOST_RECORDED)
        return environments_of(text)
    except _Mistyped as error:
        raise UserError(f"{paths.shown(sidecar)}{error}; {_remedy(sidecar)}") from None
    except ValueError as error:
        raise UserError(f"{paths.shown(sidecar)} is not valid JSON ({error}); {_remedy(sidecar)}") from None


class _Mistyped(ValueError):
    """JSON of another form than a sidecar has; says what follows the name of the file."""


def environments_of(text: str) -> dict[str, dict[str, Any]]:
    """What a sidecar says of each run.

    Raises:
        ValueError: if the text is not JSON, or a fact in it has another type than it should.
    """
    content = bounded.json_of(text)
    if not isinstance(content, dict):
        raise _Mistyped(" should hold the environment and inputs of each run")
    for run, entry in content.items():
        if not isinstance(entry, dict):
            said = "it should hold the environment and inputs of the run"
        else:
            said = facts.wrong(entry, entry.get("inputs", {})) or ""
        if said:
            line = text[: max(text.find(json.dumps(run)), 0)].count("\n") + 1
            raise _Mistyped(f", line {line}: the entry of run {run} is wrong: {said}")
    return content


def _measured(file: Path) -> Iterator[tuple[int, str, tuple[str, int], Row]]:
    """Number of the line, run, arm and seed, and value of each line of a CSV."""
    name = paths.shown(file)
    try:
        with file.open(newline="", encoding="utf-8-sig") as handle:
            lines = csv.reader(handle)
            if tuple(next(lines, ())) != HEADER:
                raise UserError(f"{name} does not begin with {','.join(HEADER)}; {_remedy(file)}")
            for number, line in enumerate(lines, start=2):
                try:
                    run, _, arm, seed, metric, step, value = line
                    entry = (number, run, (arm, _whole(seed)), Row(metric, _step(step), _finite(value)))
                except ValueError:
                    raise UserError(f"{name}, line {number} is malformed; {_remedy(file)}") from None
                yield entry
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{name} is not a CSV file in UTF-8 ({error}); {_remedy(file)}") from None


def _step(text: str) -> int | float | str:
    if not text:
        return ""
    try:
        return _whole(text)
    except ValueError:
        return _finite(text)


def _whole(text: str) -> int:
    return int(text) if len(text) < 5 and text.isdecimal() else bounded.whole(text)  # most are short


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0 or "_" in text:
        raise ValueError
    return number


def _damage(
    file: Path, rows: Mapping[str, tuple[Row, ...]], sidecar: Path, environments: Mapping[str, Any]
) -> dict[str, str]:
    """What is wrong with the runs that must not be taken as they stand here."""
    found, name = {}, paths.shown(file)
    for run in dict.fromkeys((*rows, *environments)):
        digest = environments.get(run, {}).get("rows")
        if run not in environments:
            found[run] = f"{name} holds run {run}, but {sidecar.name} does not; {_remedy(file, 'both files')}"
        elif not isinstance(digest, str):  # whoever edits the rows could take it away, too
            text = f"{sidecar.name} has no digest of the rows of run {run} in {name}"
            found[run] = f"{text}; {_remedy(file, 'both files')}"
        elif digest != rows_digest(rows.get(run, ())):
            text = f"the rows of run {run} in {name} do not match its sidecar {sidecar.name}"
            found[run] = f"{text}; {_remedy(file, 'both files')}"
    return found


def _remedy(file: Path, what: str = "it") -> str:
    """How to get a damaged file back: git has what is committed, and the store what the other files hold."""
    if file.is_relative_to(paths.store()):
        made = "it is" if what == "it" else "they are"
        return f"delete {what}; {made} made again from {paths.shown(paths.store() / 'runs')}"
    if file.is_relative_to(paths.root()):
        return f"restore {what} from git"
    return f"copy {what} again from where the results were made"


def text(blocks: Iterable[tuple[str, str, str, int, Iterable[Row]]]) -> str:
    """A CSV of (run, experiment, arm, seed, rows), in full precision: Python's shortest exact form."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(HEADER)
    for run, experiment, arm, seed, rows in blocks:
        for row in rows:
            step = row.step if isinstance(row.step, str) else repr(row.step)
            writer.writerow((run, experiment, arm, seed, row.metric, step, repr(row.value)))
    return lines.getvalue()


def holds(file: Path, content: str, environments: Mapping[str, Any]) -> bool:
    """Whether `write` would change nothing."""
    sidecar = paths.sidecar(file)
    if not environments:
        return not file.exists() and not sidecar.exists()
    try:
        return file.read_text() == content and json.loads(sidecar.read_text()) == environments
    except (OSError, ValueError):
        return False


def write(file: Path, content: str, environments: Mapping[str, Any]) -> bool:
    """Write a CSV and its sidecar, each whole or not at all; remove both if no run is known.

    Returns:
        Whether that changed anything.
    """
    if holds(file, content, environments):
        return False
    if environments:
        write_json(paths.sidecar(file), environments)
        write_atomic(file, content)
    else:
        paths.sidecar(file).unlink(missing_ok=True)  # first: rows alone go next time, should this process end
        file.unlink(missing_ok=True)
    return True
