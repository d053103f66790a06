"""The committed form of results: a long CSV per experiment and tier, and a sidecar with the circumstances."""

from __future__ import annotations

import csv
import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared import paths
from shared.errors import UserError
from shared.interface import Row
from shared.records import Record, rows_digest

HEADER = ("run", "experiment", "arm", "seed", "metric", "step", "value")


@dataclass(frozen=True)
class Collected:
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
        environment.pop("rows", None)
        return Record(run_id, inputs, self.rows[run_id], environment)


def csv_path(paper: str, experiment: str, tier: str) -> Path:
    """The collected rows of an experiment at a tier."""
    return paths.results(paper, tier) / f"{experiment}.csv"


def env_path(paper: str, experiment: str, tier: str) -> Path:
    """The sidecar of `csv_path`: environment and inputs of each run."""
    return paths.results(paper, tier) / f"{experiment}.env.json"


def files(folder: Path) -> list[Path]:
    """The CSV files of a folder of results, also those of which only the sidecar is left, by name."""
    sidecars = (
        file.with_name(f"{file.name.removesuffix('.env.json')}.csv") for file in folder.glob("*.env.json")
    )
    return sorted({*folder.glob("*.csv"), *sidecars})


def of(paper: str, experiment: str, tier: str) -> Collected:
    """What is collected of an experiment at a tier; empty if nothing is.

    Raises:
        UserError: if a file is there but makes no sense.
    """
    return read_file(csv_path(paper, experiment, tier))


def read_file(file: Path) -> Collected:
    """What a CSV and its sidecar (beside it, ``.env.json``) hold; empty if they do not exist.

    Raises:
        UserError: if one is there but makes no sense; the message says where and what to do.
    """
    sidecar = file.with_name(f"{file.name.removesuffix('.csv')}.env.json")
    return _read(file, _signature(file), sidecar, _signature(sidecar))


def _signature(file: Path) -> tuple[int, ...] | None:
    try:
        stat = file.stat()
    except (FileNotFoundError, NotADirectoryError):  # a folder that may not be read is not an empty one
        return None
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)


@functools.lru_cache(maxsize=256)
def _read(file: Path, signature: Any, sidecar: Path, sidecar_signature: Any) -> Collected:
    environments = {} if sidecar_signature is None else _environments(sidecar)
    runs: dict[tuple[str, int], str] = {}
    blocks: dict[tuple[str, str], list[Row]] = {}  # by run and arm, since two arms may be the same run
    problems = []
    for number, run, key, row in () if signature is None else _measured(file):
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
    return Collected(runs, rows, environments, tuple(problems), _damage(file, rows, sidecar, environments))


def _environments(sidecar: Path) -> dict[str, dict[str, Any]]:
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"), parse_constant=_refuse)
    except ValueError:  # also for bytes that are not UTF-8
        raise UserError(f"{paths.shown(sidecar)} is not valid JSON; {_remedy(sidecar)}") from None
    entries = content.values() if isinstance(content, dict) else [None]
    if not all(isinstance(entry, dict) and isinstance(entry.get("inputs", {}), dict) for entry in entries):
        raise UserError(
            f"{paths.shown(sidecar)} should hold the environment and inputs of each run; {_remedy(sidecar)}"
        )
    return dict(content)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _measured(file: Path) -> Iterator[tuple[int, str, tuple[str, int], Row]]:
    """Number of the line, run, arm and seed, and value of each line of a CSV."""
    name = paths.shown(file)
    try:
        with file.open(newline="", encoding="utf-8") as handle:
            lines = csv.reader(handle)
            if tuple(next(lines, ())) != HEADER:
                raise UserError(f"{name} does not begin with {','.join(HEADER)}; {_remedy(file)}")
            for number, line in enumerate(lines, start=2):
                try:
                    run, _, arm, seed, metric, step, value = line
                    entry = (number, run, (arm, int(seed)), Row(metric, _step(step), float(value)))
                except ValueError:
                    raise UserError(f"{name}, line {number} is malformed; {_remedy(file)}") from None
                yield entry
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{name} is not a CSV file in UTF-8 ({error}); {_remedy(file)}") from None


def _step(text: str) -> int | float | str:
    if not text:
        return ""
    try:
        return int(text)
    except ValueError:
        return float(text)


def _damage(
    file: Path, rows: Mapping[str, tuple[Row, ...]], sidecar: Path, environments: Mapping[str, Any]
) -> dict[str, str]:
    """What is wrong with the runs that must not be taken as they stand here."""
    found, name = {}, paths.shown(file)
    for run in dict.fromkeys((*rows, *environments)):
        digest = environments.get(run, {}).get("rows")
        if run not in environments:
            found[run] = f"{name} holds run {run}, but {sidecar.name} does not; {_remedy(file, 'both files')}"
        elif digest is not None and digest != rows_digest(rows.get(run, ())):
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
