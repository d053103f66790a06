"""Cyclic, dihedral and octahedral groups, direct products, and groups from generators and relators."""

from __future__ import annotations

import copyreg
import itertools
from functools import cache
from numbers import Integral

import numpy as np

from shared.algebra.groups.group import Group, order_in
from shared.algebra.presentations import Presentation, enumerate_cosets


def _power_name(symbol: str, exponent: int) -> str:
    return {0: "", 1: symbol}.get(exponent, f"{symbol}^{exponent}")


def _at_least_one(n: int, what: str) -> None:
    if isinstance(n, bool) or not isinstance(n, Integral) or n < 1:
        raise ValueError(f"a {what} group needs a whole number n >= 1, not {n!r}.")


@cache
def cyclic(n: int) -> Group:
    """Build the rotations by multiples of ``360 / n`` degrees; element ``r`` turns ``r`` steps.

    Raises:
        ValueError: if ``n`` is not a whole number of at least 1.
    """
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

    Raises:
        ValueError: if ``n`` is not a whole number of at least 1.
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
    third = next(g for g in range(24) if order_in(table, g) == 3 and order_in(table, table[quarter, g]) == 2)
    names = [f"({','.join(map(_signed_axis, rows.tolist()))})" for rows in matrices]
    presentation = Presentation(("r", "t"), ((1,) * 4, (2,) * 3, (1, 2, 1, 2)))
    return Group("O", table, (quarter, third), names, presentation, ("octahedral", ()))


def _signed_axis(row: list[int]) -> str:
    return next(("-" if sign < 0 else "") + axis for sign, axis in zip(row, "xyz") if sign)


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


def rebuild(constructor: str, arguments: tuple) -> Group:
    """The one group that a constructor makes from these arguments (for ``pickle`` and ``copy``)."""
    makers = (cyclic, dihedral, octahedral, direct_product)
    return {maker.__name__: maker for maker in makers}[constructor](*arguments)


def _reduce(group: Group) -> tuple:
    """What ``pickle`` and ``copy`` make a group from; one of a family stays the one there is."""
    if group.family is not None:
        return rebuild, group.family
    parts = (group.name, group.table, group.generators, group.element_names, group.presentation)
    return Group, parts


copyreg.pickle(Group, _reduce)
