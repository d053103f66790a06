"""Training and evaluation mode of a module, put back as they were."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import nn


@contextlib.contextmanager
def restored_modes(module: nn.Module) -> Iterator[None]:
    """Let the block change the mode of the module and its parts; afterwards each has its own again.

    Layers may do something when their mode changes (escnn's expand their filters), so `nn.Module.train` is
    called. It takes the parts along: those that two modules share have the mode of the second by then, and
    get theirs at last.
    """
    modes = {part: part.training for part in module.modules()}
    try:
        yield
    finally:
        for part, mode in modes.items():  # the whole comes before its parts
            part.train(mode)
        for part, mode in modes.items():
            part.training = mode
