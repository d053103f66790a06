"""Number formats by setting; float32 means float32."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from shared.base.errors import UserError, unknown
from shared.runs.api import PRECISIONS, bf16_is_native


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
    if name not in PRECISIONS:
        raise UserError(unknown("precision", name, PRECISIONS))
    device = torch.device(device)
    cuda = device.type == "cuda"
    if name == "tf32" and not cuda:
        raise UserError("precision tf32 needs a CUDA device; choose float32 or bf16 on a CPU")
    if name == "bf16" and not bf16_is_native(device.type):
        raise UserError(
            "this CUDA device does not support bf16; choose float32 or tf32"
            if cuda
            else "this processor has no bf16 arithmetic and would take several times as long; choose float32"
        )
    with tf32(name == "tf32"), torch.autocast(device.type, torch.bfloat16, enabled=name == "bf16"):
        yield
