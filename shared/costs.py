"""What runs cost: measured times and memory from the sidecars, else what experiments.yaml declares."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared import config, ledger


@dataclass(frozen=True)
class Cost:
    """Cost of one run: wall seconds and peak megabytes (None where unknown), and where that is known from."""

    seconds: float | None
    memory_mb: float | None
    source: str  # measured, declared, or not measured


def settings_key(run: config.Run) -> str:
    """Text that is equal for runs that differ in their seed only."""
    inputs = {key: value for key, value in run.inputs.items() if key != "seed"}
    return json.dumps(inputs, sort_keys=True)


def measured(experiment: config.Experiment, tier: str, device: str) -> dict[str, Cost]:
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
        if same:
            memory = [f["peak_mb"] for f in same if "peak_mb" in f]
            seconds = statistics.median(f["wall_s"] for f in same)
            costs[arm] = Cost(seconds, max(memory, default=None), "measured")
    return costs


def of_arm(experiment: config.Experiment, tier: str, arm: str, known: dict[str, Cost]) -> Cost:
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


def total(
    experiment: config.Experiment, tier: str, runs: Sequence[config.Run], known: dict[str, Cost]
) -> Cost:
    """Cost of several runs of an experiment one after the other: summed time, largest memory."""
    each = [of_arm(experiment, tier, run.arm, known) for run in runs] or [Cost(0.0, None, "measured")]
    seconds = [cost.seconds for cost in each if cost.seconds is not None]
    memory = max((cost.memory_mb for cost in each if cost.memory_mb is not None), default=None)
    return Cost(sum(seconds) if len(seconds) == len(each) else None, memory, each[0].source)


def estimator(runs: Iterable[config.Run], device: str) -> Callable[[config.Run], float | None]:
    """A function that says how many seconds a run will take, None where nothing says."""
    known = {}
    for paper, name, tier in {(run.paper, run.experiment, run.tier) for run in runs}:
        experiment = config.load(paper).experiment(name)
        known[paper, name, tier] = (experiment, measured(experiment, tier, device))

    def seconds(run: config.Run) -> float | None:
        experiment, costs = known[run.paper, run.experiment, run.tier]
        return of_arm(experiment, run.tier, run.arm, costs).seconds

    return seconds
