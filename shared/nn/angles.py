"""Angles at which rotations are sampled: fixed, with one random offset per pass, or on a learned interval.

A grid is a value that layers pass along with their features. Each module here makes one per call. The random
ones draw from a generator that they are given (`seed`), also in eval mode, as in the released partial G-CNN.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

TURN = 2 * math.pi


@dataclass(frozen=True)
class AngleGrid:
    """Sampled rotations.

    Attributes:
        angles: radians in [0, 2 pi), float64, (n,); with a gradient if the interval has one.
        full: whether they divide the whole circle evenly, so that turns by 2 pi / n permute them.
    """

    angles: Tensor
    full: bool = True

    def __len__(self) -> int:
        return len(self.angles)


class FixedAngles(nn.Module):
    """``2 pi k / n``, the same at each call.

    Args:
        count: n.

    Raises:
        ValueError: if n is not a positive integer.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValueError(f"the number of angles must be a positive integer, not {count!r}")
        self.count = count

    def forward(self) -> AngleGrid:
        return AngleGrid(torch.arange(self.count, dtype=torch.float64) * (TURN / self.count))

    def extra_repr(self) -> str:
        return str(self.count)


class RandomAngles(FixedAngles):
    """``2 pi k / n + d`` with one d, uniform in [0, 2 pi / n), for the whole batch; drawn at each call.

    Args:
        count: n.

    Raises:
        ValueError: if n is not a positive integer; when called, if it was never seeded.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.generator: torch.Generator | None = None
        self._held: Tensor | None = None
        self._holding = False

    def seed(self, generators: Sequence[torch.Generator]) -> None:
        """Draw from this generator from now on.

        Raises:
            ValueError: if there is not exactly one (networks with angles are trained one by one).
        """
        if len(generators) != 1:
            raise ValueError(f"angles need one generator, not {len(generators)}: train the seeds one by one")
        self.generator = generators[0]

    def _draw(self) -> Tensor:
        """Uniform in [0, 1), float64, a scalar on the generator's device."""
        if self._held is not None:
            return self._held
        if self.generator is None:
            raise ValueError("random angles were not seeded: call seed_angles(network, seed) first")
        device = self.generator.device
        u = torch.rand((), dtype=torch.float64, generator=self.generator, device=device)
        self._held = u if self._holding else None
        return u

    def hold(self, holding: bool) -> None:
        """Keep the next draw for all calls to come (True), or draw at each call again (False)."""
        self._held, self._holding = None, holding

    def forward(self) -> AngleGrid:
        steps = torch.arange(self.count, dtype=torch.float64)
        u = self._draw()
        return AngleGrid((steps.to(u.device) + u) * (TURN / self.count))


class PartialAngles(RandomAngles):
    """Evenly spaced angles on a learned part ``[-pi p, pi p)`` of the circle (partial equivariance).

    With ``n' = min(ceil(n abs(p)), n)``, at least 1: ``theta_k = 2 pi p k / n' - pi p + d``, d uniform in
    ``[0, 2 pi p / n')``, wrapped to [0, 2 pi). The layer that uses it is equivariant to rotations only while
    p = 1; p is neither squashed nor clamped.

    Args:
        count: n, the number of angles on the full circle.
        reparametrized: whether the gradient of p also takes the spacing of the grid into account. The release
            reads the spacing out as a number, so that only ``-pi p`` and d carry a gradient (the default).

    Raises:
        ValueError: as for `RandomAngles`.
    """

    def __init__(self, count: int, *, reparametrized: bool = False) -> None:
        super().__init__(count)
        self.reparametrized = reparametrized
        self.interval = nn.Parameter(torch.tensor(1.0))

    def forward(self) -> AngleGrid:
        p = self.interval.double()
        count = max(1, min(math.ceil(self.count * abs(float(p.detach()))), self.count))
        steps = torch.arange(count, dtype=torch.float64, device=p.device)
        spacing = p if self.reparametrized else p.detach()
        offset = self._draw().to(p.device) * (TURN / count) * p
        angles = steps * (TURN / count) * spacing - math.pi * p + offset
        return AngleGrid(torch.remainder(angles, TURN), full=False)


def seed_angles(network: nn.Module, seed: int) -> None:
    """Let all random angles of a network draw from one new CPU generator."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, RandomAngles):
            module.seed([generator])


@contextlib.contextmanager
def one_draw(network: nn.Module) -> Iterator[None]:
    """Within this context each grid of a network is drawn once and then kept, so that batches share it."""
    grids = [module for module in network.modules() if isinstance(module, RandomAngles)]
    for grid in grids:
        grid.hold(True)
    try:
        yield
    finally:
        for grid in grids:
            grid.hold(False)
