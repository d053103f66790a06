"""From a number to its runs: of each experiment the arms, with settings, seeds, commit, device and time, and
the command that computes them again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.report import text
from shared.report.results import Results

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Arm:
    """The runs of one arm, all of one tier.

    Attributes:
        name, tier: names.
        seeds: in short, for example ``0-4``.
        settings: those in which it is not like every other arm, ``size = 28`` each.
        commits, devices: each once.
        seconds: of one run, from the fastest to the slowest.
        command: computes the fastest of these runs again, beside its record.
    """

    name: str
    tier: str
    seeds: str
    settings: tuple[str, ...]
    commits: str
    devices: str
    seconds: str
    command: str

    @property
    def anchor(self) -> str:
        """Where the page shows it, below its experiment's."""
        return slug(self.name)


def arms(results: Results, experiment: str) -> tuple[list[Arm], list[str]]:
    """The arms of an experiment that have results, in declared order, and the settings that all share."""
    frame, records = results.frame(experiment), results.records(experiment)
    runs = frame.drop_duplicates("run") if len(frame) else frame
    settings = {run: _settings(record) for run, record in records.items()}
    shared = _shared(settings.values())
    found = []
    for name, of_arm in runs.groupby("arm", sort=False):
        facts = [records[run] for run in of_arm["run"] if run in records]
        own = {key: value for run in of_arm["run"] for key, value in settings.get(run, {}).items()}
        differing = tuple(f"{key} = {value}" for key, value in own.items() if shared.get(key) != value)
        found.append(_arm(results.paper, experiment, str(name), of_arm, facts, differing))
    return found, [f"{key} = {value}" for key, value in shared.items()]


def _arm(
    paper: str,
    experiment: str,
    name: str,
    runs: pd.DataFrame,
    facts: list[Mapping[str, Any]],
    settings: tuple[str, ...],
) -> Arm:
    def each(*keys: str) -> list[str]:
        values = [next((str(fact[key]) for key in keys if fact.get(key)), "") for fact in facts]
        return [value for value in dict.fromkeys(values) if value]

    tier = str(runs["tier"].iloc[0])
    times = [float(str(fact["wall_s"])) for fact in facts if fact.get("wall_s")]
    ends = [text.fixed(end, 0 if end >= 10 else 1) for end in (min(times), max(times))] if times else []
    seconds = " to ".join(dict.fromkeys(ends))
    commits = [commit[:8] for commit in each("commit")]
    devices = [*each("device_name", "cpu", "device"), *each("precision")]
    command = f"python -m pipelines.{paper} rerun {experiment} --tier {tier} --arm {name}"
    seeds = text.spans([int(seed) for seed in runs["seed"].unique()])
    return Arm(name, tier, seeds, settings, text.join(commits), ", ".join(devices), seconds, command)


def _settings(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return record.get("inputs", {}).get("settings", {})


def _shared(settings: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What all have with one value."""
    every = list(settings)
    first = every[0] if every else {}
    return {key: value for key, value in first.items() if all(one.get(key) == value for one in every)}


def slug(name: str) -> str:
    """A name as part of an anchor: letters, digits, points, dashes and underscores."""
    return re.sub(r"[^\w.-]+", "-", name)


def anchor(experiment: str, arm: str = "") -> str:
    """Where the page shows the runs of an experiment, or of one of its arms."""
    return "-".join(filter(None, ("runs", slug(experiment), slug(arm) if arm else "")))
