"""Finite groups: axioms for every element, conventions, subgroups, classes, presentations."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.algebra.groups import (
    Group,
    cube_rotations,
    cyclic,
    dihedral,
    direct_product,
    from_presentation,
    octahedral,
)
from shared.algebra.presentations import Presentation

SMALL = [
    *map(cyclic, range(1, 9)),
    *map(dihedral, range(1, 9)),
    octahedral(),
    direct_product(cyclic(2), cyclic(2)),
    direct_product(cyclic(3), dihedral(3)),
    direct_product(octahedral(), cyclic(2)),
    direct_product(direct_product(cyclic(2), cyclic(3)), dihedral(2)),
]


def any_group() -> st.SearchStrategy[Group]:
    """Draw cyclic, dihedral and octahedral groups and their products, up to order 96."""
    simple = (
        st.builds(cyclic, st.integers(1, 12)) | st.builds(dihedral, st.integers(1, 8)) | st.just(octahedral())
    )
    return simple | st.builds(direct_product, simple, simple).filter(lambda group: group.order <= 96)


@pytest.mark.parametrize("group", SMALL, ids=repr)
def test_group_axioms_hold_for_all_elements(group: Group) -> None:
    table, everything = group.table, np.arange(group.order)
    assert (np.sort(table, 0) == everything[:, None]).all()
    assert (np.sort(table, 1) == everything).all()
    assert (table[0] == everything).all()
    assert (table[:, 0] == everything).all()
    assert (table[everything, group.inverse] == 0).all()
    assert (table[group.inverse, everything] == 0).all()
    assert (table[table] == table[everything[:, None, None], table]).all()  # (g h) k == g (h k)


@given(any_group(), st.data())
def test_products_inverses_and_powers(group: Group, data: st.DataObject) -> None:
    g, h, k = (data.draw(st.integers(0, group.order - 1)) for _ in range(3))
    assert group.product(g, h, k) == group.product(g, group.product(h, k))
    assert group.inverse[group.product(g, h)] == group.product(int(group.inverse[h]), int(group.inverse[g]))
    order = group.order_of(g)
    assert group.power(g, order) == 0
    assert group.power(g, -1) == group.inverse[g]
    assert group.order % order == 0
    assert all(group.power(g, i) != 0 for i in range(1, order))


def test_cyclic_elements_add() -> None:
    assert cyclic(5).product(3, 4) == 2
    assert cyclic(4).element_names == ("e", "r", "r^2", "r^3")


@pytest.mark.parametrize("n", range(1, 9))
def test_dihedral_index_is_rotation_after_mirror(n: int) -> None:
    group = dihedral(n)
    r, m = 1 % n, n
    for turn, mirror in itertools.product(range(n), range(2)):
        assert group.product(group.power(r, turn), group.power(m, mirror)) == mirror * n + turn
    assert group.product(m, r) == group.product(int(group.inverse[r]), m)
    assert group.is_abelian == (n <= 2)


def test_octahedral_product_is_matrix_product() -> None:
    group, matrices = octahedral(), cube_rotations()
    assert len({m.tobytes() for m in matrices}) == 24
    assert (np.linalg.det(matrices).round() == 1).all()
    assert (matrices[:, None] @ matrices == matrices[group.table]).all()
    quarter, third = group.generators
    assert matrices[quarter].tolist() == [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    assert group.order_of(third) == 3


@pytest.mark.parametrize(("left", "right"), [(cyclic(4), dihedral(3)), (octahedral(), cyclic(2))])
def test_direct_product_multiplies_componentwise(left: Group, right: Group) -> None:
    group, n = direct_product(left, right), right.order
    for a, b in itertools.product(range(group.order), repeat=2):
        pair = divmod(group.product(a, b), n)
        assert pair == (left.product(a // n, b // n), right.product(a % n, b % n))


@pytest.mark.parametrize("group", SMALL, ids=repr)
def test_presentation_defines_exactly_this_group(group: Group) -> None:
    assert len(group.presentation.generators) == len(group.generators)
    assert [group.evaluate(word) for word in group.presentation.relators] == [0] * len(
        group.presentation.relators
    )
    # relators hold, so the group is a quotient of the presented one, and equal orders make it the same
    assert from_presentation("presented", group.presentation).order == group.order


@pytest.mark.parametrize(
    ("group", "subgroups", "classes"),
    [
        (cyclic(12), 6, 12),
        (dihedral(4), 10, 5),
        (dihedral(6), 16, 6),
        (dihedral(3), 6, 3),
        (octahedral(), 30, 5),
    ],
)
def test_counts_of_subgroups_and_classes(group: Group, subgroups: int, classes: int) -> None:
    assert len(group.subgroups()) == subgroups
    assert len(group.conjugacy_classes()) == classes


def test_classes_and_subgroups_of_d4() -> None:
    assert dihedral(4).conjugacy_classes() == ((0,), (1, 3), (2,), (4, 6), (5, 7))
    assert [s for s in dihedral(4).subgroups() if len(s) == 4] == [(0, 1, 2, 3), (0, 2, 4, 6), (0, 2, 5, 7)]


@pytest.mark.parametrize("group", [*map(dihedral, range(1, 5)), cyclic(6)], ids=repr)
def test_subgroups_are_all_closed_subsets(group: Group) -> None:
    rest = range(1, group.order)
    subsets = ((0, *s) for k in range(group.order) for s in itertools.combinations(rest, k))
    closed = {s for s in subsets if {group.product(a, b) for a in s for b in s} == set(s)}
    assert set(group.subgroups()) == closed


@given(any_group())
@settings(max_examples=30)
def test_classes_partition_the_group_and_are_closed(group: Group) -> None:
    classes = group.conjugacy_classes()
    assert sorted(itertools.chain(*classes)) == list(range(group.order))
    for members in classes:
        g = members[-1]
        assert {group.product(h, g, int(group.inverse[h])) for h in range(group.order)} == set(members)


def test_subgroup_is_a_group_with_the_same_products() -> None:
    parent = dihedral(4)
    part = parent.subgroup([6, 0, 4, 2])
    chosen = [0, 2, 4, 6]
    for a, b in itertools.product(range(4), repeat=2):
        assert chosen[part.product(a, b)] == parent.product(chosen[a], chosen[b])
    assert part.element_names == ("e", "r^2", "m", "r^2 m")
    with pytest.raises(ValueError, match="not a subgroup"):
        parent.subgroup([0, 1])


@pytest.mark.parametrize("group", [*SMALL, dihedral(4).subgroup([0, 2, 4, 6])], ids=repr)
def test_groups_survive_pickle_and_copy(group: Group) -> None:
    for twin in (pickle.loads(pickle.dumps(group)), copy.deepcopy(group)):
        assert twin == group
        assert hash(twin) == hash(group)
        assert twin.element_names == group.element_names
        assert (twin is group) == (group.family is not None)


def test_constructors_are_memoized_and_names_tell_groups_apart() -> None:
    assert cyclic(4) is cyclic(4)
    assert direct_product(cyclic(2), cyclic(3)) is direct_product(cyclic(2), cyclic(3))
    assert len({cyclic(4), cyclic(4), dihedral(2), direct_product(cyclic(2), cyclic(2))}) == 3
    with pytest.raises(ValueError, match="read-only"):
        cyclic(4).table[0, 0] = 1


LOOP = [  # a Latin square with identity that is not associative: (1 1) 2 == 2, but 1 (1 2) == 4
    [0, 1, 2, 3, 4],
    [1, 0, 3, 4, 2],
    [2, 4, 0, 1, 3],
    [3, 2, 4, 0, 1],
    [4, 3, 1, 2, 0],
]


@pytest.mark.parametrize(
    ("table", "generators", "complaint"),
    [
        ([[0, 1], [1, 1]], [1], "each element once"),
        ([[0, 1, 2], [1, 2, 0]], [1], "square"),
        ([[1, 0], [0, 1]], [1], "must be the identity"),
        (cyclic(4).table, [2], "do not generate"),
        (LOOP, [1, 2], "not associative"),
    ],
)
def test_tables_that_are_no_group_are_refused(table: list, generators: list[int], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Group("broken", table, generators)


@pytest.mark.parametrize("n", [0, -3, 2.5])
def test_sizes_below_one_are_refused(n: float) -> None:
    for constructor in (cyclic, dihedral):
        with pytest.raises(ValueError, match="whole number n >= 1"):
            constructor(n)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("< | >", 1),
        ("<a | a>", 1),
        ("<i, j | i^4, i^2 = j^2, j^-1 i j = i^-1>", 8),  # quaternions
        ("<a, b | a^2, b^3, (a b)^5>", 60),  # rotations of the icosahedron
        ("<a, b | a b a^-1 = b^2, b a b^-1 = a^2>", 1),  # trivial, and only much collapsing shows it
        ("<a, b, c | a^2, b^2, c^2, (a b)^3, (b c)^3, (a c)^2>", 24),  # permutations of four things
        ("<a, b | a^-1 b, a b a^-1 b a a^-1 b^-1>", 1),
        ("<a, b, c | c b^-1, a c^4, a^-1 b^2 c^-1 a b, a b b^-1 c^-1>", 1),
        ("<a, b | b^-2 a^3, b^-1 b, b^5 a a^-1, b a^-1 b^-1 a b^-1>", 3),
        ("<a, b, c | a^-1 b b^-1 c^-1 b^-1, b c^-2 c a^-2, a^-1 c^-1 a b^-1 c^2 a>", 6),
        ("<a, b | a^5, b^4, b a b^-1 = a^2>", 20),
        ("<a, b | a^3, b^3, (a b)^3, (a b^-1)^3>", 27),
    ],
)
def test_presented_groups_have_the_known_orders(text: str, order: int) -> None:
    presentation = Presentation.parse(text)
    group = from_presentation("presented", presentation)
    assert group.order == order
    assert all(group.evaluate(word) == 0 for word in presentation.relators)


def test_infinite_presentations_are_refused() -> None:
    with pytest.raises(ValueError, match="infinite"):
        from_presentation("free", Presentation.parse("<a, b | a^2>"), limit=500)
