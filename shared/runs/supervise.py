"""A command that computes is two processes: one works, the other waits for it and outlives it.

A crash in native code, or the kernel when memory runs out, ends a process without a word. So the first
process forks before anything heavy is loaded, and only waits. If the worker is killed while it computes runs,
these have failed, and a new worker, which knows what became of the others, goes on. Runs that were computed
together are then tried one by one. What the worker tells stands in a file without a name.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import json
import os
import select
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:  # what waits stays small
    from shared.runs import config
    from shared.runs.execution import Outcome

#: Environment variable: the process number of the Snakemake that started this command.
ABOVE = "REPRO_SNAKEMAKE"
#: Signals by which somebody ends the whole command; after any other one the work goes on.
ENDING = {getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")}


@dataclass
class History:
    """What the last worker of this command told before it was killed; it had taken over what others told.

    Attributes:
        settled: by "done", "valid" and "failed" the runs of which that is known; failed ones with a sentence.
        running: the runs that it was computing.
        apart: all runs to compute one by one.
        number: the signal that ended it, 0 if this worker is the first.
        trace: where in the Python code that happened, if the interpreter could still say so.
        started: when the command began, by `time.monotonic`.
    """

    settled: dict[str, list[Any]] = field(default_factory=lambda: {"done": [], "valid": [], "failed": []})
    running: list[str] = field(default_factory=list)
    apart: list[str] = field(default_factory=list)
    number: int = 0
    trace: str = ""
    started: float = field(default_factory=time.monotonic)

    def read(self, told: str) -> None:
        """Take in what a worker told."""
        self.settled, self.running = {kind: [] for kind in self.settled}, []
        for line in told.splitlines(keepends=True):
            if line.endswith("\n"):  # else it is cut off
                entry = json.loads(line)
                self.running = entry.pop("running")
                for kind, new in entry.items():
                    self.settled[kind] += new
        if len(self.running) > 1:
            self.apart += self.running


#: Of this process, if it is a worker.
history = History()
_told: IO[str] | None = None
_counts: dict[str, int] = {}


def outlive_worker() -> int | None:
    """Start a worker, and after each crash of one the next.

    Returns:
        None in a worker, which goes on with the command; else its exit code, for the process that waited.
    """
    if not hasattr(os, "fork") or sys.gettrace():  # a debugger must see the work
        return None
    while True:
        with tempfile.TemporaryFile("w+") as told, tempfile.TemporaryFile("w+") as trace:
            status, stopped = _wait_for_worker(told, trace)
            if status is None:
                return None
            if os.WIFEXITED(status):
                return os.WEXITSTATUS(status)
            history.number = os.WTERMSIG(status)
            told.seek(0)
            trace.seek(0)
            history.read(told.read())
            history.trace = trace.read()
        if history.number in ENDING or stopped:
            number = stopped or history.number
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if not history.running:
            said = f"signal {history.number} ended the process outside of a training"
            print(f"error: {said}; the same command goes on with what is left", file=sys.stderr)
            return 1


def _wait_for_worker(told: IO[str], trace: IO[str]) -> tuple[int | None, int]:
    """Fork. In the worker (None, 0); else how it ended, and the signal that was passed on to it, or 0."""
    global _told
    sys.stdout.flush()
    sys.stderr.flush()
    passed_on = [number for number in (signal.SIGINT, signal.SIGTERM) if _is_heard(number)]
    signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)  # until the handlers are in place
    parent, worker = os.getpid(), os.fork()
    if worker == 0:
        _die_with(parent)
        _told = os.fdopen(os.dup(told.fileno()), "w", buffering=1)
        faulthandler.enable(os.fdopen(os.dup(trace.fileno()), "w"))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, passed_on)
        return None, 0
    stopped = 0

    def pass_on(number: int, frame: Any) -> None:
        nonlocal stopped
        stopped = number
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, number)

    before = {number: signal.signal(number, pass_on) for number in passed_on}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, passed_on)
    _end_with(_snakemake(), os.getpid())
    status = os.waitpid(worker, 0)[1]
    for number, handler in before.items():
        signal.signal(number, handler)
    return status, stopped


def _snakemake() -> int | None:
    """The Snakemake that this command works for, if it is above this process on this machine (Linux)."""
    named, above = os.environ.get(ABOVE, ""), os.getppid()
    with contextlib.suppress(OSError, ValueError):
        while above > 1:
            if str(above) == named:
                return above
            with open(f"/proc/{above}/stat") as file:
                above = int(file.read().rpartition(") ")[2].split()[1])
    return None


def _end_with(number: int | None, me: int) -> None:
    """Let this process be told to end when another one ends, however that ends: nobody waits for it then."""
    if number is None or not hasattr(os, "pidfd_open"):
        return
    try:
        handle = os.pidfd_open(number)
    except OSError:  # it has ended, or the system cannot watch it
        return

    def wait() -> None:
        select.select([handle], [], [])
        os.kill(me, signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def _is_heard(number: int) -> bool:
    """Whether a signal is not ignored, as it is where a shell or `nohup` said so."""
    return signal.getsignal(number) is not signal.SIG_IGN


def _die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent ends, however that ends. Only Linux can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # too late
            os.kill(os.getpid(), signal.SIGKILL)


def resume(runs: list[config.Run], outcome: Outcome, log: Callable[[str], None]) -> list[config.Run]:
    """Take over what earlier workers of this command did.

    Args:
        runs: all runs of the command.
        outcome: filled with what has become of some of them.
        log: told about the runs that were computed when a worker was killed.

    Returns:
        The runs that are left.
    """
    if not history.number:
        return runs
    by_spec = {run.spec: run for run in runs}
    outcome.done += [by_spec[spec] for spec in history.settled["done"]]
    outcome.valid += [by_spec[spec] for spec in history.settled["valid"]]
    outcome.failed += [(by_spec[spec], sentence) for spec, sentence in history.settled["failed"]]
    from shared.runs import failures  # the process that waits does without

    killed = [by_spec[spec] for spec in history.running]
    sentence = failures.killed(killed, history.number, history.trace)
    if len(killed) == 1:
        outcome.failed.append((killed[0], f"{sentence}; nothing was recorded"))
    log(f"{sentence}; {'the others' if len(killed) == 1 else 'its seeds one by one'} go on")
    settled = {run.id for run in [*outcome.done, *outcome.valid, *(run for run, _ in outcome.failed)]}
    return [run for run in runs if run.id not in settled]


def left_of(minutes: float | None) -> float | None:
    """What is left of the time limit of a command to a worker that is not its first."""
    if minutes is None or not history.number:
        return minutes
    return max(0.0, minutes - (time.monotonic() - history.started) / 60)


def tell(outcome: Outcome, running: Iterable[config.Run] = ()) -> None:
    """Write down what is computed from now on, and what has become of other runs since the last time.

    Args:
        outcome: what has become of runs, those of earlier workers included.
        running: the batch that begins.
    """
    if _told is None:
        return
    news = {"done": [run.spec for run in outcome.done], "valid": [run.spec for run in outcome.valid]}
    news |= {"failed": [[run.spec, sentence] for run, sentence in outcome.failed]}
    entry: dict[str, Any] = {kind: found[_counts.get(kind, 0) :] for kind, found in news.items()}
    _counts.update({kind: len(found) for kind, found in news.items()})
    entry["running"] = [run.spec for run in running]
    _told.write(json.dumps(entry) + "\n")


def separated(batches: Iterable[list[config.Run]]) -> list[list[config.Run]]:
    """The batches, less those that a worker died of: their runs one by one."""
    apart = set(history.apart)
    return [
        part
        for batch in batches
        for part in ([[run] for run in batch] if apart & {run.spec for run in batch} else [batch])
    ]
