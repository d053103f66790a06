"""Checkpoints: written whole with a digest of what they hold, read without pickle and only if it is right."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from shared.base.errors import UserError
from shared.base.files import write_atomic

#: How a checkpoint begins; the SHA-256 of all that comes after it follows.
_HEAD = b"checkpoint with SHA-256\n"
_START = len(_HEAD) + hashlib.sha256().digest_size


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors and plain values) so that a kill leaves the old file or the new."""
    buffer = io.BytesIO(bytes(_START))
    buffer.seek(_START)
    torch.save(state, buffer)
    content = buffer.getbuffer()
    content[:_START] = _HEAD + hashlib.sha256(content[_START:]).digest()
    write_atomic(path, content)


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """Read a checkpoint, or None if there is none.

    Raises:
        UserError: if the file is not what was written, down to the last bit, or holds something else than
            plain values. One of an earlier version has no digest: nothing tells whether it is whole.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if not content.startswith(_HEAD):
        raise UserError(f"checkpoint {path} has no digest (it is older, or damaged); delete it to start over")
    if content[len(_HEAD) : _START] != hashlib.sha256(memoryview(content)[_START:]).digest():
        raise UserError(f"checkpoint {path} is damaged; delete it to start over")
    try:
        return torch.load(io.BytesIO(memoryview(content)[_START:]), map_location=device, weights_only=True)
    except Exception as error:  # the reader raises many kinds; all mean that the file is not usable
        kind = type(error).__name__
        raise UserError(f"checkpoint {path} cannot be read ({kind}); delete it to start over") from None
