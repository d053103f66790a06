"""Computing runs: batches of seeds, one lock per run, records written as soon as a batch is done."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from shared.base import paths
from shared.base.errors import UserError
from shared.base.files import is_unwritable
from shared.runs import (
    batches,
    config,
    devices,
    environment,
    failures,
    fingerprint,
    ledger,
    paper_modules,
    precisions,
    records,
    supervise,
)
from shared.runs.api import Context, OutOfTime
from shared.runs.budget import Budget


@dataclass(frozen=True)
class Options:
    """How to compute; see the fields of the same names of `api.Context`.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        threads: CPU threads; None for ``OMP_NUM_THREADS``, else all processors.
        precision: one of `api.PRECISIONS`; a valid result at another one is computed again. None for
            the setting of that name, else float32, and for taking valid results as they are.
        replicas: seeds trained at once; None for the tier's own, else all on a GPU and one on the CPU.
        refresh: also compute what has a valid result.
        minutes: start nothing that would not fit into this time, and stop when it is over; None for no limit.
        began: value of `time.monotonic` from which the minutes count.
        debug: let errors of the experiment's code through.
        estimate: expected seconds of a run, None if unknown.
        watch: told what has become of the runs after each batch.
    """

    device: str = "auto"
    threads: int | None = None
    precision: str | None = None
    replicas: int | None = None
    refresh: bool = False
    minutes: float | None = None
    debug: bool = False
    estimate: Callable[[config.Run], float | None] = lambda run: None
    began: float = field(default_factory=time.monotonic)
    log: Callable[[str], None] = print
    watch: Callable[[Outcome], None] = lambda outcome: None


@dataclass
class Outcome:
    """What became of the runs asked for."""

    done: list[config.Run] = field(default_factory=list)
    valid: list[config.Run] = field(default_factory=list)
    failed: list[tuple[config.Run, str]] = field(default_factory=list)
    left: list[config.Run] = field(default_factory=list)


def execute(
    runs: Iterable[config.Run], options: Options | None = None, outcome: Outcome | None = None
) -> Outcome:
    """Compute the runs that have no valid result, and store each as soon as its batch is done.

    A batch that fails leaves the records as they were, and the others go on; one that another process is
    computing is put off, then waited for. When the time is up, the rest is in ``Outcome.left``.

    Args:
        runs: the runs wanted, in declared order.
        options: how to compute them.
        outcome: filled while the work goes on, for callers that may be interrupted; returned.

    Raises:
        UserError: for options that make no sense here (a precision that nobody knows or that a run does not
            take, no such device), or if nothing can be recorded: before the first training, or at the first
            record that cannot be written.
    """
    options, runs = options or Options(), list(runs)
    precisions.check(runs, options.precision)
    outcome, todo = outcome or Outcome(), []
    known = {paper: ledger.of(paper) for paper in {run.paper for run in runs}}
    for run in runs:
        wanted = options.refresh or precisions.is_wanted(run, options.precision, known[run.paper])
        (todo if wanted else outcome.valid).append(run)
    if todo:
        try:
            Session(options, outcome).work(todo)
        except OutOfTime as late:  # before the first batch
            options.log(f"time is up: {late}")
            outcome.left += todo
    return outcome


class Session:
    """One process's work through its batches."""

    def __init__(self, options: Options, outcome: Outcome) -> None:
        self.options, self.outcome = options, outcome
        self.budget = Budget(options.minutes, options.began, options.estimate)
        self.device = devices.choose(options.device, options.log, self.budget.deadline)
        precisions.check_device(options.precision, self.device)
        self.threads = environment.threads(options.threads)
        environment.code()  # remember the commit of the code that is being loaded
        self.before: dict[str, object] = {}  # what the store held for the runs to be computed again
        self.said: dict[str, str] = {}  # sentence by reason, of those that many runs may fail for

    def work(self, runs: list[config.Run]) -> None:
        self.before = {run.id: records.signature(run.id) for run in runs}
        cut = supervise.separated(batches.cut(runs, self._replicas))
        queue = deque((batch, False) for batch in cut)
        total = len(queue)
        if self.budget.deadline is not None:
            fitting, sentence = self.budget.fitting(batch for batch, _ in queue)
            self.options.log(sentence)
            if not fitting:
                self.outcome.left += [run for batch, _ in queue for run in batch]
                return
        records.check_writable()  # now, not after hours
        while queue:
            batch, wait = queue.popleft()
            if not self.budget.fits(batch):
                self.outcome.left += batch
                continue
            with batches.locks(batch, wait, self.budget.deadline) as held:
                if not held:  # another process computes it: do the others first, then see
                    queue.append((batch, True))
                    continue
                mine = [run for run in batch if self._still_needed(run)]
                self.outcome.valid += [run for run in batch if run not in mine]
                position = total - len(queue)
                supervise.tell(self.outcome, mine)
                smaller = self._attempt(mine, f"[{position}/{total}]") if mine else []
                supervise.tell(self.outcome)
                self.options.watch(self.outcome)
            queue.extendleft((part, False) for part in reversed(smaller))
            total += len(smaller)

    def _replicas(self, run: config.Run) -> int:
        if self.options.replicas:
            return self.options.replicas
        tier = config.load(run.paper).experiment(run.experiment).tier(run.tier)
        return tier.replicas or (1 if self.device == "cpu" else len(tier.seeds))

    def _still_needed(self, run: config.Run) -> bool:
        """Whether no other process has computed the run since this one began."""
        if self.options.refresh:
            return records.signature(run.id) == self.before[run.id]
        return precisions.is_wanted(run, self.options.precision, ledger.of(run.paper))

    def _attempt(self, batch: list[config.Run], position: str) -> list[list[config.Run]]:
        """Compute one batch; the result is what to try instead if it failed as a whole."""
        names = failures.names(batch)
        self.options.log(f"{position} {names} ({batch[0].tier}, {self.device})")
        try:
            self._compute(batch)
        except OutOfTime:
            kept = batches.checkpoints(batch, self.device, self._precision(batch[0]))
            said = "the checkpoint is kept" if kept else "no seed was finished"
            self.options.log(f"{names}: time is up, {said}")
            self.outcome.left += batch
        except records.Unwritable:  # no fault of the training: the next one could not be recorded, either
            raise
        except Exception as error:
            if isinstance(error, OSError) and is_unwritable(error, paths.store()):
                raise records.unwritable(error) from None
            if self.options.debug:
                raise
            bad, parts = failures.isolate(batch, error)
            if bad:
                self._report(bad, error, names)
            if parts:
                self.options.log(f"{names}: going on with seed {', then '.join(map(_seeds, parts))}")
            return parts
        return []

    def _report(self, bad: list[config.Run], error: Exception, names: str) -> None:
        """Say why runs failed; a reason that others failed for already is not told at length again."""
        sentence, reason = failures.sentence(error, names, self.device), failures.common_reason(error)
        first = self.said.setdefault(reason, sentence) if reason else sentence
        self.outcome.failed += [(run, first) for run in bad]
        self.options.log(sentence if first == sentence else f"{names}: failed for the same reason")

    def _compute(self, batch: list[config.Run]) -> None:
        first = batch[0]
        self._loaded(first)
        precision = self._precision(first)
        checkpoint = batches.checkpoint(batch, self.device, precision)
        results, facts = self.train(batch, checkpoint)
        finished = [run for run in batch if run.seed in results]
        recorded = [self._record(run, results[run.seed], facts) for run in finished]
        if all(recorded):  # else measuring is to be done again, but not training
            for file in batches.checkpoints(batch, self.device, precision):
                file.unlink(missing_ok=True)
        if len(finished) < len(batch):
            self.options.log(f"{first.spec}: time is up, finished are the seeds {_seeds(finished)}")
            self.outcome.left += [run for run in batch if run not in finished]

    def train(
        self, batch: list[config.Run], checkpoint: Path | None
    ) -> tuple[Mapping[int, Iterable[Any]], dict[str, Any]]:
        """Train and measure a batch; nothing is written but the checkpoint.

        Args:
            batch: runs that differ in their seed only.
            checkpoint: file to resume from and to write to; None for none.

        Returns:
            The rows by seed, only of some seeds if time was up, and the circumstances to record with them.

        Raises:
            OutOfTime: if time was up before a seed was finished.
            UserError: if the experiment returned other seeds, and what it raises itself.
        """
        first = batch[0]
        experiment = self._loaded(first)
        precision = self._precision(first)
        resumed = checkpoint is not None and bool(batches.beside(checkpoint))
        if checkpoint:
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
        deadline = self.budget.deadline
        context = Context(self.device, self.threads, precision, checkpoint, deadline, self.options.log)
        code = fingerprint.fingerprint(first.paper, first.data)
        meter = environment.Meter(self.device)
        settings = first.settings
        if getattr(settings, "precision", precision) != precision:  # the device cannot do what is declared
            settings = dataclasses.replace(settings, precision=precision)
        with self.budget.kept():
            results = experiment.run(settings, [run.seed for run in batch], context)
        facts: dict[str, Any] = meter.read()
        seconds = facts["wall_s"] / len(batches.finished(batch, results, context))
        if not resumed:
            self.budget.learn(first, seconds)
        return results, facts | environment.describe(self.device) | {
            "finished": environment.now(),
            "fingerprint": code,
            "notes": data_notes(first),
            "precision": precision,
            "replicas": len(batch),
            "threads": self.threads,
            "wall_s": round(seconds, 3),
        } | ({"resumed": True} if resumed else {})

    def _precision(self, run: config.Run) -> str:
        return precisions.possible(run, self.options.precision, self.device, self._say_once)

    def _say_once(self, line: str) -> None:
        if line not in self.said:
            self.said[line] = line
            self.options.log(line)

    def _loaded(self, run: config.Run) -> ModuleType:
        """The paper's experiment, with torch ready; the device is certain only after that."""
        experiment = paper_modules.module(run.paper, "experiment")
        self._prepare(sys.modules.get("torch"))
        return experiment

    def _prepare(self, torch: Any) -> None:
        """Tell torch, now that it is loaded, the number of threads; make sure that it can use the device."""
        if torch is None:
            return
        torch.set_num_threads(self.threads)
        if self.device != "cpu" and not torch.cuda.is_available():
            if self.options.device != "auto":
                raise UserError("this PyTorch cannot use the GPU; install one with CUDA, or use --device cpu")
            self.options.log("there is a GPU, but this PyTorch cannot use it: going on with the CPU")
            self.device = "cpu"
            precisions.check_device(self.options.precision, self.device)

    def _record(self, run: config.Run, rows: Iterable[Any], facts: dict[str, Any]) -> bool:
        """Store the rows of one run, unless a value is not finite: then it fails alone. Was it stored?"""
        try:
            checked = records.checked_rows(rows, run.spec)
        except UserError as error:
            self.outcome.failed.append((run, str(error)))
            self.options.log(str(error))
            return False
        made = records.Record(run.id, run.inputs, checked, facts | _throughput(checked))
        problem = self._save(run, made)
        if problem:
            self.outcome.failed.append((run, problem))
            self.options.log(problem)
            return False
        self.outcome.done.append(run)
        return True

    def _save(self, run: config.Run, made: records.Record) -> str:
        """Store a record, the latest of its run; or say what in one that came meanwhile contradicts it.

        Raises:
            records.Unwritable: if it cannot be written.
        """
        try:
            with records.writing():
                if records.signature(run.id) != self.before.get(run.id):
                    other = records.stored(run.id)
                    if problem := other.contradiction(made) if other else None:
                        return f"{run.spec}: a record that came meanwhile contradicts: {problem}; keep one"
                number = ledger.of(run.paper).next_execution(run.id)
                facts = {**made.environment, "execution": number}
                records.save(dataclasses.replace(made, environment=facts))
        except OSError as error:
            raise records.unwritable(error) from None
        return ""


def data_notes(run: config.Run) -> list[str]:
    """What is to be said about the data sets of a run, such as a mirror whose files differ a little."""
    if not run.data:
        return []
    from shared import data

    return [note for name in run.data for note in data.notes(name)]


def _throughput(rows: Iterable[records.Row]) -> dict[str, float]:
    values = [row.value for row in rows if row.metric == "images_per_second"]
    return {"throughput": round(values[-1], 1)} if values else {}


def _seeds(batch: Iterable[config.Run]) -> str:
    return ",".join(str(run.seed) for run in batch)
