"""When a batch of runs fails: which runs have failed, how to go on with the others, a sentence about it."""

from __future__ import annotations

import hashlib
import signal
import traceback
from pathlib import Path

from shared.base import paths
from shared.base.errors import UserError
from shared.runs import config


def isolate(batch: list[config.Run], error: Exception) -> tuple[list[config.Run], list[list[config.Run]]]:
    """Which runs of a failed batch have failed, and how to try the others.

    An error that names ``seeds`` (a training that diverged) condemns these; for want of memory the batch is
    halved; after another error of the code the runs are tried one by one; a user's mistake holds for all.
    """
    named = [run for run in batch if run.seed in getattr(error, "seeds", ())]
    if named:
        rest = [run for run in batch if run not in named]
        return named, [rest] if rest else []
    if len(batch) > 1 and is_out_of_memory(error):
        half = (len(batch) + 1) // 2
        return [], [batch[:half], batch[half:]]
    if len(batch) > 1 and not isinstance(error, UserError):
        return [], [[run] for run in batch]
    return batch, []


def common_reason(error: BaseException) -> str:
    """The reason of a failure if it may be that of many runs, such as a missing data set; else empty."""
    return str(error) if isinstance(error, UserError) and not getattr(error, "seeds", ()) else ""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of the machine or of the GPU is used up."""
    return isinstance(error, MemoryError) or "out of memory" in str(error).lower()


def sentence(error: BaseException, named: str, device: str) -> str:
    """What went wrong, in one sentence; the traceback of an unexpected error goes to a file."""
    if is_out_of_memory(error):
        return (
            f"{named}: out of memory on {device}; use a smaller batch or another device; nothing was recorded"
        )
    if isinstance(error, UserError):
        return f"{named}: {error}"
    where = _keep(named, "".join(traceback.format_exception(error)))
    return f"{named}: {type(error).__name__}: {error} (traceback in {where}); nothing was recorded"


def killed(batch: list[config.Run], number: int, trace: str) -> str:
    """What ended the process that computed a batch, with what is most likely behind it.

    Args:
        batch: the runs.
        number: the signal.
        trace: where in the Python code it happened, empty if unknown; goes to a file.
    """
    why = f"signal {number} ({signal.strsignal(number) or 'unknown'})"
    name = (
        signal.Signals(number).name if number in set(signal.Signals) else ""
    )  # others where there is no Unix
    if name == "SIGKILL":
        why += ", most likely because memory ran out: use fewer --replicas, or fewer jobs at a time"
    elif name in ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT"):
        why += ", a crash in native code: see docs/processors.md"
    named = names(batch)
    where = f" (traceback in {_keep(named, trace)})" if trace else ""
    return f"{named}: the training was ended by {why}{where}"


def names(batch: list[config.Run]) -> str:
    """A batch as messages call it."""
    seeds = ",".join(str(run.seed) for run in batch)
    return f"{batch[0].paper}/{batch[0].experiment} {batch[0].arm} seed {seeds}"


def _keep(named: str, text: str) -> Path:
    """Write a log, over that of an earlier failure of the same batch; its place in the repository."""
    log = paths.store() / "logs" / f"{hashlib.sha256(named.encode()).hexdigest()[:12]}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(text)
    return log.relative_to(paths.root())
