"""Batches: runs of one arm that are trained together, their order, checkpoint and locks, and their costs.

Costs are the measured times and memory of the sidecars and the store, else what experiments.yaml declares.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.base import paths
from shared.base.errors import UserError
from shared.runs import config, devices, fingerprint, ledger, records
from shared.runs.api import Context, OutOfTime

if TYPE_CHECKING:
    from filelock import FileLock


def settings_key(run: config.Run) -> str:
    """Text that is equal for runs that differ in their seed only."""
    inputs = {key: value for key, value in run.inputs.items() if key != "seed"}
    return json.dumps(inputs, sort_keys=True)


def cut(runs: Iterable[config.Run], replicas: Callable[[config.Run], int]) -> list[list[config.Run]]:
    """Cut runs into batches of equal settings, ordered so that seeds are completed one after the other.

    A run that several experiments share is computed once.

    Args:
        runs: the runs, in declared order.
        replicas: how many seeds to compute at once.
    """
    arms: dict[tuple[str, str], dict[str, config.Run]] = {}
    for run in runs:
        arms.setdefault((run.paper, settings_key(run)), {}).setdefault(run.id, run)
    cut = []
    for place, members in enumerate(arms.values()):
        ordered = list(members.values())
        size = max(1, replicas(ordered[0]))
        cut += [(i // size, place, ordered[i : i + size]) for i in range(0, len(ordered), size)]
    return [batch for _, _, batch in sorted(cut, key=lambda entry: entry[:2])]


def checkpoint(batch: list[config.Run], device: str, precision: str) -> Path:
    """A batch's checkpoint; its name follows from the runs in order, the code, device and precision.

    So a training that began at another precision is not gone on with and then recorded as this one.
    """
    kind = device.partition(":")[0]
    code = fingerprint.fingerprint(batch[0].paper, batch[0].data)
    text = " ".join([kind, precision, code, *(run.id for run in batch)])
    return paths.store() / "checkpoints" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.pt"


def checkpoints(batch: list[config.Run], device: str, precision: str) -> list[Path]:
    """The checkpoint and what else of its name lies beside it, as far as it is there."""
    return beside(checkpoint(batch, device, precision))


def beside(place: Path) -> list[Path]:
    """A checkpoint, and those of single seeds that are named after it, as far as they are there."""
    return sorted(place.parent.glob(f"{place.stem}*"))


def finished(batch: list[config.Run], results: Mapping[int, Any], context: Context) -> list[config.Run]:
    """The runs of a batch that an experiment returned: all, or after the deadline some.

    Raises:
        OutOfTime: if none is finished and time is up.
        UserError: if seeds are missing before the deadline, or there are others than asked for.
    """
    found = [run for run in batch if run.seed in results]
    if not found and context.time_is_up():
        raise OutOfTime("no seed was finished")
    if len(found) < len(results) or (len(found) < len(batch) and not context.time_is_up()):
        raise UserError(f"{batch[0].spec}: the experiment returned the seeds {sorted(results)}")
    return found


@contextlib.contextmanager
def locks(batch: list[config.Run], wait: bool, deadline: float | None = None) -> Iterator[bool]:
    """Hold the locks of all runs of a batch, in one order everywhere, so that nobody waits in a circle.

    Args:
        batch: the runs.
        wait: whether to wait for a process that computes one of them; else give up at once.
        deadline: value of `time.monotonic` at which to stop waiting.

    Yields:
        Whether the locks are held.
    """
    held: list[FileLock] = []
    try:
        for run_id in sorted(run.id for run in batch):
            while (lock := devices.try_lock(records.lock_path(run_id))) is None:
                if not wait or (deadline is not None and time.monotonic() >= deadline):
                    yield False
                    return
                time.sleep(0.2)
            held.append(lock)
        yield True
    finally:
        for lock in held:
            lock.release()


@dataclass(frozen=True)
class Cost:
    """Cost of one run: wall seconds and peak megabytes (None where unknown), and where that is known from."""

    seconds: float | None
    memory_mb: float | None
    source: str  # measured, declared, or not measured


def measured_costs(experiment: config.Experiment, tier: str, device: str) -> dict[str, Cost]:
    """Median cost of one run of each arm that was trained on this kind of device with these settings."""
    kind = device.partition(":")[0]
    found = ledger.of(experiment.paper)
    facts_of = found.environments(experiment.name, tier)
    of_arms: dict[str, list[Mapping[str, Any]]] = {arm: [] for arm in experiment.arms}
    for run in experiment.runs(tier):
        stored = None if run.id in facts_of else found.stored(run.id)
        of_arms[run.arm].append(stored.environment if stored else facts_of.get(run.id, {}))
    costs = {}
    for arm, facts in of_arms.items():
        same = [f for f in facts if f.get("device") == kind and "wall_s" in f]
        same = [f for f in same if not f.get("resumed")] or same  # their time is that of the last part
        if same:
            memory = [f["peak_mb"] for f in same if "peak_mb" in f]
            seconds = statistics.median(f["wall_s"] for f in same)
            costs[arm] = Cost(seconds, max(memory, default=None), "measured")
    return costs


def cost_of_arm(experiment: config.Experiment, tier: str, arm: str, known: dict[str, Cost]) -> Cost:
    """Cost of one run: the arm's own if measured, else the experiment's mean, else the declared one."""
    if arm in known:
        return known[arm]
    if known:
        seconds = statistics.mean(cost.seconds for cost in known.values() if cost.seconds is not None)
        memory = max((c.memory_mb for c in known.values() if c.memory_mb is not None), default=None)
        return Cost(seconds, memory, "measured")
    declared = experiment.cost.get(tier)
    if declared:
        minutes, memory = declared.get("minutes"), declared.get("memory_mb")
        return Cost(None if minutes is None else 60.0 * minutes, memory, "declared")
    return Cost(None, None, "not measured")


def total_cost(
    experiment: config.Experiment, tier: str, runs: Sequence[config.Run], known: dict[str, Cost]
) -> Cost:
    """Cost of several runs of an experiment one after the other: summed time, largest memory."""
    each = [cost_of_arm(experiment, tier, run.arm, known) for run in runs] or [Cost(0.0, None, "measured")]
    seconds = [cost.seconds for cost in each if cost.seconds is not None]
    memory = max((cost.memory_mb for cost in each if cost.memory_mb is not None), default=None)
    return Cost(sum(seconds) if len(seconds) == len(each) else None, memory, each[0].source)


def estimator(runs: Iterable[config.Run], device: str) -> Callable[[config.Run], float | None]:
    """A function that says how many seconds a run will take, None where nothing says."""
    known = {}
    for paper, name, tier in {(run.paper, run.experiment, run.tier) for run in runs}:
        experiment = config.load(paper).experiment(name)
        known[paper, name, tier] = (experiment, measured_costs(experiment, tier, device))

    def seconds(run: config.Run) -> float | None:
        experiment, costs = known[run.paper, run.experiment, run.tier]
        return cost_of_arm(experiment, run.tier, run.arm, costs).seconds

    return seconds
