"""Finite groups as multiplication tables: cyclic, dihedral, octahedral, and direct products.

Elements are the integers ``0 .. order - 1`` and ``0`` is always the identity. Everything here is numpy; how
elements move images and other arrays is in :mod:`shared.actions`, their matrices are in
:mod:`shared.representations`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from functools import cache, cached_property

import numpy as np

from shared.presentations import Presentation, Word, enumerate_cosets


class Group:
    """A finite group given by its multiplication table.

    Two groups are equal when their names and tables are; groups made by this module's constructors are
    made once and stay the same object through ``pickle`` and ``copy``.

    Args:
        name: short name, such as ``C4``.
        table: ``(n, n)`` integers, ``table[g, h]`` is the index of ``g h``; element 0 is the identity.
        generators: indices of elements that generate the group, in the order of ``presentation.generators``.
        element_names: one name for each element; ``g0``, ``g1``, ... if left out.
        presentation: generators and relators that define the group, if known.
        family: constructor of this module that made the group and its arguments, if one did.

    Raises:
        ValueError: if the table is not that of a group, or the generators do not generate it.
    """

    def __init__(
        self,
        name: str,
        table: np.ndarray | Sequence[Sequence[int]],
        generators: Iterable[int],
        element_names: Iterable[str] = (),
        presentation: Presentation | None = None,
        family: tuple[str, tuple] | None = None,
    ) -> None:
        self.name = name
        self.table = np.array(table, dtype=np.int64)
        self.order = len(self.table)
        self.identity = 0
        self.generators = tuple(int(g) for g in generators)
        self.element_names = tuple(element_names) or tuple(f"g{i}" for i in range(self.order))
        self.presentation = presentation
        self.family = family
        self._check()
        self.inverse = np.argmin(self.table, axis=1)
        self.table.setflags(write=False)
        self.inverse.setflags(write=False)
        self._hash = hash((name, self.table.tobytes()))

    def _check(self) -> None:
        """Refuse a table that breaks a group axiom (associativity by Light's test over the generators)."""
        n, table = self.order, self.table
        everything = np.arange(n)
        if n == 0 or table.shape != (n, n) or not (np.sort(table, axis=1) == everything).all():
            raise ValueError(f"the table of {self.name} must be square with each element once in every row.")
        if not ((table[0] == everything).all() and (table[:, 0] == everything).all()):
            raise ValueError(f"element 0 of {self.name} must be the identity; reorder the elements.")
        if len(self.element_names) != n:
            raise ValueError(f"{self.name} has {n} elements but {len(self.element_names)} names were given.")
        if len(self.generate(self.generators)) != n:
            raise ValueError(f"the elements {self.generators} do not generate {self.name}; add generators.")
        for g in self.generators:
            if (table[table[:, g]] != table[:, table[g]]).any():
                raise ValueError(f"the table of {self.name} is not associative, so it is no group.")

    def product(self, *elements: int) -> int:
        """Multiply elements from left to right; the empty product is the identity."""
        result = 0
        for g in elements:
            result = int(self.table[result, g])
        return result

    def power(self, g: int, exponent: int) -> int:
        """Multiply ``g`` with itself ``exponent`` times (inverses for a negative exponent)."""
        return self.product(*[g if exponent >= 0 else int(self.inverse[g])] * abs(exponent))

    def evaluate(self, word: Word) -> int:
        """Evaluate a word in the generators (see :class:`Presentation`)."""
        letters = ((self.generators[abs(i) - 1], i > 0) for i in word)
        return self.product(*(g if forward else int(self.inverse[g]) for g, forward in letters))

    def order_of(self, g: int) -> int:
        """Smallest positive ``k`` with ``g^k`` equal to the identity."""
        return _order(self.table, g)

    def generate(self, elements: Iterable[int]) -> tuple[int, ...]:
        """List the elements of the subgroup that ``elements`` generate, in ascending order."""
        found, frontier, steps = {0}, [0], list(elements)
        while frontier:
            reached = {int(self.table[g, s]) for g in frontier for s in steps} - found
            found |= reached
            frontier = list(reached)
        return tuple(sorted(found))

    def subgroups(self) -> tuple[tuple[int, ...], ...]:
        """List all subgroups, each as its elements in ascending order; smallest subgroups first.

        Every subgroup is a join of cyclic ones, so joins are added until there is nothing new.
        """
        return self._subgroups

    @cached_property
    def _subgroups(self) -> tuple[tuple[int, ...], ...]:
        cyclic_ones = {self.generate((g,)): g for g in range(self.order)}
        found, frontier = set(cyclic_ones), set(cyclic_ones)
        while frontier:
            joins = {self.generate((*s, g)) for s in frontier for g in cyclic_ones.values() if g not in s}
            frontier = joins - found
            found |= frontier
        return tuple(sorted(found, key=lambda s: (len(s), s)))

    def subgroup(self, elements: Iterable[int], name: str | None = None) -> Group:
        """Make a subgroup a group of its own; element ``i`` of it is ``sorted(elements)[i]`` of this one.

        Raises:
            ValueError: if the elements are not closed under multiplication.
        """
        chosen = sorted({int(g) for g in elements})
        if chosen != list(self.generate(chosen)):
            raise ValueError(
                f"the elements {chosen} are not a subgroup of {self.name}; close them with generate()."
            )
        position = {g: i for i, g in enumerate(chosen)}
        table = [[position[int(self.table[g, h])] for h in chosen] for g in chosen]
        generators: list[int] = []
        for g in chosen:
            if g not in self.generate(generators):
                generators.append(g)
        names = [self.element_names[g] for g in chosen]
        label = name or f"{self.name}[{','.join(map(str, chosen))}]"
        return Group(label, table, [position[g] for g in generators], names)

    def conjugacy_classes(self) -> tuple[tuple[int, ...], ...]:
        """List the classes ``{h g h^-1}``, ordered by their smallest element; the identity's comes first."""
        conjugates = self.table[self.table, self.inverse[:, None]]  # [h, g] -> h g h^-1
        return tuple(sorted({tuple(sorted({int(c) for c in column})) for column in conjugates.T}))

    @property
    def is_abelian(self) -> bool:
        """Whether all elements commute."""
        return bool((self.table == self.table.T).all())

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        same_name = isinstance(other, Group) and self.name == other.name
        return same_name and bool(np.array_equal(self.table, other.table))

    def __hash__(self) -> int:
        return self._hash

    def __len__(self) -> int:
        return self.order

    def __repr__(self) -> str:
        return f"Group({self.name}, order {self.order})"

    def __reduce__(self) -> tuple:
        if self.family is not None:
            return _rebuild, self.family
        return Group, (self.name, self.table, self.generators, self.element_names, self.presentation)


def _power_name(symbol: str, exponent: int) -> str:
    return {0: "", 1: symbol}.get(exponent, f"{symbol}^{exponent}")


def _at_least_one(n: int, what: str) -> None:
    if int(n) != n or n < 1:
        raise ValueError(f"a {what} group needs a whole number n >= 1, not {n!r}.")


@cache
def cyclic(n: int) -> Group:
    """Build the rotations by multiples of ``360 / n`` degrees; element ``r`` turns ``r`` steps."""
    _at_least_one(n, "cyclic")
    r = np.arange(n)
    presentation = Presentation(("r",), ((1,) * n,)) if n > 1 else Presentation((), ())
    names = [_power_name("r", i) or "e" for i in range(n)]
    return Group(f"C{n}", (r[:, None] + r) % n, (1,) if n > 1 else (), names, presentation, ("cyclic", (n,)))


@cache
def dihedral(n: int) -> Group:
    """Build the rotations and reflections of a regular n-gon, of order ``2 n``.

    Element ``m * n + r`` is ``rotation^r mirror^m``: first mirror left-right, then turn ``r`` steps
    counter-clockwise. The mirror inverts rotations, ``mirror rotation = rotation^-1 mirror``.
    """
    _at_least_one(n, "dihedral")
    index = np.arange(2 * n)
    m, r = index // n, index % n
    turn = (r[:, None] + np.where(m[:, None] == 1, -1, 1) * r) % n
    table = (m[:, None] + m) % 2 * n + turn
    if n > 1:
        generators, presentation = (1, n), Presentation(("r", "m"), ((1,) * n, (2, 2), (1, 2, 1, 2)))
    else:
        generators, presentation = (1,), Presentation(("m",), ((1, 1),))
    names = [" ".join(filter(None, [_power_name("r", i % n), "m" * (i // n)])) or "e" for i in range(2 * n)]
    return Group(f"D{n}", table, generators, names, presentation, ("dihedral", (n,)))


@cache
def cube_rotations() -> np.ndarray:
    """List the 24 rotations of the cube as signed permutation matrices on column vectors ``(x, y, z)``.

    Element ``i`` of :func:`octahedral` is matrix ``i``.

    Shape:
        ``(24, 3, 3)``, integers, read-only.
    """
    unit = np.eye(3, dtype=np.int64)
    signed = (
        np.diag(signs) @ unit[list(axes)]
        for axes in itertools.permutations(range(3))
        for signs in itertools.product((1, -1), repeat=3)
    )
    matrices = np.stack([m for m in signed if round(np.linalg.det(m)) == 1])
    matrices.setflags(write=False)
    return matrices


@cache
def octahedral() -> Group:
    """Build the 24 rotations of the cube (see :func:`cube_rotations`).

    The generators are a quarter turn ``r`` about z and a third of a turn ``t`` about a diagonal, with
    the presentation ``<r, t | r^4, t^3, (r t)^2>`` of the (2, 3, 4) triangle group.
    """
    matrices = cube_rotations()
    position = {m.tobytes(): i for i, m in enumerate(matrices)}
    table = np.array([[position[(a @ b).tobytes()] for b in matrices] for a in matrices])
    quarter = position[np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]).tobytes()]
    third = next(g for g in range(24) if _order(table, g) == 3 and _order(table, table[quarter, g]) == 2)
    names = [f"({','.join(map(_signed_axis, rows.tolist()))})" for rows in matrices]
    presentation = Presentation(("r", "t"), ((1,) * 4, (2,) * 3, (1, 2, 1, 2)))
    return Group("O", table, (quarter, third), names, presentation, ("octahedral", ()))


def _signed_axis(row: list[int]) -> str:
    return next(("-" if sign < 0 else "") + axis for sign, axis in zip(row, "xyz") if sign)


def _order(table: np.ndarray, g: int) -> int:
    power, k = int(g), 1
    while power != 0:
        power, k = int(table[power, g]), k + 1
    return k


@cache
def direct_product(left: Group, right: Group) -> Group:
    """Build the pairs ``(g, h)`` with componentwise product; the pair has index ``g * |right| + h``."""
    n = right.order
    g, h = np.divmod(np.arange(left.order * n), n)
    table = left.table[g[:, None], g] * n + right.table[h[:, None], h]
    names = [f"({a}, {b})" for a in left.element_names for b in right.element_names]
    generators = tuple(i * n for i in left.generators) + right.generators
    presentation = None
    if left.presentation is not None and right.presentation is not None:
        presentation = _product_presentation(left.presentation, right.presentation)
    name = f"{left.name} x {right.name}"
    return Group(name, table, generators, names, presentation, ("direct_product", (left, right)))


def _product_presentation(left: Presentation, right: Presentation) -> Presentation:
    """Join two presentations and make the generators of one commute with those of the other."""
    shift = len(left.generators)
    moved = tuple(tuple(i + shift if i > 0 else i - shift for i in word) for word in right.relators)
    pairs = itertools.product(range(1, shift + 1), range(shift + 1, shift + 1 + len(right.generators)))
    commutators = tuple((a, b, -a, -b) for a, b in pairs)
    names = tuple(f"{s}1" for s in left.generators) + tuple(f"{s}2" for s in right.generators)
    return Presentation(names, left.relators + moved + commutators)


def from_presentation(name: str, presentation: Presentation, limit: int = 10_000) -> Group:
    """Build the group that generators and relators define, its elements named by shortest words.

    Args:
        name: name of the group.
        presentation: its generators and relators.
        limit: largest number of cosets that the enumeration may define on the way.

    Raises:
        ValueError: if the group is infinite, or too large for the limit.
    """
    cosets = enumerate_cosets(presentation, limit=limit)
    step = np.array(cosets, dtype=np.int64).reshape(len(cosets), len(presentation.generators))
    words, columns, reached = {0: ()}, {0: np.arange(len(step))}, [0]
    for h in reached:  # breadth first; grows while it is read
        for i, target in enumerate(step[h].tolist()):
            if target not in words:
                words[target] = (*words[h], i + 1)
                columns[target] = step[columns[h], i]
                reached.append(target)
    number = np.argsort(reached)
    table = np.stack([columns[h] for h in reached], axis=1)[reached]
    names = [presentation.spell(words[h]) for h in reached]
    return Group(name, number[table], number[step[0]], names, presentation)


def _rebuild(constructor: str, arguments: tuple) -> Group:
    makers = (cyclic, dihedral, octahedral, direct_product)
    return {maker.__name__: maker for maker in makers}[constructor](*arguments)
