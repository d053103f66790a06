"""Which device a process trains on: a free GPU of this machine, held by a file lock, or the CPU.

Torch is not imported here: the choice must be made, through CUDA_VISIBLE_DEVICES, before torch looks.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from shared.base.errors import UserError
from shared.runs.api import OutOfTime

#: Locks this process holds on GPUs until it ends, however it ends.
_held: dict[str, FileLock] = {}


def gpus() -> list[str]:
    """Indices of the GPUs this process may use.

    ``REPRO_GPUS`` (such as ``0,1``; empty for none) if set, else ``CUDA_VISIBLE_DEVICES`` if set (which may
    also hold names), else what ``nvidia-smi`` lists.

    Raises:
        UserError: if ``REPRO_GPUS`` is anything else than different numbers of GPUs that are there.
    """
    if "REPRO_GPUS" in os.environ:
        return _wished(os.environ["REPRO_GPUS"])
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        names = [name.strip() for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",")]
        return [name for name in names if name not in ("", "-1")]
    return _listed() or []


def _wished(text: str) -> list[str]:
    """The numbers in ``REPRO_GPUS``."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    numbers = [str(int(name)) for name in names if re.fullmatch("[0-9]+", name)]
    if len(numbers) < len(names) or len(set(numbers)) < len(numbers):
        raise UserError(
            f"REPRO_GPUS={text} should be different numbers of GPUs, such as 0 or 0,1, or empty for none"
        )
    there = _listed() if numbers else None
    absent = [number for number in numbers if there is not None and number not in there]
    if absent:
        raise UserError(
            f"REPRO_GPUS={text} names the GPU {absent[0]}, but `nvidia-smi -L` lists "
            f"{', '.join(there or ()) or 'none'}; correct it, or unset it to use all"
        )
    return numbers


@functools.cache
def _listed() -> list[str] | None:
    """The GPUs that ``nvidia-smi`` lists; None if it cannot say."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return [str(i) for i, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU ")]


def choose(wish: str, log: Callable[[str], None] = print, deadline: float | None = None) -> str:
    """Torch's name of the device to train on, claimed for this process.

    ``auto`` is a GPU where there is one, else the CPU. Of several GPUs the first free one is taken, and if
    none is free this waits; under SLURM the scheduler has chosen already, and nothing is locked.

    Args:
        wish: ``auto``, ``cpu``, ``cuda``, or ``cuda:N`` for the GPU that `gpus` calls N: its number on this
            machine, or in this job where SLURM numbers the job's GPUs from 0.
        log: told when there is something to wait for.
        deadline: value of `time.monotonic` at which to stop waiting; None for never.

    Returns:
        ``cpu`` or ``cuda:0``: of the GPUs, torch is shown the chosen one only, and numbers it anew.

    Raises:
        UserError: for another wish, or a GPU that is not there.
        OutOfTime: if no GPU has become free by the deadline.
    """
    kind, _, index = wish.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (index and (kind != "cuda" or not index.isdecimal())):
        raise UserError(f"unknown device {wish!r}; use auto, cpu, cuda or cuda:N")
    if kind == "cpu":
        return "cpu"
    known = gpus()
    if not known and kind == "auto":
        return "cpu"
    if not known or (index and index not in known):
        raise UserError(
            f"no GPU for --device {wish}; use --device cpu"
            if not known
            else f"no GPU {index} here; there are {', '.join(known)}"
        )
    if "SLURM_JOB_ID" not in os.environ:
        os.environ["CUDA_VISIBLE_DEVICES"] = _claim([index] if index else known, log, deadline)
    elif index:  # a job may have several; without a wish torch takes the first
        os.environ["CUDA_VISIBLE_DEVICES"] = index
    return "cuda:0"


def _claim(names: list[str], log: Callable[[str], None], deadline: float | None) -> str:
    mine = next((name for name in names if name in _held), None)
    if mine is not None:
        return mine
    waiting = False
    while True:
        for name in names:
            lock = try_lock(Path(tempfile.gettempdir()) / f"reproductions-gpu-{name}.lock")
            if lock is not None:
                _held[name] = lock
                return name
        if not waiting:
            log(f"waiting for a free GPU (of {', '.join(names)})")
            waiting = True
        if deadline is not None and time.monotonic() >= deadline:
            raise OutOfTime(f"no GPU has become free (of {', '.join(names)})")
        time.sleep(0.5)


def try_lock(path: Path) -> FileLock | None:
    """Take the exclusive lock named by ``path`` if nobody holds it, of any user of this machine.

    Returns:
        The lock, held until it is released or the process ends, however it ends; None if it is taken.

    Raises:
        UserError: if the lock file cannot be opened (a symbolic link is not followed) or locked.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # 0o666: another user must be able to wait for it, too. No fallback: where the file system has no locks,
    # filelock would leave a marker file, which outlives a process that is killed.
    lock = FileLock(path, mode=0o666, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    except OSError as error:
        raise UserError(f"cannot open the lock {path}: {error.strerror}; remove it or set TMPDIR") from None
    return lock
