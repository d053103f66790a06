"""Learnable densities on groups, and what PSCNN adds to the loss for them (Veefkind and Cesa 2024)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from shared.nn.baselines_steerable import irreps_to, space
from shared.nn.derived import DerivedBuffers

__all__ = ["Likelihood", "partial_penalty"]

#: Elements near the identity that the alignment of a continuous group looks at, beside the grid.
NEARBY, NOISE = 1000, 0.1


class Likelihood(DerivedBuffers):
    """A learnable density on a group: the exponential of a band-limited function.

    Densities are relative to the Haar measure. It begins uniform. On SO(3) and O(3) it is known on a grid of
    twice as many elements as coefficients.

    Args:
        group: as in `shared.nn.baselines_steerable.space`.
        band: highest frequency of the irreps.
    """

    def __init__(self, group: str, band: int) -> None:
        super().__init__()
        self.group, self.band = group, band
        self.sizes = tuple(irrep.size for irrep in irreps_to(group, band))
        tables = _transforms(group, band)
        for name, table in tables._asdict().items():
            self.derive(name, torch.from_numpy(table).float)
        self.coefficients = nn.Parameter(torch.eye(1, self.sampling.shape[1])[0])

    def logits(self) -> Tensor:
        """The function on the grid; the first element is the identity."""
        return _times(self.sampling, self.coefficients)

    def log_norm(self) -> Tensor:
        """Logarithm of the mean of the exponential."""
        logits = self.logits()
        return torch.logsumexp(logits, 0) - math.log(len(logits))

    def density(self) -> Tensor:
        """p on the grid, with mean 1."""
        return torch.exp(self.logits() - self.log_norm())

    def matrices(self) -> tuple[Tensor, ...]:
        """For each irrep, the square root of its size times its mean under p."""
        flat = _times(self.averaging, self.density()).split([size**2 for size in self.sizes])
        return tuple(matrix.view(size, size) for matrix, size in zip(flat, self.sizes, strict=True))

    def alignment(self) -> Tensor:
        """By how much the function is larger than at the identity, at most; no gradient where it is 0."""
        logits = torch.cat([self.logits(), _times(self.nearby, self.coefficients)])
        return torch.relu(logits[1:].max() - logits[0])

    def divergence(self, before: Likelihood | None, *, detached: bool = False) -> Tensor:
        """Kullback-Leibler divergence from another likelihood, which gets no gradient, or (None) the uniform.

        Args:
            before: a likelihood of the same group and band.
            detached: no gradient through the Fourier coefficients of p, either (the SMOKE code).
        """
        transform = _times(self.analysis, self.density())
        transform = transform.detach() if detached else transform
        mine = _times(transform, self.coefficients) - self.log_norm()
        if before is None:  # the function 1
            return mine - transform[0] + 1
        return mine - _times(transform, before.coefficients.detach()) + before.log_norm().detach()


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    """Their product, which autocast does not make in bfloat16."""
    return (matrix * vector).sum(-1)


def partial_penalty(
    likelihoods: Sequence[Likelihood],
    alignment: float,
    divergence: float,
    uniform: float,
    *,
    detached: bool = False,
) -> Tensor:
    """What PSCNN adds to the loss: 0 where all layers are uniform.

    Args:
        likelihoods: of the layers from input to output, each once.
        alignment: weight of the sum of `Likelihood.alignment`.
        divergence: weight of the divergences of each layer from the one before, over the number of layers.
        uniform: weight of the first layer's divergence from uniform, over the number of layers.
        detached: as in `Likelihood.divergence`.
    """
    steps = zip(likelihoods[1:], likelihoods[:-1], strict=True)
    from_before = sum(after.divergence(before, detached=detached) for after, before in steps)
    from_uniform = likelihoods[0].divergence(None, detached=detached)
    return alignment * sum(likelihood.alignment() for likelihood in likelihoods) + (
        divergence * from_before + uniform * from_uniform
    ) / len(likelihoods)


class _Transforms(NamedTuple):
    """Matrices between coefficients (columns d, d / s of each irrep) and values on a grid."""

    sampling: np.ndarray
    nearby: np.ndarray
    analysis: np.ndarray
    averaging: np.ndarray


@cache
def _transforms(group: str, band: int) -> _Transforms:
    acting, irreps = space(group).fibergroup, irreps_to(group, band)
    if acting.order() > 0:
        elements, near = sorted(acting.elements, key=lambda g: g != acting.identity), [acting.identity]
    else:
        count = sum(irrep.size**2 for irrep in irreps)
        turns = _spread_rotations(count if group == "O3" else 2 * count)
        noise = np.random.default_rng(0).normal(size=(NEARBY, 4)) * NOISE + [0, 0, 0, 1]
        elements, near = _elements(group, turns), _elements(group, noise)[:NEARBY]
    sampling, nearby = (
        np.array([np.concatenate([_columns(irrep, g).ravel() for irrep in irreps]) for g in some])
        for some in (elements, near)
    )
    analysis = np.linalg.solve(
        sampling.T @ sampling + 1e-8 * np.eye(sampling.shape[1]), sampling.T
    )  # the ridge pseudo-inverse
    whole, place = [], 0
    for irrep in irreps:
        wide = irrep.size // irrep.sum_of_squares_constituents
        part = analysis[place : place + irrep.size * wide].reshape(irrep.size, wide, -1)
        ends = irrep.endomorphism_basis()
        whole.append(np.einsum("koa,acg,kic->oig", ends, part, ends[:, :, :wide]).reshape(irrep.size**2, -1))
        place += irrep.size * wide
    return _Transforms(sampling, nearby, analysis, np.concatenate(whole))


def _columns(irrep: Any, element: Any) -> np.ndarray:
    """The columns of an irrep that determine the others, times the root of its size."""
    return math.sqrt(irrep.size) * irrep(element)[:, : irrep.size // irrep.sum_of_squares_constituents]


def _spread_rotations(count: int) -> np.ndarray:
    """Unit quaternions (x, y, z, w) evenly spread over the rotations, the first the identity.

    The super-Fibonacci spiral (Alexa 2022), turned back by its first element.
    """
    place = np.arange(count) + 0.5
    near, far = np.sqrt(place / count), np.sqrt(1 - place / count)
    first, second = 2 * np.pi * place / np.sqrt(2), 2 * np.pi * place / 1.533751168755204288118041
    x, y, z, w = near * np.sin(first), near * np.cos(first), far * np.sin(second), far * np.cos(second)
    a, b, c, d = -x[0], -y[0], -z[0], w[0]  # its inverse, multiplied from the left
    return np.stack(
        [
            d * x + a * w + b * z - c * y,
            d * y - a * z + b * w + c * x,
            d * z + a * y - b * x + c * w,
            d * w - a * x - b * y - c * z,
        ],
        axis=1,
    )


def _elements(group: str, quaternions: np.ndarray) -> list[Any]:
    """Elements of SO(3), or of O(3): each rotation, then each with an inversion."""
    acting = space(group).fibergroup
    turns = quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)
    if group == "SO3":
        return [acting.element(turn, "Q") for turn in turns]
    return [acting.element((flip, turn), "Q") for flip in (0, 1) for turn in turns]
