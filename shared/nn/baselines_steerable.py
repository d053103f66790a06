"""Steerable convolutions between any fields, with filter bases of escnn or e2cnn.

The libraries say which filters commute with the group; everything else is `shared.nn.fields`. A basis is
made for one pair of fields, and all pairs of a layer share it, so building a layer is cheap however wide it
is (escnn's own He initialization goes through every weight in Python), and all filters are one matrix
product, once a step.

The basis is part of no state dictionary. The libraries compute some Clebsch-Gordan coefficients
numerically, so a weight may mean something else on another machine: exchange filters, not weights.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from shared.base.errors import unknown
from shared.nn.baselines import load
from shared.nn.fields import ExpandedConv, FieldBatchNorm, FieldGate

__all__ = [
    "Fields",
    "PathwayConv",
    "SteerableFieldConv",
    "batch_norm",
    "gate",
    "irrep_fields",
    "regular_fields",
    "space",
    "trivial_fields",
    "unrestricted",
    "vector_fields",
]

#: Groups by name, with the library's plane or space and the arguments it takes.
SPACES = {
    "escnn": {
        "trivial": ("trivialOnR2", {}),
        "D1": ("flip2dOnR2", {"axis": np.pi / 2}),
        **{f"C{n}": ("rot2dOnR2", {"N": n}) for n in (2, 3, 4, 6, 8)},
        **{f"D{n}": ("flipRot2dOnR2", {"N": n}) for n in (2, 3, 4, 6, 8)},
        "SO3": ("rot3dOnR3", {}),
        "O3": ("flipRot3dOnR3", {}),
    },
    "e2cnn": {
        "trivial": ("TrivialOnR2", {}),
        "D1": ("Flip2dOnR2", {"axis": np.pi / 2}),
        **{f"C{n}": ("Rot2dOnR2", {"N": n}) for n in (2, 3, 4, 6, 8)},
        **{f"D{n}": ("FlipRot2dOnR2", {"N": n}) for n in (2, 3, 4, 6, 8)},
    },
}


@dataclass(frozen=True)
class Fields:
    """Copies of one representation: what the channels of a feature map are.

    Attributes:
        backend: "escnn" or "e2cnn".
        group: name of the group, as `space` takes it.
        representation: the library's representation of one field.
        count: number of fields.
        gates: trivial gates in front of the irreps of each field (`irrep_fields`).
    """

    backend: str
    group: str
    representation: Any
    count: int
    gates: int = 0

    @property
    def size(self) -> int:
        """Channels of one field."""
        return self.representation.size

    @property
    def channels(self) -> int:
        """Channels of all fields."""
        return self.size * self.count

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the irreps behind the gates."""
        return tuple(irrep.size for irrep in _irreps(self.representation))[self.gates :]

    def invariant(self) -> Tensor:
        """Orthonormal columns that span the invariant part of a field, float64 ``(size, count)``."""
        columns, place = [], 0
        for irrep in _irreps(self.representation):
            columns += [place] if irrep.is_trivial() else []
            place += irrep.size
        return torch.from_numpy(self.representation.change_of_basis[:, columns].astype(float))


def _irreps(representation: Any) -> list[Any]:
    group = representation.group
    named = isinstance(representation.irreps[0], str)  # e2cnn
    return [group.irreps[i] if named else group.irrep(*i) for i in representation.irreps]


@cache
def space(group: str, backend: str = "escnn") -> Any:
    """The library's plane or space with the symmetry of a group.

    Args:
        group: "trivial", "D1" (left-right mirror), "C4", "D4", ... of the plane; of space "SO3" or "O3".
        backend: "escnn", or "e2cnn" for the plane.

    Raises:
        ValueError: if the library does not have the group.
        UserError: if the library cannot be loaded.
    """
    library = load(backend)
    if group not in SPACES[backend]:
        raise ValueError(unknown(f"group of {backend}", group, SPACES[backend]))
    name, arguments = SPACES[backend][group]
    return getattr(library.gspaces, name)(**arguments)


def dimensions(group: str, backend: str = "escnn") -> int:
    """Of the space that a group acts on, 2 or 3."""
    return 3 if group in ("SO3", "O3") and backend == "escnn" else 2


def irrep_fields(group: str, count: int, band: int, *, gated: bool = False, backend: str = "escnn") -> Fields:
    """Fields of all irreps up to a frequency, each once; with ``gated`` behind one trivial gate for each.

    Args:
        group: as in `space`.
        count: number of fields.
        band: highest frequency; 0 leaves the trivial irrep (and of a mirror, too: only even fields).
        gated: put gates in front, for `gate`.
        backend: "escnn".
    """
    irreps = irreps_to(group, band, backend)
    gates = len(irreps) * [space(group, backend).trivial_repr] if gated else []
    name = f"{len(gates)} gates and irreps up to {band}"
    field = load(backend).group.directsum([*gates, *irreps], name=name)
    return Fields(backend, group, field, count, len(gates))


@cache
def irreps_to(group: str, band: int, backend: str = "escnn") -> tuple[Any, ...]:
    """Irreps of a group up to a frequency, the trivial one first."""
    acting = space(group, backend).fibergroup
    if group == "D1":
        return tuple(acting.irreps()[: band + 1])
    if group == "O3":
        return tuple(acting.irrep(parity, degree) for parity in (0, 1) for degree in range(band + 1))
    if group == "SO3":
        return tuple(acting.irrep(degree) for degree in range(band + 1))
    return tuple(irrep for irrep in acting.irreps() if irrep.attributes["frequency"] <= band)


def trivial_fields(group: str, count: int, backend: str = "escnn") -> Fields:
    """Fields of one channel each that the group leaves alone, as an image's."""
    return Fields(backend, group, space(group, backend).trivial_repr, count)


def regular_fields(group: str, count: int, backend: str = "escnn") -> Fields:
    """Regular fields: one channel for each element of a finite group."""
    return Fields(backend, group, space(group, backend).regular_repr, count)


def vector_fields(group: str, count: int, backend: str = "escnn") -> Fields:
    """Vector fields: components (x, y), y upwards while rows go down, which turn with the plane."""
    acting = space(group, backend)
    if backend == "escnn":
        return Fields(backend, group, acting.basespace_action, count)
    rotation = acting.irrep(1) if group.startswith("C") else acting.irrep(1, 1)
    return Fields(backend, group, rotation, count)


def unrestricted(fields: Fields) -> Fields:
    """The same channels as scalars of the trivial group: layers behind it are free (Restriction)."""
    return trivial_fields("trivial", fields.channels, fields.backend)


def batch_norm(fields: Fields) -> FieldBatchNorm:
    """Batch norm of fields, as escnn's ``IIDBatchNorm``."""
    return FieldBatchNorm(fields.count, fields.invariant())


def gate(fields: Fields) -> tuple[FieldGate, Fields]:
    """Gated nonlinearity of `irrep_fields` with gates, and the fields that it gives."""
    band_fields = load(fields.backend).group.directsum(
        _irreps(fields.representation)[fields.gates :],
        name=fields.representation.name.replace(f"{fields.gates} gates", "0 gates"),
    )
    out = Fields(fields.backend, fields.group, band_fields, fields.count)
    return FieldGate(fields.count, fields.sizes), out


class Basis(NamedTuple):
    """Filters from one field to one, ``(elements, out, in, taps)``, and He's deviations for one field in."""

    filters: Tensor
    deviations: Tensor


@cache
def pair_basis(group: str, source: Any, target: Any, kernel_size: int, backend: str) -> Basis:
    """Filter basis between two representations, as the library samples and normalizes it (in float32)."""
    library, acting = load(backend), space(group, backend)
    one = [library.nn.FieldType(acting, [representation]) for representation in (source, target)]
    build = library.nn.R3Conv if dimensions(group, backend) == 3 else library.nn.R2Conv
    with torch.device("cpu"), warnings.catch_warnings():  # the cache serves all devices
        warnings.filterwarnings("ignore", message="indexing with dtype torch.uint8")  # e2cnn, harmless
        layer = build(*one, kernel_size, bias=False, initialize=False, recompute=True)
    (filters,) = (m.sampled_basis for m in layer.basisexpansion.modules() if hasattr(m, "sampled_basis"))
    facts = layer.basisexpansion.get_basis_info()
    deviations = he_deviations([(fact["in_irrep"], fact["out_irreps_position"]) for fact in facts])
    return Basis(filters, deviations)


def he_deviations(facts: Sequence[tuple[Any, Any]]) -> Tensor:
    """Standard deviations of weights by He's rule for filters made of basis elements (Weiler and Cesa 2019).

    The variance of the weights from one irrep to one place is shared by all elements between them, and the
    places by the different irreps that reach them; here for one field in.

    Args:
        facts: of each basis element, its input irrep and the place of its output irrep in the field.
    """
    elements = Counter(facts)
    kinds = Counter(place for _, place in elements)
    return torch.tensor([(kinds[fact[1]] * elements[fact]) ** -0.5 for fact in facts], device="cpu")


class FieldConv(ExpandedConv):
    """What steerable convolutions share: a weight for each basis element of each pair of fields.

    A subclass makes ``weight`` and says what filters the pairs have, `pair_filters`.
    """

    def __init__(
        self, source: Fields, target: Fields, kernel_size: int, stride: int, padding: int, bias: bool
    ) -> None:
        if (source.group, source.backend) != (target.group, target.backend):
            raise ValueError(f"fields of {source.group} and {target.group} have no convolution between them.")
        super().__init__(dimensions(source.group, source.backend), stride, padding)
        self.in_channels, self.out_channels, self.kernel_size = source.channels, target.channels, kernel_size
        invariant = target.invariant().float()
        self.bias = None
        if bias and invariant.shape[1]:
            self.bias = nn.Parameter(torch.zeros(target.count, invariant.shape[1]))
            self.derive("invariant", lambda: invariant)

    def draw_weight(self, source: Fields, target: Fields, deviations: Tensor) -> nn.Parameter:
        """Weights by He's rule, ``(target.count, source.count, elements)``."""
        drawn = torch.randn(target.count, source.count, len(deviations))
        return nn.Parameter(drawn * deviations.to(drawn) / source.count**0.5)

    def pair_filters(self) -> Tensor:
        """Filters of all pairs of fields, ``(fields out, fields in, out, in, taps)``."""
        raise NotImplementedError

    def expand(self) -> tuple[Tensor, Tensor | None]:
        """Filter and bias of the convolution."""
        shape = (self.out_channels, self.in_channels) + self.dimensions * (self.kernel_size,)
        bias = None if self.bias is None else (self.bias @ self.invariant.T).flatten()
        return self.pair_filters().transpose(1, 2).reshape(shape), bias


class SteerableFieldConv(FieldConv):
    """Convolution that commutes with the group of its fields.

    Args:
        source: fields in.
        target: fields out, of the same group.
        kernel_size: side of the square or cubic filter.
        stride: step of the output grid.
        padding: zeros on each side.
        bias: one number for each invariant direction of each field out.

    Shape:
        in  (batch, source.channels, ...)
        out (batch, target.channels, ...)

    Raises:
        ValueError: if the groups differ, or (from the library) no filter of this size commutes with the
        group.
    """

    def __init__(
        self,
        source: Fields,
        target: Fields,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__(source, target, kernel_size, stride, padding, bias)
        basis = pair_basis(
            source.group, source.representation, target.representation, kernel_size, source.backend
        )
        self.derive("basis", lambda: basis.filters)
        self.weight = self.draw_weight(source, target, basis.deviations)

    def pair_filters(self) -> Tensor:
        """One matrix product: weights times basis."""
        return (self.weight @ self.basis.flatten(1)).unflatten(-1, self.basis.shape[1:])


class PathwayConv(SteerableFieldConv):
    """Residual pathway: a steerable convolution plus an ordinary one of the same shape (Finzi et al. 2021).

    The sum of two convolutions of one input is one with the sum of the filters, so it costs one. Arguments as
    `SteerableFieldConv`.
    """

    def __init__(self, source: Fields, target: Fields, kernel_size: int, **options: Any) -> None:
        super().__init__(source, target, kernel_size, **options)
        build = nn.Conv2d if self.dimensions == 2 else nn.Conv3d
        free = build(source.channels, target.channels, kernel_size, bias=options.get("bias", True))
        self.free_weight, self.free_bias = free.weight, free.bias

    def expand(self) -> tuple[Tensor, Tensor | None]:
        """Filter and bias of the sum."""
        filters, bias = super().expand()
        if bias is None or self.free_bias is None:
            return filters + self.free_weight, self.free_bias if bias is None else bias
        return filters + self.free_weight, bias + self.free_bias

    def squares(self) -> tuple[Tensor, Tensor]:
        """Sums of squares of the steerable and of the free parameters: the logarithms of Gaussian priors."""
        parts = (self.weight, self.bias), (self.free_weight, self.free_bias)
        steerable, free = (sum(p.square().sum() for p in part if p is not None) for part in parts)
        return steerable, free
