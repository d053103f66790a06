"""Irreducible real representations, and taking any representation apart into them.

Irreps are irreducible over the real numbers, so that the one of a rotation by ``2 pi k / n`` has size 2. By
Schur's lemma the matrices that commute with an irrep form the real numbers, the complex numbers or the
quaternions; that is the irrep's type, and 1, 2 or 4 its norm.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from shared.algebra.groups import Group, cube_rotations
from shared.algebra.representations import Representation, direct_sum, planar, regular, trivial


@cache
def irreps(group: Group) -> tuple[Representation, ...]:
    """List the irreducible real representations, the trivial one first; all are orthogonal.

    Closed forms are used for cyclic, dihedral and octahedral groups and their direct products. For any other
    group the regular representation, which contains every irrep, is split numerically.

    Raises:
        ArithmeticError: see `split`.
    """
    family, arguments = group.family or ("", ())
    if family == "cyclic":
        return _cyclic_irreps(group, *arguments)
    if family == "dihedral":
        return _dihedral_irreps(group, *arguments)
    if family == "octahedral":
        return _octahedral_irreps(group)
    if family == "direct_product":
        return _product_irreps(group, *arguments)
    return _distinct([trivial(group), *split(regular(group))])


def _line(group: Group, values: np.ndarray, name: str) -> Representation:
    return Representation(group, np.asarray(values, dtype=float)[:, None, None], name)


def _cyclic_irreps(group: Group, n: int) -> tuple[Representation, ...]:
    rotations = [Representation(group, planar(group, k), f"rotation {k}") for k in range(1, (n + 1) // 2)]
    sign = [_line(group, (-1.0) ** np.arange(n), "sign")] if n % 2 == 0 else []
    return (trivial(group), *rotations, *sign)


def _dihedral_irreps(group: Group, n: int) -> tuple[Representation, ...]:
    """Build A1, A2 (mirrors change the sign), for even n B1 and B2 (steps change the sign), and E_k."""
    element = np.arange(2 * n)
    mirror, step = (-1.0) ** (element // n), (-1.0) ** (element % n)
    lines = [trivial(group), _line(group, mirror, "A2")]
    if n % 2 == 0:
        lines += [_line(group, step, "B1"), _line(group, step * mirror, "B2")]
    planes = [Representation(group, planar(group, k), f"E{k}") for k in range(1, (n + 1) // 2)]
    return (*lines, *planes)


def _octahedral_irreps(group: Group) -> tuple[Representation, ...]:
    """Build A1, A2 (sign of the permutation of the axes), E, T1 (the rotations themselves) and T2 = A2 T1."""
    axes = np.abs(cube_rotations()).astype(float)
    sign = _line(group, np.linalg.det(axes).round(), "A2")
    # E permutes the axes x, y, z, seen in the plane orthogonal to x + y + z
    plane = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])
    t1 = Representation(group, cube_rotations(), "T1")
    t2 = Representation(group, t1.matrices * sign.matrices, "T2")
    return trivial(group), sign, Representation(group, plane @ axes @ plane.T, "E"), t1, t2


def _product_irreps(group: Group, left: Group, right: Group) -> tuple[Representation, ...]:
    """Multiply the factors' irreps; a product in which neither factor is of real type splits."""
    g, h = np.divmod(np.arange(group.order), right.order)
    found = []
    for first in irreps(left):
        for second in irreps(right):
            lifted = Representation(group, first.matrices[g], first.name)
            pair = lifted.tensor(Representation(group, second.matrices[h], second.name))
            irreducible = min(first.schur_norm, second.schur_norm) < 1.5
            found += [pair] if irreducible else split(pair)
    return _distinct(found)


def _distinct(parts: Iterable[Representation]) -> tuple[Representation, ...]:
    """Drop representations that are equivalent to an earlier one."""
    found: list[Representation] = []
    for part in parts:
        if not any(part.is_equivalent(other) for other in found):
            found.append(part)
    return tuple(found)


def character_table(group: Group) -> np.ndarray:
    """Tabulate the characters of the real irreps on the conjugacy classes.

    Shape:
        ``(irreps, classes)``, in the orders of :func:`irreps` and ``group.conjugacy_classes()``.
    """
    first = [members[0] for members in group.conjugacy_classes()]
    return np.stack([rep.character[first] for rep in irreps(group)])


def is_irreducible(rep: Representation) -> bool:
    """Check that only multiples of the identity commute with ``rep`` among the symmetric matrices.

    Their dimension is the mean of ``(chi(g)^2 + chi(g^2)) / 2``.
    """
    squares = rep.group.table.diagonal()
    return abs(np.mean(rep.character**2 + rep.character[squares]) / 2 - 1) < 1e-6


def orthonormal_basis(rep: Representation) -> np.ndarray:
    """Find a basis in which ``rep`` is orthogonal, from its invariant inner product ``mean rho(g)^T rho(g)``.

    Shape:
        ``(d, d)``, basis vectors in the columns; the identity matrix if ``rep`` is orthogonal already.
    """
    if rep.is_orthogonal():
        return np.eye(rep.size)
    gram = np.mean(rep.matrices.transpose(0, 2, 1) @ rep.matrices, axis=0)
    return np.linalg.inv(np.linalg.cholesky(gram)).T


def split(rep: Representation) -> list[Representation]:
    """Split into orthogonal irreps without knowing them, as eigenspaces of a random commuting matrix.

    The average of ``rho(g) X rho(g)^T`` over the group commutes with ``rho``. For a random symmetric ``X``,
    each of its eigenspaces is invariant and, with probability one, irreducible. The generator is seeded.

    Raises:
        ArithmeticError: if 20 draws do not split it, for want of precision.
    """
    rho = rep.change_basis(orthonormal_basis(rep)).matrices
    for seed in range(20):
        noise = np.random.default_rng(seed).standard_normal(rho.shape[1:])
        average = np.mean(rho @ (noise + noise.T) @ rho.transpose(0, 2, 1), axis=0)
        values, vectors = np.linalg.eigh((average + average.T) / 2)
        cuts = np.flatnonzero(np.diff(values) > 1e-6 * max(1.0, np.abs(values).max())) + 1
        spaces = np.split(vectors, cuts, axis=1)
        parts = [Representation(rep.group, v.T @ rho @ v, f"{rep.name}[{i}]") for i, v in enumerate(spaces)]
        if all(map(is_irreducible, parts)):
            return parts
    raise ArithmeticError(f"{rep} could not be split into irreps in 20 attempts.")


@dataclass(frozen=True)
class Decomposition:
    """A change of basis that turns a representation into a direct sum of irreps.

    Attributes:
        parts: all irreps of the group.
        multiplicities: how often each occurs.
        basis: ``(d, d)``; ``basis^-1 rho(g) basis`` has the irreps on its diagonal, in the order of
            ``parts``, each as often as it occurs.
    """

    parts: tuple[Representation, ...]
    multiplicities: tuple[int, ...]
    basis: np.ndarray

    def blocks(self) -> Representation:
        """Build the direct sum of irreps."""
        pairs = zip(self.parts, self.multiplicities)
        return direct_sum([part for part, count in pairs for _ in range(count)])


def decompose(rep: Representation) -> Decomposition:
    """Find a basis in which ``rep`` is a direct sum of the group's irreps; orthogonal if ``rep`` is.

    Raises:
        ArithmeticError: see `split`.
    """
    orthonormal = orthonormal_basis(rep)
    rho = rep.change_basis(orthonormal).matrices
    parts = irreps(rep.group)
    counts = rep.multiplicities(parts)
    columns = [copy for part, count in zip(parts, counts) for copy in _copies(rho, part.matrices, count)]
    return Decomposition(parts, counts, orthonormal @ np.concatenate(columns, axis=1))


def _copies(rho: np.ndarray, irrep: np.ndarray, count: int) -> list[np.ndarray]:
    """Embed an irrep ``count`` times, orthogonally, by averaging random maps over the group.

    By Schur's lemma an average that commutes with the group is a multiple of an isometry.
    """
    found: list[np.ndarray] = []
    generator = np.random.default_rng(0)
    while len(found) < count:
        noise = generator.standard_normal((rho.shape[1], irrep.shape[1]))
        copy = np.mean(rho @ noise @ irrep.transpose(0, 2, 1), axis=0)
        for _ in range(2):  # twice, so that rounding does not add up
            for other in found:
                copy = copy - other @ (other.T @ copy)
        length = np.linalg.norm(copy) / np.sqrt(irrep.shape[1])
        if length > 1e-4:
            found.append(copy / length)
    return found
