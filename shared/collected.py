"""The committed form of results: a long CSV per experiment and tier, and a sidecar with the circumstances."""

from __future__ import annotations

import csv
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared import paths
from shared.errors import UserError
from shared.interface import Row
from shared.records import Record, rows_digest

HEADER = ("run", "experiment", "arm", "seed", "metric", "step", "value")


@dataclass(frozen=True)
class Collected:
    """One experiment's results at one tier, as the CSV and its sidecar hold them."""

    runs: Mapping[tuple[str, int], str]  # (arm, seed) -> run
    rows: Mapping[str, tuple[Row, ...]]
    environments: Mapping[str, Mapping[str, Any]]
    problems: tuple[str, ...] = ()

    def record(self, run_id: str) -> Record | None:
        """The record of a run; None if it is not here with its environment."""
        if run_id not in self.rows or run_id not in self.environments:
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


def of(paper: str, experiment: str, tier: str) -> Collected:
    """What is collected of an experiment at a tier; empty if nothing is.

    Raises:
        UserError: if a file is there but cannot be read.
    """
    return read_file(csv_path(paper, experiment, tier))


def read_file(file: Path) -> Collected:
    """What a CSV and its sidecar (beside it, ``.env.json``) hold; empty if they do not exist."""
    sidecar = file.with_name(f"{file.name.removesuffix('.csv')}.env.json")
    return _read(file, _signature(file), sidecar, _signature(sidecar))


def _signature(file: Path) -> tuple[int, ...] | None:
    try:
        stat = file.stat()
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)


@functools.lru_cache(maxsize=256)
def _read(file: Path, signature: Any, sidecar: Path, sidecar_signature: Any) -> Collected:
    environments: dict[str, Any] = {}
    if sidecar_signature is not None:
        try:
            environments = dict(json.loads(sidecar.read_text()))
        except (ValueError, TypeError):
            raise UserError(f"{sidecar.name} is not valid JSON; restore it from git") from None
    if signature is None:
        return Collected({}, {}, environments)
    runs: dict[tuple[str, int], str] = {}
    blocks: dict[tuple[str, str], list[Row]] = {}  # by run and arm, since two arms may be the same run
    problems = []
    with file.open(newline="") as handle:
        lines = csv.reader(handle)
        if tuple(next(lines, ())) != HEADER:
            raise UserError(f"{file.name} does not begin with {','.join(HEADER)}; restore it from git")
        for number, line in enumerate(lines, start=2):
            try:
                run, _, arm, seed, metric, step, value = line
                key, row = (arm, int(seed)), Row(metric, _step(step), float(value))
            except ValueError:
                raise UserError(f"{file.name}, line {number} is malformed; restore it from git") from None
            if runs.setdefault(key, run) != run:
                problems.append(f"line {number}: {arm} with seed {seed} has two runs, {runs[key]} and {run}")
            blocks.setdefault((run, arm), []).append(row)
    rows: dict[str, tuple[Row, ...]] = {}
    for (run, arm), values in blocks.items():
        if len({(row.metric, row.step) for row in values}) != len(values):
            problems.append(f"run {run} has two values for one metric and step")
        if run not in rows:
            rows[run] = tuple(values)
        elif rows_digest(rows[run]) != rows_digest(values):
            problems.append(f"run {run} has other values in arm {arm} than in the arm before")
    return Collected(runs, rows, environments, tuple(problems))


def _step(text: str) -> int | float | str:
    if not text:
        return ""
    try:
        return int(text)
    except ValueError:
        return float(text)
