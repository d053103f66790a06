"""The flows of SMOKE: simulated, cut into windows, turned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from pipelines.regular_latent.settings import Settings
from shared.algebra.groups import cyclic
from shared.data import smoke
from shared.nn.latent import PermutationAction, grid

#: Simulations by number, as the authors list them: those that are trained on, and others.
KNOWN = (*(27, 33, 3, 28, 9, 12, 22, 8, 30, 25, 16, 11, 23, 29, 36, 26, 1, 35, 19, 34, 4, 2, 7, 31, 17),)
OTHERS = (6, 14, 15, 10, 18, 20, 24, 13, 21, 5)
#: Frames of a simulation before its first window, frames that a network sees, frames that a loss and a test
#: roll out.
SKIPPED, INPUTS, TRAINED, TESTED = 2, 10, 6, 20
#: Counter-clockwise, on (x, y), by the number of quarter turns.
ROTATIONS = (((1, 0), (0, 1)), ((0, -1), (1, 0)), ((-1, 0), (0, -1)), ((0, 1), (-1, 0)))


@dataclass(frozen=True)
class Flows:
    """Velocities, and windows in them as (simulation, first frame).

    Attributes:
        fields: (simulations, frames, 2, size, size) float32; rows count downwards, unless as released.
        windows: train, valid, future and domain, each (count, 2) int64.
    """

    fields: Tensor
    windows: dict[str, Tensor]

    def clips(self, windows: Tensor, frames: int) -> Tensor:
        """Frames of some windows, from the first that a network sees: (count, frames, 2, size, size)."""
        times = windows[:, 1:] + SKIPPED + torch.arange(frames, device=windows.device)
        return self.fields[windows[:, :1], times]


def load(settings: Settings, device: str) -> Flows:
    """Simulate what the settings ask for.

    A `settings.layout` "turned" reverses the rows, so that they count downwards as everywhere else: then
    `turn` turns the flow as it would be seen. The released arrays count upwards.
    """
    known, others = settings.simulations
    numbers = [*KNOWN[:known], *OTHERS[:others]]
    train, valid, future, domain = settings.starts
    frames = max(train + valid + future, domain) - 1 + SKIPPED + INPUTS + TESTED
    plumes = smoke.rotation_plumes()
    fields = smoke.simulate([plumes[k - 1] for k in numbers], settings.size, frames + 1, device)
    spans = {
        "train": (range(known), range(train)),
        "valid": (range(known), range(train, train + valid)),
        "future": (range(known), range(train + valid, train + valid + future)),
        "domain": (range(known, known + others), range(domain)),
    }
    windows = {
        name: torch.cartesian_prod(*(torch.tensor(list(span), device=device) for span in both)).view(-1, 2)
        for name, both in spans.items()
    }
    return Flows(downwards(fields) if settings.layout == "turned" else fields, windows)


def downwards(fields: Tensor) -> Tensor:
    """Simulated fields with rows that count downwards; the components stay."""
    return fields.flip(-2)


@cache
def _grid(size: int) -> PermutationAction:
    return grid(cyclic(4), size)


def turn_maps(x: Tensor, turns: Tensor) -> Tensor:
    """Turn each sample's feature maps counter-clockwise: on an even grid, regular representations only.

    Shape:
        x (batch, channels, size, size), turns (batch,) int64 from 0 to 3; the result like x
    """
    return _grid(x.shape[-1])(x, turns)


def turn(x: Tensor, turns: Tensor) -> Tensor:
    """Turn each sample's velocities counter-clockwise: the places, and the vectors with them.

    Shape:
        x (batch, 2 frames, size, size), the channels (x, y) of one frame after the other; turns as in
        `turn_maps`

    Raises:
        ValueError: if the channels are no pairs; and as `shared.nn.latent.PermutationAction`.
    """
    if x.ndim != 4 or x.shape[1] % 2:
        raise ValueError(
            f"flows have channels in pairs (x, y) and two axes of space, not the shape {tuple(x.shape)}; "
            "turn maps that are no vectors by turn_maps"
        )
    moved = turn_maps(x, turns).unflatten(1, (-1, 2))
    matrices = torch.tensor(ROTATIONS).to(x)[turns]
    return torch.einsum("bij,btjhw->btihw", matrices, moved).flatten(1, 2)
