"""Records of runs: a JSON file per finished run in the ignored store, and the committed CSV with its sidecar.

A record says what it was made from (`inputs`), what came out (`rows`) and under which circumstances
(`environment`). Whether it is valid is decided from the inputs alone, never from times or commits.
"""

from __future__ import annotations

import csv
import functools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared import config, fingerprint, paths
from shared.errors import UserError
from shared.files import write_json
from shared.interface import Row

HEADER = ("run", "experiment", "arm", "seed", "metric", "step", "value")
#: Tiers that retrain when the code behind them changes; elsewhere results are only marked "earlier code".
RETRAINED_TIERS = ("smoke", "demo")
_TIMING = re.compile(r"(.*_)?(seconds|mb)|.*_per_second")
_METRIC = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Record:
    """The result of one run."""

    run: str
    inputs: Mapping[str, Any]
    rows: tuple[Row, ...]
    environment: Mapping[str, Any]

    def contradiction(self, other: Record) -> str | None:
        """The first value in which two records of the same run differ, as text; timings may differ."""
        mine, theirs = (dict(_untimed(record.rows)) for record in (self, other))
        for key in [*mine, *(key for key in theirs if key not in mine)]:
            if mine.get(key) != theirs.get(key):
                return f"{key[0]} at step {key[1]!r} is {mine.get(key)} and {theirs.get(key)}"
        return None


def _untimed(rows: Iterable[Row]) -> Iterator[tuple[tuple[str, Any], float]]:
    return (((row.metric, row.step), row.value) for row in rows if not is_timing(row.metric))


def is_timing(metric: str) -> bool:
    """Whether a metric measures time or memory, which differ from one execution of a run to the next."""
    return _TIMING.fullmatch(metric) is not None


def checked_rows(rows: Iterable[Any], where: str) -> tuple[Row, ...]:
    """Rows with plain Python numbers, verified to be recordable.

    Raises:
        UserError: if there is none, a name is malformed, a value is not finite, or a step comes twice.
    """
    made: list[Row] = []
    for metric, step, value in rows:
        if not isinstance(metric, str) or not _METRIC.fullmatch(metric):
            raise UserError(f"{where}: {metric!r} is not a name for a metric; use letters, digits, _ . -")
        number, place = float(value), step if isinstance(step, str) else _number(step)
        if not math.isfinite(number) or (isinstance(place, float) and not math.isfinite(place)):
            raise UserError(f"{where}: {metric} at step {step} is {number}; nothing was recorded")
        if isinstance(place, str) and place:
            raise UserError(f"{where}: {metric} has the step {place!r}; use a number or the empty string")
        made.append(Row(metric, place, number))
    if not made:
        raise UserError(f"{where}: the experiment returned no rows; nothing was recorded")
    if len({(row.metric, row.step) for row in made}) != len(made):
        raise UserError(f"{where}: a metric has two values at one step; nothing was recorded")
    return tuple(made)


def _number(step: Any) -> int | float:
    return int(step) if int(step) == step else float(step)


# -- the store ---------------------------------------------------------------------------------------------


def stored_path(run_id: str) -> Path:
    """File of a run in the store."""
    return paths.store() / "runs" / f"{run_id}.json"


def lock_path(name: str) -> Path:
    """File that stands for a lock."""
    return paths.store() / "locks" / name


def save(record: Record) -> None:
    """Write a record to the store, whole or not at all."""
    write_json(
        stored_path(record.run),
        {
            "run": record.run,
            "inputs": record.inputs,
            "rows": [list(row) for row in record.rows],
            "environment": record.environment,
        },
    )


def stored(run_id: str) -> Record | None:
    """The record of a run in the store; None if there is none or the file is damaged."""
    file = stored_path(run_id)
    try:
        return parse(json.loads(file.read_text()), file.name)
    except (OSError, ValueError, UserError):
        return None


def parse(value: Any, where: str) -> Record:
    """A record from its JSON, verified: the name of the run must follow from the inputs.

    Raises:
        UserError: if the content has another form, or its name does not follow from its inputs.
    """
    try:
        rows = checked_rows(value["rows"], where)
        record = Record(value["run"], dict(value["inputs"]), rows, dict(value["environment"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where} is not the record of a run ({type(error).__name__}: {error})") from None
    if config.identity(record.inputs) != record.run:
        raise UserError(
            f"{where}: the name of the run does not follow from its inputs; it was edited by hand"
        )
    return record


# -- collected results -------------------------------------------------------------------------------------


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
        return Record(run_id, environment.pop("inputs", {}), self.rows[run_id], environment)


def csv_path(paper: str, experiment: str, tier: str) -> Path:
    """The collected rows of an experiment at a tier."""
    return paths.results(paper, tier) / f"{experiment}.csv"


def env_path(paper: str, experiment: str, tier: str) -> Path:
    """The sidecar of `csv_path`: environment and inputs of each run."""
    return paths.results(paper, tier) / f"{experiment}.env.json"


def collected(paper: str, experiment: str, tier: str) -> Collected:
    """What is collected of an experiment at a tier; empty if nothing is.

    Raises:
        UserError: if a file is there but cannot be read.
    """
    return read_collected(csv_path(paper, experiment, tier))


def read_collected(file: Path) -> Collected:
    """What a CSV and its sidecar (beside it, ``.env.json``) hold; empty if they do not exist."""
    sidecar = file.with_name(f"{file.name.removesuffix('.csv')}.env.json")
    return _read_collected(file, _signature(file), sidecar, _signature(sidecar))


def _signature(file: Path) -> tuple[int, ...] | None:
    try:
        stat = file.stat()
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)


@functools.lru_cache(maxsize=256)
def _read_collected(file: Path, signature: Any, sidecar: Path, sidecar_signature: Any) -> Collected:
    environments: dict[str, Any] = {}
    if sidecar_signature is not None:
        try:
            environments = dict(json.loads(sidecar.read_text()))
        except (ValueError, TypeError):
            raise UserError(f"{sidecar.name} is not valid JSON; restore it from git") from None
    if signature is None:
        return Collected({}, {}, environments)
    runs: dict[tuple[str, int], str] = {}
    rows: dict[str, list[Row]] = {}
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
            rows.setdefault(run, []).append(row)
    for run, values in rows.items():
        places = [(row.metric, row.step) for row in values]
        if len(set(places)) != len(places):
            problems.append(f"run {run} has two values for one metric and step")
    return Collected(runs, {run: tuple(r) for run, r in rows.items()}, environments, tuple(problems))


def _step(text: str) -> int | float | str:
    if not text:
        return ""
    try:
        return int(text)
    except ValueError:
        return float(text)


# -- what is known of a run --------------------------------------------------------------------------------


def known(run: config.Run) -> Record | None:
    """The newest record of a run: from the store, or from any collected results of its paper."""
    found = [stored(run.id), collected(run.paper, run.experiment, run.tier).record(run.id)]
    if found == [None, None]:
        found = [read_collected(file).record(run.id) for file in _all_collected(run.paper)]
    records = [record for record in found if record is not None]
    return max(reversed(records), key=lambda r: str(r.environment.get("finished", "")), default=None)


def _all_collected(paper: str) -> list[Path]:
    folders = [paths.results(paper, tier) for tier in reversed(paths.TIERS)]
    return [file for folder in folders for file in sorted(folder.glob("*.csv"))]


def why_stale(run: config.Run) -> list[str]:
    """Why a run has no valid result; empty if it has one.

    Reasons are ``missing``, or what of its inputs changed since the result collected for this arm and seed
    (such as ``settings.epochs: 50 -> 60``), or, at smoke and demo only, ``code``.
    """
    record = known(run)
    if record is None:
        here = collected(run.paper, run.experiment, run.tier)
        old = here.environments.get(here.runs.get((run.arm, run.seed), ""), {})
        return _changes(old.get("inputs", {}), run.inputs) or ["missing"]
    if run.tier in RETRAINED_TIERS and is_earlier_code(record.environment, run.paper):
        return ["code"]
    return []


def is_earlier_code(environment: Mapping[str, Any], paper: str) -> bool:
    """Whether a result was made by other code than the present one."""
    return environment.get("fingerprint") != fingerprint.fingerprint(paper)


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    if not old:
        return []
    before, after = _flat(old), _flat(new)
    names = [*after, *(name for name in before if name not in after)]
    return [
        f"{name}: {before.get(name, 'absent')} -> {after.get(name, 'absent')}"
        for name in names
        if before.get(name) != after.get(name)
    ]


def _flat(inputs: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in inputs.items():
        flat |= {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
    return flat
