"""Checkpoints: written whole, read without pickle."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import torch

from shared.base.errors import UserError
from shared.base.files import write_atomic


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors and plain values) so that a kill leaves the old file or the new."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(path, buffer.getvalue())


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """Read a checkpoint, or None if there is none.

    Raises:
        UserError: if the file is damaged or holds something else than plain values.
    """
    try:
        with contextlib.closing(open(path, "rb")) as file:
            return torch.load(file, map_location=device, weights_only=True)
    except FileNotFoundError:
        return None
    except Exception as error:  # the reader raises many kinds; all mean that the file is not usable
        kind = type(error).__name__
        raise UserError(f"checkpoint {path} cannot be read ({kind}); delete it to start over") from None
