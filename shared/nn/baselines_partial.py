"""Convolutions that learn how equivariant they are (Veefkind and Cesa 2024, "PSCNN"), on escnn's groups.

Each layer has a `Likelihood` p: the uniform one gives steerable filters, a point mass free ones, one that is
constant on cosets of a subgroup filters that commute with that subgroup. Filters are products of harmonics,
mixed by the Fourier coefficients of p. As these act on the weights (`PartialConv.pair_filters`), what the
weights multiply never changes: where the released code samples a basis anew at each step, a step here
multiplies the weights by the matrices of p and by constant ones.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from shared.nn.baselines import load
from shared.nn.baselines_likelihood import Likelihood
from shared.nn.baselines_steerable import FieldConv, Fields, dimensions, he_deviations, irreps_to, space

__all__ = ["PartialConv"]

#: Filters whose norm at the uniform likelihood is less than the first count as zero there, and are left as
#: they are; between the two, they are left out.
NEGLIGIBLE, SMALL = 1e-6, 0.1


class PartialConv(FieldConv):
    """Convolution between fields with filters as symmetric as a likelihood makes them.

    For irreps m in and n out, a harmonic of the plane or space, each irrep c in its restriction to the group,
    each j in n x m, and each irrep of c x j within the likelihood's band: a weight for each of its columns.

    Args:
        source: fields in.
        target: fields out, of the same group.
        kernel_size: side of the filter.
        likelihood: may be shared by layers.
        stride: step of the output grid.
        padding: zeros on each side.
        bias: one number for each invariant direction of each field out.
        normalized: filters have norm 1 at the uniform likelihood (those that are not zero there).
        duplicated: as released, the elements of a finite group or SO(3) have one weight for each irrep j in
            n x m, all with the same effect.

    Shape:
        as `shared.nn.baselines_steerable.SteerableFieldConv`
    """

    def __init__(
        self,
        source: Fields,
        target: Fields,
        kernel_size: int,
        likelihood: Likelihood,
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        normalized: bool = True,
        duplicated: bool = False,
    ) -> None:
        super().__init__(source, target, kernel_size, stride, padding, bias)
        if source.backend != "escnn" or likelihood.group != source.group:
            raise ValueError(f"fields of escnn and a likelihood of {source.group} go together.")
        basis = _partial_basis(
            source.group, source.representation, target.representation, kernel_size, likelihood.band
        )
        self.likelihood, self.out = likelihood, target.size
        self.counts, self.rings = basis.counts, basis.rings
        self.harmonic_counts = [n * len(c) for n, c in zip(basis.rings, basis.couplings, strict=True)]
        copies = np.arange(len(basis.facts))
        if duplicated and source.group != "O3":
            times = np.array(basis.copies)
            copies = np.concatenate([copies[times > again] for again in range(times.max())])
        factors = torch.from_numpy(basis.factors if normalized else np.ones(len(basis.facts))).float()
        if duplicated:
            factors = torch.eye(len(basis.facts), device="cpu")[copies] * factors
        self.derive("factors", lambda: factors)
        self.derive("order", lambda: torch.from_numpy(basis.order))
        self.derive("harmonics", torch.from_numpy(basis.harmonics).float)
        self.couplings = [f"coupling{place}" for place in range(len(basis.couplings))]
        for name, coupling in zip(self.couplings, basis.couplings, strict=True):
            self.derive(name, torch.from_numpy(coupling).float)
        self.weight = self.draw_weight(source, target, he_deviations([basis.facts[i] for i in copies]))

    def pair_filters(self) -> Tensor:
        """Weights, times the likelihood's matrices, times couplings, times harmonics on the filter's taps."""
        weight = self.weight * self.factors if self.factors.dim() == 1 else self.weight @ self.factors
        mixed = []
        for part, matrix in zip(weight.split(self.counts, -1), self.likelihood.matrices(), strict=True):
            mixed.append((part.unflatten(-1, (-1, len(matrix))) @ matrix.T).flatten(-2))
        mixed = torch.cat(mixed, -1)[..., self.order]
        parts, tensors = mixed.split(self.harmonic_counts, -1), []
        for part, name, rings in zip(parts, self.couplings, self.rings, strict=True):
            coupling = getattr(self, name)
            tensor = part.unflatten(-1, (rings, -1)) @ coupling.flatten(1)
            tensors.append(tensor.unflatten(-1, coupling.shape[1:]).transpose(-3, -2).flatten(-2))
        filters = torch.cat(tensors, -1) @ self.harmonics
        return filters.unflatten(-2, (self.out, -1))


class _PartialBasis(NamedTuple):
    """The constant part of the filters between two representations.

    Weights are ordered by irrep of the likelihood, then by harmonic and ring; ``order`` brings them to
    harmonic, ring, irrep.
    """

    facts: list[tuple[Any, Any]]  # of each weight, as `he_deviations` takes them
    copies: list[int]  # how many weights the released code has in its place
    factors: np.ndarray  # that normalize
    counts: list[int]  # weights of each irrep of the likelihood
    order: np.ndarray
    rings: list[int]  # of each harmonic
    couplings: list[np.ndarray]  # of each harmonic, (weights of a ring, out * in, size)
    harmonics: np.ndarray  # (sizes of the rings of all harmonics, taps)


class _Harmonic(NamedTuple):
    """Functions on the filter's taps that the plane's symmetries turn into each other."""

    values: np.ndarray  # (rings, size, taps)
    parts: list[tuple[Any, np.ndarray]]  # irreps of the group in it, each with its rows (irrep's size, size)


@cache
def _partial_basis(group: str, source: Any, target: Any, kernel_size: int, band: int) -> _PartialBasis:
    irreps, harmonics = irreps_to(group, band), _harmonics(group, kernel_size)
    couplings: list[np.ndarray] = []
    weights: list[list[list[_Weight]]] = []  # by harmonic, irrep of the likelihood
    for harmonic in harmonics:
        found = [_couplings(group, source, target, harmonic, irrep) for irrep in irreps]
        tensor = np.concatenate([tensors for tensors, _ in found])
        change, back = target.change_of_basis, source.change_of_basis_inv
        tensor = np.einsum("po,woit,iq->wpqt", change, tensor, back, optimize=True)
        couplings.append(tensor.reshape(len(tensor), -1, tensor.shape[-1]))
        weights.append([listed for _, listed in found])

    facts, copies, factors, counts = [], [], [], []
    places: dict[tuple[int, int, int], np.ndarray] = {}  # by harmonic, ring and irrep
    for place in range(len(irreps)):
        before = len(facts)
        for which, harmonic in enumerate(harmonics):
            for ring, values in enumerate(harmonic.values):
                listed = weights[which][place]
                places[which, ring, place] = len(facts) + np.arange(len(listed))
                facts += [(weight.source, weight.target) for weight in listed]
                copies += [weight.copies for weight in listed]
                if place == 0:  # the trivial irrep: all that is not zero at the uniform likelihood
                    taps = couplings[which][: len(listed)] @ values
                    norms = np.sqrt((taps**2).sum((1, 2)) / [weight.size for weight in listed])
                    factors += [_factor(norm) for norm in norms]
                else:
                    factors += len(listed) * [1.0]
        counts.append(len(facts) - before)
    sorted_places = [
        places[which, ring, place]
        for which, harmonic in enumerate(harmonics)
        for ring in range(len(harmonic.values))
        for place in range(len(irreps))
    ]
    return _PartialBasis(
        facts,
        copies,
        np.array(factors),
        counts,
        np.concatenate(sorted_places).astype(int),
        [len(harmonic.values) for harmonic in harmonics],
        couplings,
        np.concatenate(
            [harmonic.values.reshape(-1, kernel_size ** dimensions(group)) for harmonic in harmonics]
        ),
    )


def _factor(norm: float) -> float:
    if norm < NEGLIGIBLE:
        return 1.0
    return 1 / norm if norm >= SMALL else 0.0


class _Weight(NamedTuple):
    """Input irrep, place of the output irrep and its size, and how many irreps are in their product."""

    source: Any
    target: int
    size: int
    copies: int


def _couplings(
    group: str, source: Any, target: Any, harmonic: _Harmonic, irrep: Any
) -> tuple[np.ndarray, list[_Weight]]:
    """Tensors ``(weights, out, in, size of the harmonic)`` that go with one irrep of the likelihood."""
    acting = space(group).fibergroup
    tensors, listed = [], []
    row = 0
    for place, out in enumerate(acting.irrep(*i) for i in target.irreps):
        column = 0
        for into in (acting.irrep(*i) for i in source.irreps):
            products = _products(group, out, into)
            for part, rows in harmonic.parts:
                for product in products:
                    mixing = _clebsch_gordan(group, part, product, irrep)
                    vectors = _clebsch_gordan(group, out, into, product)
                    blocks = np.einsum("absi,oitk,oy->stkaby", vectors, mixing, rows, optimize=True)
                    blocks = blocks.reshape(-1, out.size, into.size, rows.shape[1])
                    whole = np.zeros((len(blocks), target.size, source.size, rows.shape[1]))
                    whole[:, row : row + out.size, column : column + into.size] = blocks
                    tensors.append(whole)
                    listed += len(blocks) * [_Weight(into.id, place, out.size, len(products))]
            column += into.size
        row += out.size
    return np.concatenate(tensors), listed


@cache
def _products(group: str, left: Any, right: Any) -> tuple[Any, ...]:
    """The irreps in the product of two, each once."""
    acting = space(group).fibergroup
    if group in ("SO3", "O3"):
        low, high = abs(left.id[-1] - right.id[-1]), left.id[-1] + right.id[-1]
        parity = () if group == "SO3" else ((left.id[0] + right.id[0]) % 2,)
        return tuple(acting.irrep(*parity, degree) for degree in range(low, high + 1))
    return tuple(acting.irrep(*i) for i, _ in acting._tensor_product_irreps(left.id, right.id))


@cache
def _clebsch_gordan(group: str, left: Any, right: Any, product: Any) -> np.ndarray:
    """Coefficients ``(left, right, multiplicity, product)``, orthonormal columns; multiplicity 0 if none."""
    if product not in _products(group, left, right):
        return np.zeros((left.size, right.size, 0, product.size))
    return space(group).fibergroup._clebsh_gordan_coeff(left.id, right.id, product.id)


@cache
def _harmonics(group: str, kernel_size: int) -> list[_Harmonic]:
    """escnn's harmonics within its default cut-off, with Gaussian rings, on the taps of a filter."""
    acting, library = space(group), load("escnn")
    convolutions = library.nn.modules.conv
    flat = dimensions(group) == 2
    module = convolutions.r2convolution if flat else convolutions.r3convolution
    scalar = acting.trivial_repr
    with torch.device("cpu"):  # the cache serves all devices
        keep, rings, sigma, top = module.compute_basis_params(kernel_size)
        kernels = acting.build_kernel_basis(scalar, scalar, sigma, rings, maximum_frequency=top)
        functions = copy.deepcopy(kernels.basis).double()
        taps = convolutions.rd_convolution.get_grid_coords(dimensions(group), kernel_size)
        values = functions.sample_as_dict(torch.from_numpy(taps))
    restriction = kernels._irrep__basis_kwargs
    found = []
    for name, count in functions.js:
        kept = [place for place, fact in enumerate(functions.steerable_attrs_j_iter(name)) if keep(fact)]
        if not count or not kept:
            continue
        irrep = functions.group.irrep(*name)
        parts = [(irrep, np.eye(irrep.size))]
        if restriction:
            restricted = irrep.restrict(restriction["sg_id"])
            sizes = [acting.fibergroup.irrep(*i).size for i in restricted.irreps]
            rows = np.split(restricted.change_of_basis_inv, np.cumsum(sizes)[:-1])
            parts = [(acting.fibergroup.irrep(*i), r) for i, r in zip(restricted.irreps, rows, strict=True)]
        found.append(_Harmonic(values[name][:, kept].permute(1, 2, 0).numpy(), parts))
    return found
