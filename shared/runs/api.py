"""What a pipeline's own code sees of the record keeping: rows to return, a context to run in, late settings.

Kept apart from the rest and free of imports of ours, because everything a pipeline's experiment
imports enters its code fingerprint: a change in how records are stored must not age results.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

#: Precisions a run can be asked for: plain float32; float32 with TF32 matrix products; bfloat16 autocast.
PRECISIONS = ("float32", "tf32", "bf16")


def bf16_is_native(device: str) -> bool:
    """Whether "cpu" or "cuda" computes in bf16 itself; emulated, it is several times slower than float32.

    A processor needs instructions for it, and oneDNN leave to use them (``ONEDNN_MAX_CPU_ISA``). True where
    torch is not loaded: then nothing asks for bf16.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return True
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    allowed = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # torch has no public question for either
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return allowed
    return allowed and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def refusal(precision: str, device: str) -> str:
    """Why a device ("cpu", "cuda" or "cuda:N") does not compute in a precision; empty if it does."""
    device = device.partition(":")[0]
    if precision not in PRECISIONS:
        return f"unknown precision {precision!r}; use one of {', '.join(PRECISIONS)}"
    if precision == "tf32" and device != "cuda":
        return "precision tf32 needs a CUDA device; choose float32 or bf16 on a CPU"
    if precision == "bf16" and not bf16_is_native(device):
        if device == "cuda":
            return "this CUDA device does not support bf16; choose float32 or tf32"
        return "this processor has no bf16 arithmetic and would take several times as long; choose float32"
    return ""


class Row(NamedTuple):
    """One measured value of a run.

    ``step`` says where on its curve the value lies (epoch, angle in degrees, flat pixel index, ...) and is
    the empty string for a metric with a single value.
    """

    metric: str
    step: int | float | str
    value: float


class OutOfTime(Exception):
    """Raised when nothing can be returned at ``Context.deadline``; what a checkpoint holds is kept."""


@dataclass(frozen=True)
class Context:
    """Where and how a batch of runs is to be computed; nothing in it may change what is computed.

    Attributes:
        device: torch's name of the device, for example ``cpu`` or ``cuda:0``.
        threads: number of CPU threads torch uses.
        precision: one of `PRECISIONS`.
        checkpoint: file to resume from and to write to; None for none. The caller deletes it.
        deadline: value of `time.monotonic` at which to stop: return the seeds that are finished, or raise
            `OutOfTime` if none is. None for never.
        log: takes one line of progress.
    """

    device: str = "cpu"
    threads: int = 1
    precision: str = "float32"
    checkpoint: Path | None = None
    deadline: float | None = None
    log: Callable[[str], None] = print

    def training(self) -> dict[str, Any]:
        """The part of this that `shared.train.fit` wants to know, as its keyword arguments."""
        return {name: getattr(self, name) for name in ("device", "log", "checkpoint", "deadline")}

    def time_is_up(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and time.monotonic() >= self.deadline


def added(default: Any, absent: Any = ...) -> Any:
    """Dataclass field for a setting that was added after results had been recorded.

    At the value ``absent`` (the behavior before the setting existed; by default ``default``) the setting
    does not enter a run's identity, so earlier results stay valid.
    """
    return field(default=default, metadata={"absent": default if absent is ... else absent})
