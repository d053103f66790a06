"""Batches: the runs of one arm that are trained together, their order, their checkpoint and their locks."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import config, devices, fingerprint, paths, records
from shared.costs import settings_key
from shared.errors import UserError
from shared.interface import Context, OutOfTime

if TYPE_CHECKING:
    from filelock import FileLock


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
    text = " ".join([kind, precision, fingerprint.fingerprint(batch[0].paper), *(run.id for run in batch)])
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
