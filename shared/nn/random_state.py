"""The random number generators that belong to nobody: those of torch, numpy and Python.

Layers and functions of others draw from them (`torch.nn.Dropout`, ``torch.rand``, ``random.random``). What
they draw then depends on all that was drawn before in the process, unless it is set by hand.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch


def _generators(device: torch.device | str) -> list[torch.Generator]:
    """Torch's own generators of the CPU and of a CUDA device."""
    device, found = torch.device(device), [torch.default_generator]
    if device.type == "cuda" and torch.cuda.is_available():
        torch.cuda.init()
        index = torch.cuda.current_device() if device.index is None else device.index
        if index < len(torch.cuda.default_generators):  # a pretended GPU has none
            found.append(torch.cuda.default_generators[index])
    return found


def random_states(device: torch.device | str = "cpu") -> list[Any]:
    """Where the generators stand; two results are equal if nothing was drawn in between."""
    name, keys, *rest = np.random.get_state()
    torches = [generator.get_state().numpy().tobytes() for generator in _generators(device)]
    return [*torches, (name, keys.tobytes(), *rest), random.getstate()]


@contextlib.contextmanager
def own_random(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Set all of them from ``seed`` inside the block; afterwards they stand where they stood."""
    generators = _generators(device)
    before = [generator.get_state() for generator in generators]
    others = np.random.get_state(), random.getstate()
    seed %= 2**32
    for generator in generators:
        generator.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    try:
        yield
    finally:
        for generator, state in zip(generators, before):
            generator.set_state(state)
        np.random.set_state(others[0])
        random.setstate(others[1])
