"""Brackets of matrices: commutators, structure constants, Killing form; on all vectors or on data."""

from __future__ import annotations

import torch
from torch import Tensor


def square_size(matrices: Tensor) -> int:
    """Return d of matrices (..., d, d); ValueError if they are not square."""
    if matrices.dim() < 2 or matrices.shape[-1] != matrices.shape[-2]:
        raise ValueError(f"generators must be square matrices (..., d, d), not {tuple(matrices.shape)}")
    return matrices.shape[-1]


def commutator(a: Tensor, b: Tensor) -> Tensor:
    """Return ``A B - B A`` of matrices (..., d, d)."""
    return a @ b - b @ a


def root(moments: Tensor | None, d: int) -> Tensor | None:
    """Return the symmetric square root of second moments ``E[x x^T]``; None stays None.

    Raises:
        ValueError: if they are not a symmetric matrix (d, d) without negative eigenvalues.
    """
    if moments is None:
        return None
    if tuple(moments.shape) != (d, d):
        raise ValueError(f"moments must have the shape ({d}, {d}), not {tuple(moments.shape)}")
    matrix = moments.double()
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    slack = 1e-6 * float(values.abs().max())
    if not torch.allclose(matrix, matrix.T, atol=slack, rtol=0) or float(values.min()) < -slack:
        raise ValueError("moments must be E[x x^T], symmetric and without negative eigenvalues")
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T


def structure_constants(generators: Tensor, moments: Tensor | None = None) -> tuple[Tensor, float]:
    """Express the commutators in the generators, by least squares.

    Args:
        generators: L.
        moments: ``E[x x^T]`` of data. With them what counts is how the matrices act on the data, on average;
            otherwise on white noise. Generators of the plane on a grid close on smooth images only: no finite
            matrices have ``[x, d/dx] = -1`` on all vectors.

    Returns:
        ``c`` with ``[L_i, L_j] = sum_k c[i, j, k] L_k`` as far as possible, and the relative residual, the
        root of sum of squares: 0 for a Lie algebra (also for an abelian one), up to 1.

    Shape:
        generators (n, d, d), moments (d, d), c (n, n, n)

    Raises:
        ValueError: on other shapes, or moments that are none.
    """
    if generators.dim() != 3:
        raise ValueError(f"generators must have the shape (n, d, d), not {tuple(generators.shape)}")
    weight = root(moments, square_size(generators))
    basis = generators.double()
    n = len(basis)
    constants = basis.new_zeros(n, n, n)
    if n < 2:
        return constants, 0.0
    first, second = torch.triu_indices(n, n, 1)
    brackets = torch.stack([commutator(basis[i], basis[j]) for i, j in zip(first, second)])
    rounding = torch.finfo(torch.float64).eps * float(torch.linalg.vector_norm(basis)) ** 2
    if weight is not None:
        basis, brackets = basis @ weight, brackets @ weight
        rounding *= float(torch.linalg.vector_norm(weight))
    flat, target = basis.flatten(1), brackets.flatten(1)
    found = target @ torch.linalg.pinv(flat)
    constants[first, second], constants[second, first] = found, -found
    size, rest = (float(torch.linalg.vector_norm(m)) for m in (target, target - found @ flat))
    return constants, rest / size if size > 100 * rounding else 0.0


def killing_form(generators: Tensor, moments: Tensor | None = None) -> Tensor:
    """Return the Killing form of the algebra that the generators span, ``K_ij = tr(ad_i ad_j)``.

    Meaningful as far as their commutators stay in the span, see `structure_constants`, also for ``moments``.

    Shape:
        (n, d, d) -> (n, n)

    Raises:
        ValueError: as `structure_constants`.
    """
    constants, _ = structure_constants(generators, moments)
    return torch.einsum("ikl,jlk->ij", constants, constants)
