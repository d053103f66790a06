"""Cutting runs into jobs: all workers busy, torch started few times, the seeds of an arm together."""

from __future__ import annotations

import hashlib
import heapq
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from shared.base import paths
from shared.base.errors import UserError
from shared.base.files import read_json
from shared.runs import config
from shared.runs.batches import Cost, cost_of_arm, measured_costs, settings_key

#: An arm that takes longer than this is worth a job of its own: starting torch is nothing beside it.
LONG_SECONDS = 60.0
#: On a cluster a job waits to be started: an arm shorter than this shares one, a longer one than that is cut.
REMOTE_LONG_SECONDS, REMOTE_MOST_SECONDS = 1800.0, 4 * 3600.0
#: Jobs per worker that short arms are dealt out into, so that all workers end at about the same time.
JOBS_PER_WORKER = 2
#: Asked of a cluster for a job of unknown cost, and the least asked for.
UNKNOWN_MINUTES, LEAST_MINUTES = 120, 10
UNKNOWN_MB, LEAST_MB = 4000, 2000


@dataclass(frozen=True)
class Job:
    """Runs that one process trains, one after the other.

    Attributes:
        name: a word that follows from the runs; names the Snakemake rule and the job's files.
        runs: ``paper/experiment/tier/arm/seed`` each.
        data: names of the data sets whose files they read.
        minutes, memory_mb: what to ask of a cluster.
        threads, gpu: CPU threads and GPUs of the process.
    """

    name: str
    runs: tuple[str, ...]
    data: tuple[str, ...]
    minutes: int
    memory_mb: int
    threads: int
    gpu: int

    @property
    def device(self) -> str:
        """What its command is told by ``--device``: a job that asked for no GPU must not take one."""
        return "auto" if self.gpu else "cpu"

    @property
    def stamp(self) -> str:
        """File that starts the job, relative to the repository."""
        return f".repro/plan/{self.name}.stamp"

    @property
    def done(self) -> str:
        """File that the finished job leaves behind, relative to the repository."""
        return f".repro/plan/{self.name}.done"


def read(name: str) -> Job:
    """The job of that name, from the file that the plan made of it.

    Raises:
        UserError: if there is none, or it is of another version of this program.
    """
    entry = read_json(paths.store() / "plan" / f"{identifier(name)}.json")
    if not isinstance(entry, dict) or entry.keys() != {field.name for field in fields(Job)}:
        raise UserError(f"the job {name} was planned by another version of this program; plan it again")
    return Job(**{key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()})


class Cutter:
    """Cuts the runs of some experiments at one tier; knows what their arms cost.

    Args:
        experiments: every experiment that a run may belong to, by (paper, name).
        tier: the tier to train.
    """

    def __init__(self, experiments: Mapping[tuple[str, str], config.Experiment], tier: str) -> None:
        self.experiments, self.tier = experiments, tier
        self._costs: dict[tuple[str, str], dict[str, Cost]] = {}

    def cut(
        self, runs: Iterable[config.Run], workers: int, size: int = 0, remote: bool = False
    ) -> list[list[config.Run]]:
        """Batches of runs, each for one process. A run that several experiments share is in one batch only.

        Args:
            runs: in declared order.
            workers: processes at a time.
            size: the most runs in a batch; 0 to choose.
            remote: whether a cluster runs them.
        """
        arms: dict[tuple[str, str], dict[str, config.Run]] = {}
        for run in runs:
            arms.setdefault((run.paper, settings_key(run)), {}).setdefault(run.id, run)
        units = [list(members.values()) for members in arms.values()]
        if size:
            return fixed(units, size)
        if remote:
            units = [part for unit in units for part in self._parts(unit)]
            return self._balanced(units, workers, REMOTE_LONG_SECONDS)
        return self._balanced(units, workers, LONG_SECONDS)

    def _parts(self, unit: list[config.Run]) -> list[list[config.Run]]:
        """An arm whose seeds take too long for one job, in several; one seed is never cut."""
        most = max(1, int(REMOTE_MOST_SECONDS // max(self.cost(unit[0]).seconds or 1.0, 1.0)))
        return [unit[i : i + most] for i in range(0, len(unit), most)]

    def _balanced(
        self, units: list[list[config.Run]], workers: int, long_seconds: float
    ) -> list[list[config.Run]]:
        """Long arms alone, longest first; short ones dealt out, always to the batch with the least to do."""
        timed = [(sum(self.cost(run).seconds or 1.0 for run in unit), unit) for unit in units]
        timed.sort(key=lambda entry: -entry[0])
        long = [unit for seconds, unit in timed if seconds > long_seconds]
        short = timed[len(long) :]
        needed = math.ceil(sum(seconds for seconds, _ in short) / REMOTE_MOST_SECONDS)
        count = min(len(short), max(JOBS_PER_WORKER * workers, needed))
        bins: list[tuple[float, int, list[config.Run]]] = [(0.0, number, []) for number in range(count)]
        for seconds, unit in short:  # the bin with the least to do stands first
            busy, number, batch = bins[0]
            heapq.heapreplace(bins, (busy + seconds, number, batch + unit))
        return long + [batch for _, _, batch in sorted(bins, key=lambda each: each[1])]

    def cost(self, run: config.Run) -> Cost:
        """What one run is expected to take on a CPU."""
        key = (run.paper, run.experiment)
        if key not in self._costs:
            self._costs[key] = measured_costs(self.experiments[key], self.tier, "cpu")
        return cost_of_arm(self.experiments[key], self.tier, run.arm, self._costs[key])

    def job(self, batch: list[config.Run], threads: int, gpu: int) -> Job:
        """The job that trains a batch."""
        first, known = batch[0], [self.cost(run) for run in batch]
        ids = hashlib.sha256(" ".join(run.id for run in batch).encode()).hexdigest()[:8]
        more = f"_and_{len(batch) - 1}_more" if len(batch) > 1 else ""
        seconds = [cost.seconds for cost in known if cost.seconds is not None]
        memory = [cost.memory_mb for cost in known if cost.memory_mb is not None]
        minutes = (
            max(LEAST_MINUTES, round(2 * sum(seconds) / 60))
            if len(seconds) == len(known)
            else UNKNOWN_MINUTES
        )
        return Job(
            name=identifier(f"{first.paper}_{self.tier}_{first.arm}_seed{first.seed}{more}_{ids}"),
            runs=tuple(run.spec for run in batch),
            data=tuple(dict.fromkeys(name for run in batch for name in run.data)),
            minutes=minutes,
            memory_mb=round(max(LEAST_MB, 1.5 * max(memory))) if memory else UNKNOWN_MB,
            threads=threads,
            gpu=gpu,
        )


def fixed(units: list[list[config.Run]], size: int) -> list[list[config.Run]]:
    """Batches of at most ``size`` runs in declared order, an arm's seeds in one batch where they fit."""
    batches: list[list[config.Run]] = []
    for unit in units:
        for part in (unit[i : i + size] for i in range(0, len(unit), size)):
            if batches and len(batches[-1]) + len(part) <= size:
                batches[-1] += part
            else:
                batches.append(list(part))
    return batches


def identifier(text: str) -> str:
    """``text`` with only the characters that names of rules and files may have."""
    return re.sub(r"\W", "_", text)
