"""From the store to the committed CSV of an experiment, and from there to data frames."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared import collected, config, paths, records, validity
from shared.errors import UserError
from shared.files import lock, write_atomic, write_json
from shared.interface import Row

if TYPE_CHECKING:
    import pandas as pd


def collect(experiment: config.Experiment, tier: str) -> bool:
    """Write the CSV and sidecar of an experiment at a tier from the store and from what they hold already.

    Rows of a declared arm and seed whose settings changed are kept until a new run replaces them (`check`
    calls them stale, `read` leaves them out); rows of arms and seeds no longer declared go. Safe to call
    from several processes.

    Returns:
        Whether the files changed; they are gone if no declared run has results.

    Raises:
        UserError: if they are damaged and the store does not have what they held; nothing is written.
    """
    paper, name = experiment.paper, experiment.name
    with lock(records.lock_path(f"collect-{paper}-{name}-{tier}")):
        text, environments = compose(experiment, tier)
        file, sidecar = collected.csv_path(paper, name, tier), collected.env_path(paper, name, tier)
        if not environments:
            gone = file.exists() or sidecar.exists()
            sidecar.unlink(missing_ok=True)  # first, since rows alone go next time if this process ends here
            file.unlink(missing_ok=True)
            return gone
        if is_collected(experiment, tier, text, environments):
            return False
        write_json(sidecar, environments)
        write_atomic(file, text)
        return True


def verify(experiment: config.Experiment, tier: str) -> None:
    """Look whether `collect` can write the files of an experiment at a tier.

    Raises:
        UserError: if they are damaged and the store does not have what they held.
    """
    if collected.of(experiment.paper, experiment.name, tier).damage:
        compose(experiment, tier)


def is_worth_collecting(experiment: config.Experiment, tier: str) -> bool:
    """Whether to collect an experiment nobody asked for because it shares a run with one that was.

    So if results of it are collected already, or if all its runs are known: a few arms that happen to be
    there would only look like an experiment that somebody began.
    """
    paper, name = experiment.paper, experiment.name
    begun = collected.csv_path(paper, name, tier).exists() or collected.env_path(paper, name, tier).exists()
    return begun or all(validity.known(run) is not None for run in experiment.runs(tier))


def unasked(paper: config.Paper, tier: str) -> set[str]:
    """Names of the experiments to collect at a tier when none is named.

    Those worth collecting, then those with the most results until each result that is known has a place.
    """
    able = {name: each.runs(tier) for name, each in paper.experiments.items() if tier in each.tiers}
    there = {name: {run.id for run in runs if validity.known(run)} for name, runs in able.items()}
    chosen = {name for name in able if is_worth_collecting(paper.experiments[name], tier)}
    for name in sorted(able, key=lambda name: -len(there[name])):
        if there[name] - {run for other in chosen for run in there[other]}:
            chosen.add(name)
    return chosen


def is_collected(
    experiment: config.Experiment, tier: str, text: str | None = None, environments: Any = None
) -> bool:
    """Whether the CSV and sidecar hold all that is known, that is, whether `collect` would change nothing.

    Raises:
        UserError: if they are damaged, so that `collect` would refuse.
    """
    if text is None:
        text, environments = compose(experiment, tier)
    file = collected.csv_path(experiment.paper, experiment.name, tier)
    sidecar = collected.env_path(experiment.paper, experiment.name, tier)
    if not environments:
        return not file.exists() and not sidecar.exists()
    try:
        return file.read_text() == text and json.loads(sidecar.read_text()) == environments
    except (OSError, ValueError):
        return False


def compose(experiment: config.Experiment, tier: str) -> tuple[str, dict[str, dict[str, Any]]]:
    """The text of the CSV and the content of the sidecar, in declared order.

    Raises:
        UserError: if what is collected is damaged, and the store does not have what it held.
    """
    old = collected.of(experiment.paper, experiment.name, tier)
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(collected.HEADER)
    environments = {}
    for run in experiment.runs(tier):
        record = validity.known(run) or _earlier(run, old)
        if record is None:
            continue
        digest = records.rows_digest(record.rows)
        environments[record.run] = {**record.environment, "inputs": dict(record.inputs), "rows": digest}
        for row in record.rows:
            step = row.step if isinstance(row.step, str) else repr(row.step)
            writer.writerow(
                (record.run, experiment.name, run.arm, run.seed, row.metric, step, repr(row.value))
            )
    for run_id, sentence in old.damage.items():  # rows that were cut off: nothing else tells of these runs
        if run_id not in old.rows and run_id not in environments and records.stored(run_id) is None:
            raise UserError(sentence)
    return lines.getvalue(), environments


def _earlier(run: config.Run, old: collected.Collected) -> records.Record | None:
    """What is collected for the arm and seed of a run from settings that have changed since."""
    name = old.runs.get((run.arm, run.seed), "")
    return validity.anywhere(run.paper, name) if name in old.damage else old.record(name)


def read(paper: str, experiment: str, tier: str) -> pd.DataFrame:
    """The results of the runs that are declared now, one measured value a row, in declared order.

    Columns are those of the CSV: run, experiment, arm, seed, metric, step (float; NaN where there is none),
    value. Rows made from settings that have changed since are left out. Empty if nothing was recorded.

    Raises:
        UserError: for an unknown paper, experiment or tier, or a damaged file.
    """
    declared = config.load(paper).experiment(experiment)
    here = collected.of(paper, experiment, tier)
    wanted = declared.runs(tier)
    if any(run.id in here.damage for run in wanted):
        verify(declared, tier)
        file = paths.shown(collected.csv_path(paper, experiment, tier))
        raise UserError(f"{file} is not what its sidecar says; `python -m pipelines collect` writes it anew")
    rows = [
        (run.id, experiment, run.arm, run.seed, *row) for run in wanted for row in here.rows.get(run.id, ())
    ]
    return _frame(rows)


def _frame(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(rows, columns=list(collected.HEADER))
    frame["step"] = pd.to_numeric(frame["step"], errors="coerce").astype(float)
    kinds = {"seed": "int64", "value": "float64", "run": str, "experiment": str, "arm": str, "metric": str}
    return frame.astype(kinds)


def environments(paper: str, experiment: str, tier: str) -> Mapping[str, Mapping[str, Any]]:
    """Environment and inputs of each collected run, by run."""
    return collected.of(paper, experiment, tier).environments


def earlier_code(paper: str, experiment: str, tier: str) -> set[str]:
    """The collected runs that were made by other code than the present one."""
    found = environments(paper, experiment, tier)
    return {run for run, facts in found.items() if validity.is_earlier_code(facts, paper)}


def rows_of(run: config.Run) -> tuple[Row, ...]:
    """The rows known of a run; empty if there are none."""
    record = validity.known(run)
    return record.rows if record else ()
