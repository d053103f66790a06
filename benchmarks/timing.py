"""Fair timing on a machine that other work shares: interleaved repetitions, and ratios within each of them.

Every repetition runs every variant once, in random order, so that a slow moment of the machine hits all
alike. What counts is the median over the repetitions of the ratio within one repetition, with its quartiles;
single times say little.
"""

from __future__ import annotations

import math
import os
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: glibc gives big tensors back at each step and page-faults them in again, which is billed to whoever asks
#: next. Must be set before Python starts.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "20000000000"}

#: Seconds that a variant is timed for in one repetition, at least.
TURN_SECONDS = 0.2

Step = Callable[[], object]


def tune_allocator() -> None:
    """Start this program again with the allocator's variables set, unless they are.

    Only for the ``__main__`` part of a program: nothing of the present process survives.
    """
    if all(name in os.environ for name in ALLOCATOR):
        return
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**ALLOCATOR, **os.environ})


@dataclass
class Times:
    """Seconds per call of one variant, one value for each repetition: wall clock and processor time."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Ratio:
    """Median of ratios, with the lower and upper quartile."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"


def ratio(times: Sequence[float], reference: Sequence[float]) -> Ratio:
    """Compare two variants repetition by repetition.

    Raises:
        ValueError: if they have different numbers of repetitions, or none.
    """
    if len(times) != len(reference) or not times:
        raise ValueError(f"cannot pair {len(times)} repetitions with {len(reference)}")
    each = [mine / theirs for mine, theirs in zip(times, reference)]
    if len(each) == 1:
        return Ratio(each[0], each[0], each[0])
    low, middle, high = statistics.quantiles(each, n=4, method="inclusive")
    return Ratio(middle, low, high)


def interleave(
    variants: Mapping[str, Step],
    repetitions: int,
    *,
    sync: Callable[[], None] = lambda: None,
    turn_seconds: float = TURN_SECONDS,
    log: Callable[[str], None] = lambda line: None,
) -> dict[str, Times]:
    """Time all variants in turn.

    Args:
        variants: what to call, by name.
        repetitions: how often each gets its turn.
        sync: waits until the device has finished what was asked of it.
        turn_seconds: a shorter call is repeated within its turn, after one call that is not timed (the
            variant before has filled the caches).
        log: told once per repetition.

    Returns:
        Seconds per call of each variant.
    """
    calls = {name: _calibrate(step, sync, turn_seconds) for name, step in variants.items()}
    times = {name: Times() for name in variants}
    order, shuffle = list(variants), random.Random(0).shuffle
    for repetition in range(repetitions):
        shuffle(order)
        for name in order:
            if calls[name] > 1:
                variants[name]()
            wall, cpu = _clock(variants[name], calls[name], sync)
            times[name].wall.append(wall)
            times[name].cpu.append(cpu)
        log(f"repetition {repetition + 1} of {repetitions}")
    return times


def _calibrate(step: Step, sync: Callable[[], None], turn_seconds: float) -> int:
    """Warm up, and find how many calls fill a turn."""
    step()
    wall, _ = _clock(step, 1, sync)
    return max(1, math.ceil(turn_seconds / max(wall, 1e-6)))


def _clock(step: Step, calls: int, sync: Callable[[], None]) -> tuple[float, float]:
    """Wall and processor seconds per call."""
    sync()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(calls):
        step()
    sync()
    return (time.perf_counter() - wall) / calls, (time.process_time() - cpu) / calls


def peak_mb(step: Step, device: str, calls: int = 3) -> float:
    """Megabytes that ``calls`` calls need at their peak, beyond what was in use before.

    On a CPU this is the process's high-water resident set, scratch memory of the libraries included; so use
    a fresh process, warmed up by something small. On CUDA it is what PyTorch's allocator handed out.
    """
    if device.startswith("cuda"):
        return _device_peak_mb(step, device, calls)
    before = _reset_peak()
    for _ in range(calls):
        step()
    return max(0.0, _high_water() - before) / 2**20


def _device_peak_mb(step: Step, device: str, calls: int) -> float:
    import torch

    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    for _ in range(calls):
        step()
    torch.cuda.synchronize(device)
    return (torch.cuda.max_memory_allocated(device) - before) / 2**20


def _reset_peak() -> int:
    """Set the high-water mark to the present resident set, and return it; bytes."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux: the mark stays, so what came before must have been small
        return _high_water()
    return _status("VmRSS:")


def _high_water() -> int:
    if Path("/proc/self/status").exists():
        return _status("VmHWM:")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no line {name}")
