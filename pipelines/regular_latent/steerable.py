"""The steerable systems of Tables 4 and 5, in the shape of the CNN: SCNN, Restriction, RPP and PSCNN.

On DDMNIST for C4, D1 and D4 (`Plane`), on volumes for SO(3) and O(3) (`Space`). What they predict does not
change when the whole image moves, so that SCNN cannot tell the two digits of a turned pair apart; Restriction
is free behind its fourth convolution, RPP adds ordinary convolutions, PSCNN learns how free it is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pipelines.regular_latent.settings import Settings
from shared.nn.baselines_likelihood import Likelihood, partial_penalty
from shared.nn.baselines_partial import PartialConv
from shared.nn.baselines_steerable import (
    FieldConv,
    Fields,
    PathwayConv,
    SteerableFieldConv,
    batch_norm,
    gate,
    irrep_fields,
    trivial_fields,
    unrestricted,
)
from shared.nn.fields import BlurPool, CircularMask, FieldGate

SYSTEMS = ("scnn", "restriction", "rpp", "pscnn")
#: Fields behind each convolution, in units of the width c.
WIDTHS = (1, 2, 4, 6, 6, 8)
#: Highest frequency of the irreps in the fields of each block.
BANDS = {
    **dict.fromkeys(("C4", "D4", "O3"), (2, 2, 2, 2, 2)),
    **dict.fromkeys(("D1", "trivial"), (0, 0, 0, 0, 0)),
    "SO3": (2, 3, 3, 3, 2),
}
#: Highest frequency of PSCNN's likelihoods.
LIKELIHOOD_BANDS = {"C4": 2, "D1": 1, "D4": 2, "SO3": 2, "O3": 2}
#: Of the first five convolutions in the plane: kernel, stride, padding; stride and padding of a pool behind.
PLANE = ((7, 1, 2, ()), (5, 1, 2, (2, 1)), (3, 2, 2, (2, 1)), (3, 2, 0, ()), (3, 1, 1, (1, 1)))
#: Deviation of the Gaussian pools, in pixels; their windows have side 5.
BLUR = 0.66
#: Weights of RPP's priors: of the steerable and of the ordinary parameters.
PRIORS = (1e-5, 1e-3)


class System(nn.Module):
    """What the systems share: how they convolve, and what they add to the loss.

    Args:
        settings: ``model``, ``group``, ``channels`` and, of PSCNN, ``duplicated`` and ``normalized``.
    """

    #: Weights of PSCNN's alignment, divergence from the layer before, and of the first layer from uniform.
    penalties: tuple[float, float, float]

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.system, self.group = settings.model, settings.group
        self.options = {"duplicated": settings.duplicated, "normalized": settings.normalized}
        self.widths = [width * settings.channels for width in WIDTHS]
        self.likelihoods = nn.ModuleList()

    def likelihood(self) -> Likelihood | None:
        """A new one for the next layers, of PSCNN."""
        if self.system != "pscnn":
            return None
        self.likelihoods.append(Likelihood(self.group, LIKELIHOOD_BANDS[self.group]))
        return self.likelihoods[-1]

    def convolution(
        self, source: Fields, target: Fields, kernel: int, likelihood: Likelihood | None, **options: Any
    ) -> FieldConv:
        """Partial with a likelihood, else steerable."""
        if likelihood is not None:
            return PartialConv(source, target, kernel, likelihood, **options, **self.options)
        return SteerableFieldConv(source, target, kernel, **options)

    def gated(self, block: int, group: str) -> tuple[Fields, FieldGate, Fields]:
        """The fields behind a block's convolution, its nonlinearity, and the fields behind that."""
        fields = irrep_fields(group, self.widths[block], BANDS[group][block], gated=True)
        return fields, *gate(fields)

    def squares(self) -> tuple[Tensor, Tensor]:
        """Sums of the squares of RPP's steerable and ordinary parameters."""
        raise NotImplementedError

    def penalty(self) -> Tensor:
        """What is added to the loss: RPP's priors, PSCNN's losses of its likelihoods; else 0."""
        if self.system == "rpp":
            steerable, ordinary = self.squares()
            return PRIORS[0] * steerable + PRIORS[1] * ordinary
        if self.system == "pscnn":
            return partial_penalty(self.likelihoods, *self.penalties)
        return torch.zeros((), device=next(self.parameters()).device)


class Plane(System):
    """A system for DDMNIST: six convolutions, the last to ``filters`` invariant features.

    Shape:
        in  (batch, 1, 56, 56)
        out (batch, classes)
    """

    penalties = (5.0, 3.0, 3.0)

    def __init__(self, settings: Settings, classes: int) -> None:
        super().__init__(settings)
        layers: list[nn.Module] = [nn.Upsample(57, mode="bilinear"), CircularMask(57, margin=1.0, sigma=2.0)]
        fields = trivial_fields(self.group, 1)
        for block, (kernel, stride, padding, pool) in enumerate(PLANE):
            if self.system == "restriction" and block == 4:
                fields = unrestricted(fields)
            target, nonlinearity, behind = self.gated(block, fields.group)
            layers += [self._convolution(fields, target, kernel, stride=stride, padding=padding)]
            layers += [batch_norm(target), nonlinearity]
            layers += [BlurPool(2, BLUR, *pool)] if pool else []
            fields = behind
        features = trivial_fields(fields.group, settings.filters)
        layers += [self._convolution(fields, features, 1, bias=False), nn.Flatten()]
        self.body = nn.Sequential(*layers)
        self.head = _head(settings.filters, classes)

    def _convolution(self, source: Fields, target: Fields, kernel: int, **options: Any) -> FieldConv:
        if self.system == "rpp":
            return PathwayConv(source, target, kernel, **options)
        return self.convolution(source, target, kernel, self.likelihood(), **options)

    def squares(self) -> tuple[Tensor, Tensor]:
        """Sums of the squares of RPP's steerable and ordinary parameters."""
        both = [layer.squares() for layer in self.body if isinstance(layer, PathwayConv)]
        return tuple(map(sum, zip(*both, strict=True)))

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        return self.head(self.body(images))


class Sum(nn.Module):
    """The sum of what several branches make of one input: a residual block and its skip, RPP's two paths."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """Add them up."""
        return sum(branch(x) for branch in self.branches)


class Space(System):
    """A system for volumes: three residual blocks, the last to 8 c invariant features.

    PSCNN frees the second convolution of each block and its skip, which share a likelihood. RPP adds to each
    block an ordinary one of as many channels.

    Shape:
        in  (batch, 1, 28, 28, 28)
        out (batch, classes)
    """

    penalties = (5.0, 1.0, 1.0)

    def __init__(self, settings: Settings, classes: int) -> None:
        super().__init__(settings)
        fields = trivial_fields(self.group, 1)
        first, fields = self._first(fields)
        second, inner = self._second(fields)
        third = self._third(inner)
        if self.system == "rpp":
            channels = [self.gated(block, self.group)[2].channels for block in range(5)]
            ordinary = _ordinary_blocks(channels, self.widths[5])
            first, second, third = map(Sum, (first, second, third), ordinary)
        self.body = nn.Sequential(
            nn.Upsample(29, mode="trilinear"), first, BlurPool(3, BLUR, 2, 1), second, third, nn.Flatten()
        )
        self.head = _head(self.widths[5], classes)

    def _first(self, source: Fields) -> tuple[Sum, Fields]:
        likelihood = self.likelihood()
        into, into_gate, inside = self.gated(0, self.group)
        out, out_gate, behind = self.gated(1, self.group)
        main = nn.Sequential(
            self.convolution(source, into, 7, None, padding=2),
            *(batch_norm(into), into_gate),
            self.convolution(inside, out, 5, likelihood, padding=2),
            *(batch_norm(out), out_gate),
        )
        skip = nn.Sequential(self.convolution(source, out, 7, likelihood, padding=2), out_gate)
        return Sum(main, skip), behind

    def _second(self, source: Fields) -> tuple[Sum, Fields]:
        likelihood = self.likelihood()
        into, into_gate, inside = self.gated(2, self.group)
        out, out_gate, behind = self.gated(3, self.group)
        main = nn.Sequential(
            self.convolution(source, into, 3, None, stride=2, padding=1),
            *(batch_norm(into), into_gate, BlurPool(3, BLUR, 2, 1)),
            self.convolution(inside, out, 3, likelihood, stride=2, padding=2),
            *(batch_norm(out), out_gate),
        )
        skip = nn.Sequential(BlurPool(3, BLUR, 2, 0), self.convolution(source, out, 3, likelihood), out_gate)
        return Sum(main, skip), behind

    def _third(self, source: Fields) -> Sum:
        likelihood = self.likelihood()
        into, into_gate, inside = self.gated(4, self.group)
        features = trivial_fields(self.group, self.widths[5])
        main = nn.Sequential(
            self.convolution(source, into, 3, None, padding=1),
            *(batch_norm(into), into_gate, BlurPool(3, BLUR, 1, 1)),
            self.convolution(inside, features, 1, likelihood, bias=False),
        )
        return Sum(main, self.convolution(source, features, 3, likelihood))

    def squares(self) -> tuple[Tensor, Tensor]:
        """Sums of the squares of RPP's steerable and ordinary filters and biases."""
        sums = []
        for kind in (FieldConv, nn.Conv3d):
            layers = [layer for layer in self.body.modules() if isinstance(layer, kind)]
            sums.append(sum(p.square().sum() for layer in layers for p in layer.parameters()))
        return tuple(sums)

    def forward(self, volumes: Tensor) -> Tensor:
        """Logits."""
        return self.head(self.body(volumes))


def _head(features: int, classes: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm1d(features), nn.ELU(), nn.Linear(features, classes))


def _ordinary_blocks(channels: list[int], features: int) -> tuple[Sum, Sum, Sum]:
    """The three blocks of the CNN with other numbers of channels behind its convolutions."""
    a, b, c, d, e = channels

    def normalized(width: int) -> tuple[nn.Module, nn.Module]:
        return nn.BatchNorm3d(width), nn.ELU()

    first = Sum(
        nn.Sequential(
            nn.Conv3d(1, a, 7, padding=2), *normalized(a), nn.Conv3d(a, b, 5, padding=2), *normalized(b)
        ),
        nn.Conv3d(1, b, 7, padding=2),
    )
    second = Sum(
        nn.Sequential(
            *(nn.Conv3d(b, c, 3, stride=2, padding=1), *normalized(c), nn.AvgPool3d(5, 2, 1)),
            *(nn.Conv3d(c, d, 3, stride=2, padding=2), *normalized(d)),
        ),
        nn.Sequential(nn.AvgPool3d(5, 2, 0), nn.Conv3d(b, d, 3)),
    )
    third = Sum(
        nn.Sequential(
            *(nn.Conv3d(d, e, 3, padding=1), *normalized(e), nn.AvgPool3d(3, 1, 0), nn.Conv3d(e, features, 1))
        ),
        nn.Conv3d(d, features, 3),
    )
    return first, second, third


def build(settings: Settings, classes: int) -> System:
    """The system ``settings.model`` for ``settings.group``, with parameters by torch's global random state.

    Raises:
        UserError: if escnn is not installed.
    """
    return (Space if settings.group in ("SO3", "O3") else Plane)(settings, classes)
