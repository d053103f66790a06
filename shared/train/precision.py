"""Number formats by setting; float32 means float32."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from shared.base.errors import UserError
from shared.runs.api import refusal


@contextlib.contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Let products of float32 use TF32 on CUDA inside the block, or not; a backward pass looks, too."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@contextlib.contextmanager
def precision(name: str, device: torch.device | str) -> Iterator[None]:
    """Compute in "float32" (TF32 off), "tf32" or "bf16" (autocast) inside the block.

    Raises:
        UserError: for another name, tf32 without a CUDA device, or bf16 on a device that would emulate it.
    """
    kind = torch.device(device).type
    if why := refusal(name, kind):
        raise UserError(why)
    with tf32(name == "tf32"), torch.autocast(kind, torch.bfloat16, enabled=name == "bf16"):
        yield
