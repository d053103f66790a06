"""Real representations of finite groups: trivial, regular, quotient, defining; sums, products, restriction.

A representation assigns to each element ``g`` a real matrix with ``rho(g) rho(h) = rho(g h)``; it acts on
column vectors. Irreducible ones, and how to take others apart, are in :mod:`shared.algebra.irreps`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, cached_property

import numpy as np

from shared.algebra.groups import Group, cube_rotations

TOLERANCE = 1e-9


class Representation:
    """A real matrix for each element of a finite group.

    Args:
        group: the group.
        matrices: ``(order, d, d)``, one matrix for each element, in the group's element order.
        name: short name for messages.
        tolerance: largest entry allowed in ``rho(g) rho(h) - rho(g h)``; infinity to skip the check.

    Raises:
        ValueError: if the shape is wrong or the matrices are no homomorphism.
    """

    def __init__(
        self, group: Group, matrices: np.ndarray, name: str = "rho", tolerance: float = 1e-6
    ) -> None:
        self.group = group
        self.matrices = np.array(matrices, dtype=np.float64)
        self.name = name
        shape = self.matrices.shape
        if len(shape) != 3 or shape[0] != group.order or shape[1] != shape[2]:
            raise ValueError(f"{name} of {group.name} needs matrices ({group.order}, d, d), not {shape}.")
        if not homomorphism_error(group, self.matrices, group.generators) <= tolerance:
            raise ValueError(f"the matrices of {name} are no representation: rho(g) rho(h) is not rho(g h).")
        self.matrices.setflags(write=False)

    @property
    def size(self) -> int:
        """Dimension ``d`` of the vectors it acts on."""
        return self.matrices.shape[-1]

    @cached_property
    def character(self) -> np.ndarray:
        """Trace of each element's matrix, ``(order,)``."""
        return np.trace(self.matrices, axis1=1, axis2=2)

    @property
    def schur_norm(self) -> float:
        """Mean squared character; for an irrep 1 (real type), 2 (complex type) or 4 (quaternionic type)."""
        return inner_product(self.character, self.character)

    @cached_property
    def is_permutation(self) -> bool:
        """Whether every matrix permutes the basis vectors."""
        ones = self.matrices == 1
        return bool((ones | (self.matrices == 0)).all() and (ones.sum(1) == 1).all())

    def is_homomorphism(self, tolerance: float = TOLERANCE) -> bool:
        """Check ``rho(g) rho(h) = rho(g h)`` for every pair of elements."""
        return bool(homomorphism_error(self.group, self.matrices) <= tolerance)

    def is_orthogonal(self, tolerance: float = TOLERANCE) -> bool:
        """Check that every matrix is orthogonal."""
        gram = self.matrices.transpose(0, 2, 1) @ self.matrices
        return bool(np.abs(gram - np.eye(self.size)).max(initial=0) <= tolerance)

    def is_equivalent(self, other: Representation, tolerance: float = 1e-6) -> bool:
        """Check whether a change of basis leads to ``other``, which is so when the characters are equal."""
        return self.group == other.group and np.allclose(self.character, other.character, atol=tolerance)

    def __call__(self, g: int) -> np.ndarray:
        return self.matrices[g]

    def __add__(self, other: Representation) -> Representation:
        return direct_sum([self, other])

    def tensor(self, other: Representation) -> Representation:
        """Build the tensor product, of size ``d d'`` with the first index slowest (``numpy.kron``).

        Raises:
            ValueError: if the other one is of another group.
        """
        _same_group([self, other])
        product = np.einsum("gij,gkl->gikjl", self.matrices, other.matrices)
        size = self.size * other.size
        return Representation(
            self.group, product.reshape(self.group.order, size, size), f"{self.name}*{other.name}"
        )

    def change_basis(self, basis: np.ndarray, name: str | None = None) -> Representation:
        """Express the representation in the basis formed by the columns: ``basis^-1 rho(g) basis``."""
        matrices = np.linalg.solve(basis[None], self.matrices @ basis)
        return Representation(self.group, matrices, name or self.name)

    def restrict(self, elements: Sequence[int], subgroup: Group | None = None) -> Representation:
        """Keep only the elements of a subgroup.

        Args:
            elements: the subgroup's elements as indices of this group, in the order of ``subgroup``.
            subgroup: the group to restrict to; if left out, ``group.subgroup(elements)``, in ascending order.

        Raises:
            ValueError: if the elements are no subgroup, or multiply differently from ``subgroup``.
        """
        if subgroup is None:
            subgroup, elements = self.group.subgroup(elements), sorted(set(elements))
        chosen = np.asarray(elements)
        table = self.group.table[np.ix_(chosen, chosen)]
        if len(chosen) != subgroup.order or (table != chosen[subgroup.table]).any():
            raise ValueError(
                f"the elements {list(elements)} of {self.group.name} do not multiply as {subgroup.name} does."
            )
        return Representation(subgroup, self.matrices[chosen], self.name)

    def multiplicities(self, parts: Sequence[Representation]) -> tuple[int, ...]:
        """Count how often each of the irreps ``parts`` occurs, by inner products of characters."""
        counts = [inner_product(self.character, p.character) / p.schur_norm for p in parts]
        return tuple(round(count) for count in counts)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Representation)
            and self.group == other.group
            and np.array_equal(self.matrices, other.matrices)
        )

    def __hash__(self) -> int:
        return hash((self.group, self.matrices.tobytes()))

    def __repr__(self) -> str:
        return f"Representation({self.name} of {self.group.name}, size {self.size})"


def homomorphism_error(group: Group, matrices: np.ndarray, elements: Iterable[int] | None = None) -> float:
    """Measure the largest entry of ``rho(g) rho(h) - rho(g h)`` over all ``g`` and the given ``h``.

    ``h`` runs over all elements if left out; generators are enough to tell whether it is a homomorphism. The
    identity's matrix counts as well. The result is nan if a matrix has a nan.

    Shape:
        ``matrices`` is ``(order, d, d)``.
    """
    chosen = range(group.order) if elements is None else elements
    gaps = [matrices[0] - np.eye(matrices.shape[-1])]
    gaps += [matrices @ matrices[h] - matrices[group.table[:, h]] for h in chosen]
    return float(np.max([np.abs(gap).max(initial=0) for gap in gaps]))


def inner_product(first: np.ndarray, second: np.ndarray) -> float:
    """Average the product of two real characters over the group."""
    return float(np.mean(first * second))


def _same_group(parts: Sequence[Representation]) -> Group:
    if not parts or any(part.group != parts[0].group for part in parts):
        raise ValueError(
            "only representations of one and the same group can be combined, and at least one is needed."
        )
    return parts[0].group


def direct_sum(parts: Sequence[Representation], name: str | None = None) -> Representation:
    """Stack representations of one group as blocks on the diagonal.

    Raises:
        ValueError: if there is none, or their groups differ.
    """
    group = _same_group(parts)
    size = sum(part.size for part in parts)
    matrices = np.zeros((group.order, size, size))
    start = 0
    for part in parts:
        stop = start + part.size
        matrices[:, start:stop, start:stop] = part.matrices
        start = stop
    return Representation(group, matrices, name or "+".join(part.name for part in parts))


@cache
def trivial(group: Group) -> Representation:
    """Build the representation of size 1 that leaves everything as it is."""
    return Representation(group, np.ones((group.order, 1, 1)), "trivial")


@cache
def regular(group: Group) -> Representation:
    """Build the permutations of the group's elements by left multiplication: ``rho(g) e_h = e_(g h)``."""
    matrices = np.eye(group.order)[group.table].transpose(0, 2, 1)  # [g, h] -> row e_(g h), made a column
    return Representation(group, matrices, "regular")


@cache
def quotient(group: Group, subgroup: tuple[int, ...]) -> Representation:
    """Build the permutations of the left cosets ``g H``, numbered by their smallest element.

    Raises:
        ValueError: if the elements are not a subgroup.
    """
    group.subgroup(subgroup)
    smallest = group.table[:, list(subgroup)].min(axis=1)
    cosets = np.unique(smallest)
    position = np.searchsorted(cosets, smallest[group.table[:, cosets]])  # [g, coset] -> coset
    return Representation(group, np.eye(len(cosets))[position].transpose(0, 2, 1), "quotient")


def rotation_matrix(steps: np.ndarray, n: int) -> np.ndarray:
    """Build the 2x2 counter-clockwise rotations by ``steps / n`` of a turn; quarter turns come out exact.

    Shape:
        ``steps`` is ``(m,)`` integers, the result ``(m, 2, 2)``.
    """
    steps = np.asarray(steps) % n
    angle = 2 * np.pi * steps / n
    exact = 4 * steps % n == 0
    c = np.where(exact, np.round(np.cos(angle)), np.cos(angle)) + 0.0
    s = np.where(exact, np.round(np.sin(angle)), np.sin(angle)) + 0.0
    return np.stack([np.stack([c, 0.0 - s], -1), np.stack([s, c], -1)], -2)


@cache
def defining(group: Group) -> Representation:
    """Build the matrices that move points: in the plane for C_n and D_n, in space for the octahedral group.

    Coordinates are ``x`` to the right and ``y`` up; ``z`` is the third axis of a volume.

    Raises:
        ValueError: for other groups.
    """
    family = group.family[0] if group.family else ""
    if family == "octahedral":
        return Representation(group, cube_rotations(), "defining")
    if family not in ("cyclic", "dihedral"):
        raise ValueError(
            f"{group.name} does not act on the plane or space; use C_n, D_n or the octahedral group."
        )
    return Representation(group, planar(group, 1), "defining")


def planar(group: Group, frequency: int) -> np.ndarray:
    """Build plane matrices of C_n or D_n that rotate ``frequency`` times as fast, after mirroring left-right.

    Shape:
        ``(order, 2, 2)``.
    """
    n = group.family[1][0]
    element = np.arange(group.order)
    turn = rotation_matrix(frequency * element, n)
    mirror = np.where((element >= n)[:, None, None], np.diag([-1.0, 1.0]), np.eye(2))
    return turn @ mirror + 0.0
