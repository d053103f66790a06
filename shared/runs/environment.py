"""Facts about where a run was made: code, versions, device, time, memory. No names of users or hosts."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from shared.base import paths
from shared.base.errors import UserError

#: Threads that a machine with fewer processors may still be asked for.
MOST_THREADS = 256
_VERSIONS = ("torch", "numpy", "scipy", "pandas", "scikit-learn", "escnn", "e2cnn")
#: What a recording itself changes does not make the code dirty.
_NOT_CODE = (":(exclude)pipelines/*/results/*", ":(exclude)reports", ":(exclude)dvc.lock")
#: New files that take part in a run before anybody adds them to git; in these patterns * matches slashes.
_NEW_CODE = [f"{folder}/*.{kind}" for folder in ("shared", "pipelines") for kind in ("py", "yaml")]


@dataclass
class Meter:
    """Wall time and peak memory of a piece of work, from its construction to `read`."""

    device: str = "cpu"
    started: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        with contextlib.suppress(OSError):  # Linux: forget the peak of earlier work of this process
            Path("/proc/self/clear_refs").write_text("5")
        torch = sys.modules.get("torch")
        if torch is not None and self.device.startswith("cuda"):
            torch.cuda.init()  # without it, resetting fails in a process that has not used CUDA yet
            torch.cuda.reset_peak_memory_stats(self.device)

    def read(self) -> dict[str, float]:
        """Seconds since the start, and megabytes at the peak, of the process (if known) and of the GPU."""
        facts = {"wall_s": round(time.perf_counter() - self.started, 3)}
        peak = _peak_mb()
        if peak is not None:
            facts["peak_mb"] = round(peak, 1)
        torch = sys.modules.get("torch")
        if torch is not None and self.device.startswith("cuda"):
            facts["device_peak_mb"] = round(torch.cuda.max_memory_allocated(self.device) / 2**20, 1)
        return facts


def describe(device: str) -> dict[str, Any]:
    """Facts that are the same for all runs of a process: commit, versions, hardware."""
    return {**code(), "versions": versions(), **hardware(device)}


@functools.lru_cache(maxsize=1)
def code() -> dict[str, Any]:
    """The commit of the checkout, and whether the code differs from it.

    It does if a tracked file (other than results) was changed, or if there is code that git does not know;
    None where git cannot say, as in an unpacked archive or a checkout of another user.
    Taken once per process, because a process computes with the code it has loaded.
    """
    commit = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", *_NOT_CODE)
    new = _git("ls-files", "--others", "--exclude-standard", "--", *_NEW_CODE, *_NOT_CODE)
    known = commit is not None and changed is not None and new is not None
    return {"commit": (commit or "").strip() or "unknown", "dirty": bool(changed or new) if known else None}


def deleted() -> set[str]:
    """The results that git knows and that are gone, relative to the checkout; none where it cannot say."""
    listed = _git("ls-files", "--deleted", "-z", "--", "pipelines/*/results/*")
    return set((listed or "").split("\0")) - {""}


def _git(*arguments: str) -> str | None:
    """What git prints; None if it is not there or refuses, as in a checkout of another user."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=paths.root(), capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


@functools.lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that take part, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in _VERSIONS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    torch = sys.modules.get("torch")
    if torch is not None and torch.version.cuda:
        found["cuda"] = torch.version.cuda
    return found


def hardware(device: str) -> dict[str, str]:
    """Names of the device and the processor, and what instructions torch uses on the processor."""
    facts = {"device": device.partition(":")[0], "cpu": cpu_model()}
    torch = sys.modules.get("torch")
    if torch is not None:
        facts["cpu_capability"] = torch.backends.cpu.get_cpu_capability()
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA")
    if limit:
        facts["onednn_max_cpu_isa"] = limit
    if torch is not None and device.startswith("cuda"):
        facts["device_name"] = torch.cuda.get_device_name(device)
    return facts


@functools.lru_cache(maxsize=1)
def cpu_model() -> str:
    """The processor's name as the kernel gives it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def processors() -> int:
    """Number of processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads(wish: int | None, where: str = "--threads") -> int:
    """The number of threads that was wished for, else `default_threads`.

    Raises:
        UserError: if it is not from 1 to `MOST_THREADS` or the processors here: torch crashes at very many.
    """
    if wish is None:
        return default_threads()
    most = max(MOST_THREADS, processors())
    if not 1 <= wish <= most:
        raise UserError(f"{where} should be from 1 to {most}, not {wish}; more than cores gain nothing")
    return wish


def default_threads() -> int:
    """Threads of a training that was told no number: ``OMP_NUM_THREADS``, else one for each processor.

    Of a list, which OpenMP takes for nested threads, the first number counts.

    Raises:
        UserError: if ``OMP_NUM_THREADS`` is set to anything else, or to far too many.
    """
    wish = os.environ.get("OMP_NUM_THREADS", "").strip()
    if not wish:
        return processors()
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}(\s*,\s*[0-9]+)*", wish):
        raise UserError(f"OMP_NUM_THREADS={wish} should be a whole number from 1 on; correct it or unset it")
    return threads(int(wish.partition(",")[0]), "OMP_NUM_THREADS")


def now() -> str:
    """The time, in UTC to the millisecond, as records hold it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _peak_mb() -> float | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    try:
        import resource
    except ImportError:  # Windows, which the standard library does not ask
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024
