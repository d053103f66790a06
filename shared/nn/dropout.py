"""Dropout that draws from a generator per replica, so that a run does not depend on its neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

_LEVELS = 1 << 16


class Dropout(nn.Module):
    """Zero each entry with probability ``p`` while training, and scale the rest by 1 / (1 - p).

    Not equivariant while training (the mask is not rotated); the identity in eval mode. The probability
    is kept to 1/65536: four decisions are cut from each 64 random bits, which on a CPU costs a quarter
    of drawing them one by one.

    Args:
        p: probability of zero, in [0, 1); above 65535/65536 it counts as that.

    Shape:
        in and out (batch, channels, ...)

    Raises:
        ValueError: if p is not in [0, 1), or the generators do not divide the channels of an input.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"p must be in [0, 1), not {p}")
        self.p = p
        self.generators: list[torch.Generator | None] = [None]

    def seed(self, generators: Sequence[torch.Generator]) -> None:
        """Draw from these generators, one for each equal block of channels (one for each replica)."""
        self.generators = list(generators)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p < 0.5 / _LEVELS:
            return x
        blocks = len(self.generators)
        if x.shape[1] % blocks:
            raise ValueError(f"{x.shape[1]} channels cannot be shared by {blocks} replicas")
        shape = (x.shape[0], x.shape[1] // blocks, *x.shape[2:])
        drawn = [self._draw(shape, generator, x.device) for generator in self.generators]
        return x * self._mask(drawn[0] if blocks == 1 else torch.cat(drawn, 1), x)

    def _mask(self, bits: Tensor, like: Tensor) -> Tensor:
        """1 / (1 - p) or 0 by uniform 16-bit integers, in the type and memory order of ``like``.

        The integers are drawn in logical order, so the mask is the same for every memory format. It is
        made by arithmetic on them in place: comparisons, and conversions of their outcome, are several
        times as slow on a CPU.
        """
        dropped = min(round(self.p * _LEVELS), _LEVELS - 1)
        least = dropped - _LEVELS // 2  # of the integers that are kept
        kept = torch.empty_like(like, dtype=torch.int16).copy_(bits).clamp_(least - 1, least).sub_(least - 1)
        scale = torch.tensor(_LEVELS / (_LEVELS - dropped), dtype=like.dtype)
        if like.element_size() != 2:
            return kept.to(like.dtype).mul_(scale.item())
        return kept.mul_(scale.view(torch.int16).item()).view(like.dtype)  # 0 or the bits of the scale

    @staticmethod
    def _draw(shape: Sequence[int], generator: torch.Generator | None, device: torch.device) -> Tensor:
        """Uniform 16-bit integers of ``shape``."""
        count = math.prod(shape)
        words = torch.empty((count + 3) // 4, dtype=torch.int64, device=device)
        words.random_(-(2**63), None, generator=generator)
        return words.view(torch.int16)[:count].view(*shape)

    def extra_repr(self) -> str:
        return f"p={self.p}"
