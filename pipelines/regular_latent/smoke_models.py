"""The systems of Table 6: from ten frames of velocities to the next one.

Ten vector fields come as 20 channels, in the order of time, (x, y) within a frame; rows count downwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from pipelines.regular_latent.settings import Settings
from shared.algebra.groups import cyclic
from shared.nn import GroupBatchNorm, GroupConv, LiftingConv
from shared.nn.baselines_likelihood import Likelihood, partial_penalty
from shared.nn.baselines_partial import PartialConv
from shared.nn.baselines_steerable import (
    Fields,
    PathwayConv,
    SteerableFieldConv,
    pair_basis,
    regular_fields,
    vector_fields,
)
from shared.nn.fields import ExpandedConv

#: Frames that a network sees, channels of a frame, layers, side of the filters.
INPUTS, VECTOR, LAYERS, KERNEL = 10, 2, 5, 3
GROUP, ORDER = "C4", 4
#: Grid of another data set, to which the released encoder of "lift" is bound; the printed count is of it.
LIFT_GRID = (62, 23)
#: Filter banks of a relaxed group convolution.
BANKS = 2
#: Weights of the penalties on unconstrained filters of RPP, and on differences of coefficients of RSteer.
RPP_PENALTY, RSTEER_PENALTY = 1e-6, 1e-5
#: Band of the likelihoods of PSCNN; weights of alignment, divergence between layers, divergence from uniform.
BAND, PSCNN_PENALTIES = 2, (5.0, 3.0, 3.0)


class Predictor(nn.Module):
    """A network in two parts: what computes the latent feature maps, and the last layer.

    Shape:
        in  (batch, 20, height, width)
        out (batch, 2, height, width)
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = nn.Sequential(*layers[:-1]), layers[-1]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x))

    def penalty(self) -> Tensor | float:
        """What the loss adds; the authors' code squares it (by a mean squared error to 0)."""
        return 0.0


def build(settings: Settings, seed: int) -> Predictor:
    """The network of ``settings`` with the weights of ``seed``; the global random state is left alone.

    Raises:
        UserError: if e2cnn or escnn is needed and not there.
    """
    width, grid = settings.channels, (settings.size, settings.size)
    makers: dict[str, Callable[[], Predictor]] = {
        "cnn": lambda: cnn(width),
        "mlp": lambda: mlp(width, grid),
        "e2cnn": lambda: e2cnn(width),
        "rpp": lambda: RPP(width),
        "lift": lambda: Lift(width, grid),
        "rgroup": lambda: RGroup(width, settings.transposed),
        "rsteer": lambda: RSteer(width),
        "pscnn": lambda: PSCNN(width, settings.duplicated),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return makers[settings.model]()


def cnn(width: int) -> Predictor:
    """The baseline and the method: four convolutions with batch norm and ReLU, and a last one."""
    layers: list[nn.Module] = []
    for place in range(LAYERS - 1):
        channels = width if place else INPUTS * VECTOR
        convolution = nn.Conv2d(channels, width, KERNEL, padding=1)
        layers.append(nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU()))
    return Predictor(*layers, nn.Conv2d(width, VECTOR, KERNEL, padding=1))


def mlp(width: int, grid: tuple[int, int]) -> Predictor:
    """All pixels of all frames at once; no symmetry, no locality."""
    layers: list[nn.Module] = [nn.Flatten()]
    for place in range(LAYERS - 1):
        inputs = width if place else INPUTS * VECTOR * math.prod(grid)
        layers += [nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU()]
    last = nn.Sequential(nn.Linear(width, VECTOR * math.prod(grid)), nn.Unflatten(1, (VECTOR, *grid)))
    return Predictor(*layers, last)


def _fields(width: int, backend: str = "e2cnn") -> list[tuple[Fields, Fields]]:
    """Source and target of each layer of a steerable network."""
    regular = regular_fields(GROUP, width, backend)
    first, last = vector_fields(GROUP, INPUTS, backend), vector_fields(GROUP, 1, backend)
    return [(first, regular), *[(regular, regular)] * (LAYERS - 2), (regular, last)]


class _FieldNorm(nn.Module):
    """Batch norm of regular fields, one scale and shift for each, and ReLU."""

    def __init__(self, fields: int) -> None:
        super().__init__()
        self.norm = GroupBatchNorm(fields, cyclic(ORDER))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.unflatten(1, (-1, ORDER))).flatten(1, 2).relu()


def _steerable(source: Fields, target: Fields) -> nn.Sequential:
    return nn.Sequential(SteerableFieldConv(source, target, KERNEL, padding=1), _FieldNorm(target.count))


def e2cnn(width: int) -> Predictor:
    """Steerable network of C4: vectors in, regular fields, a vector out; equivariant exactly."""
    *hidden, last = _fields(width)
    return Predictor(*(_steerable(*pair) for pair in hidden), SteerableFieldConv(*last, KERNEL, padding=1))


class RPP(Predictor):
    """Residual pathway priors: beside each steerable convolution an ordinary one, whose weights are
    penalized.

    The batch norm does not know of fields, and the last layer's (of four channels) is counted and not used.
    """

    def __init__(self, width: int) -> None:
        *hidden, last = _fields(width)
        norms = [nn.BatchNorm2d(ORDER * width) for _ in hidden]
        paths = [PathwayConv(*pair, KERNEL, padding=1) for pair in (*hidden, last)]
        super().__init__(*map(nn.Sequential, paths[:-1], norms, [nn.ReLU()] * len(hidden)), paths[-1])
        self.unused = nn.BatchNorm2d(ORDER)

    def penalty(self) -> Tensor:
        """The squares of the unconstrained filters and biases."""
        squares = [layer.squares()[1] for layer in self.modules() if isinstance(layer, PathwayConv)]
        return (RPP_PENALTY * torch.stack(squares).sum()).square()


class Lift(Predictor):
    """Lift expansion: an encoder of the whole input, repeated at each pixel as regular fields of a
    steerable network.

    Args:
        width: regular fields, and units of the encoder.
        grid: height and width of the input; the released encoder is bound to `LIFT_GRID`.
    """

    def __init__(self, width: int, grid: tuple[int, int]) -> None:
        *hidden, last = _fields(width)
        lifted = width // ORDER
        joined = (regular_fields(GROUP, width + lifted, "e2cnn"), hidden[2][1])
        head = SteerableFieldConv(*last, KERNEL, padding=1)
        super().__init__(*(_steerable(*pair) for pair in (*hidden[:2], joined, hidden[3])), head)
        units = (INPUTS * VECTOR * grid[0] * grid[1], width, width)
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise(units):
            layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
        self.lifting = nn.Sequential(*layers, nn.Linear(width, lifted * ORDER))

    def forward(self, x: Tensor) -> Tensor:
        whole = self.lifting(x)[..., None, None].expand(-1, -1, *x.shape[2:])
        local = self.encoder[:2](x)
        return self.head(self.encoder[2:](torch.cat([local, whole], 1)))


class RGroup(Predictor):
    """Relaxed group convolutions of C4, after Wang, Hwang, Walters and Smidt.

    Each rotation has its own combination of two filter banks; it begins as their mean, which is equivariant.
    The components of the velocity are scalars to it, and hidden layers after the first have no nonlinearity,
    as released.

    Args:
        width: regular fields.
        transposed: predictions have rows and columns exchanged, as a released copy has it.
    """

    def __init__(self, width: int, transposed: bool = False) -> None:
        first = nn.Sequential(RelaxedConv(INPUTS * VECTOR, width, lifting=True), nn.ReLU())
        hidden = [RelaxedConv(width, width) for _ in range(LAYERS - 2)]
        last = nn.Sequential(RelaxedConv(width, VECTOR), nn.Unflatten(1, (VECTOR, ORDER)))
        super().__init__(first, *hidden, last)
        self.transposed = transposed

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x).mean(2)
        return y.mT if self.transposed else y


class RelaxedConv(ExpandedConv):
    """Group convolution of C4 whose filter differs by rotation: a combination of banks, with weights for
    each.

    Without bias. Exactly equivariant while each bank has the same weight for all rotations, as at the start.

    Shape:
        in  (batch, in_channels, height, width) if ``lifting``, else (batch, in_channels |G|, height, width)
        out (batch, out_channels |G|, height, width)
    """

    def __init__(self, in_channels: int, out_channels: int, lifting: bool = False) -> None:
        super().__init__(2, 1, KERNEL // 2)
        kind = LiftingConv if lifting else GroupConv
        self.banks = kind(in_channels, BANKS * out_channels, KERNEL, group=cyclic(ORDER), bias=False)
        each = 1 / BANKS if lifting else 1 / BANKS / ORDER
        self.mixture = nn.Parameter(torch.full((BANKS, ORDER), each))

    def expand(self) -> tuple[Tensor, None]:
        banks = self.banks.filter_bank().unflatten(0, (BANKS, -1, ORDER))  # (bank, out, turn, in, k, k)
        return (banks * self.mixture[:, None, :, None, None, None]).sum(0).flatten(0, 1), None


class RSteer(Predictor):
    """Relaxed steerable convolutions: the coefficient of each basis kernel differs by pixel of the filter.

    Equivariant only where the coefficients are alike. Without norm, whose parameters are counted and not
    used.
    """

    def __init__(self, width: int) -> None:
        *hidden, last = _fields(width)
        blocks = [nn.Sequential(RelaxedSteerable(*pair), nn.ReLU()) for pair in hidden]
        super().__init__(*blocks, RelaxedSteerable(*last))
        self.unused = nn.ModuleList(GroupBatchNorm(width, cyclic(ORDER)) for _ in hidden)

    def penalty(self) -> Tensor:
        layers = [layer for layer in self.modules() if isinstance(layer, RelaxedSteerable)]
        return (RSTEER_PENALTY * torch.stack([layer.roughness() for layer in layers]).sum()).square()


class RelaxedSteerable(ExpandedConv):
    """``filter[o, p, i, q, t] = sum_b basis[b, p, q, t] weight[o, b, i, t]`` for tap t, fields o and i.

    Args:
        source, target: kind and number of fields.
    """

    basis: Tensor

    def __init__(self, source: Fields, target: Fields) -> None:
        super().__init__(2, 1, KERNEL // 2)
        kinds = source.representation, target.representation
        basis = pair_basis(GROUP, *kinds, KERNEL, source.backend).filters
        self.derive("basis", lambda: basis)
        bound = 1 / math.sqrt(source.count * KERNEL * KERNEL)
        shape = (target.count, len(basis), source.count, KERNEL * KERNEL)
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(target.channels).uniform_(-bound, bound))

    def expand(self) -> tuple[Tensor, Tensor]:
        filters = torch.einsum("bpqt,obit->opiqt", self.basis, self.weight)
        return filters.flatten(2, 3).flatten(0, 1).unflatten(-1, (KERNEL, KERNEL)), self.bias

    def roughness(self) -> Tensor:
        """Mean difference of a coefficient from the next tap's, in the order of the rows."""
        return self.weight.diff(dim=-1).abs().mean()


class PSCNN(Predictor):
    """Steerable network whose layers learn how equivariant they are.

    Args:
        width: regular fields.
        duplicated: as released, with some basis elements more than once.
    """

    def __init__(self, width: int, duplicated: bool = False) -> None:
        layers = [
            PartialConv(*pair, KERNEL, Likelihood(GROUP, BAND), padding=1, duplicated=duplicated)
            for pair in _fields(width, "escnn")
        ]
        super().__init__(*(nn.Sequential(layer, _FieldNorm(width)) for layer in layers[:-1]), layers[-1])
        self.likelihoods = [layer.likelihood for layer in layers]

    def penalty(self) -> Tensor:
        """How far the likelihoods are from one another, from uniform, and from largest at the identity."""
        return partial_penalty(self.likelihoods, *PSCNN_PENALTIES)
