"""A finite group as its multiplication table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from shared.algebra.presentations import Presentation, Word


class Group:
    """A finite group given by its multiplication table.

    Two groups are equal when their names and tables are; groups made by the constructors of `families` (other
    than `from_presentation`) are made once and stay the same object through ``pickle`` and ``copy``.

    Args:
        name: short name, such as ``C4``.
        table: ``(n, n)`` integers, ``table[g, h]`` is the index of ``g h``; element 0 is the identity.
        generators: indices of elements that generate the group, in the order of ``presentation.generators``.
        element_names: one name for each element; ``g0``, ``g1``, ... if left out.
        presentation: generators and relators that define the group, if known.
        family: constructor in `families` that made the group and its arguments, if one did.

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
        return order_in(self.table, g)

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


def order_in(table: np.ndarray, g: int) -> int:
    """Smallest positive ``k`` with ``g^k`` equal to element 0, the identity of a multiplication table."""
    power, k = int(g), 1
    while power != 0:
        power, k = int(table[power, g]), k + 1
    return k
