"""Representations: homomorphisms, conventions, sums, products, restriction, irreps, decomposition."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.algebra.groups import Group, cyclic, dihedral, direct_product, from_presentation, octahedral
from shared.algebra.irreps import character_table, decompose, irreps, is_irreducible, split
from shared.algebra.presentations import Presentation
from shared.algebra.representations import (
    Representation,
    defining,
    direct_sum,
    homomorphism_error,
    inner_product,
    quotient,
    regular,
    trivial,
)

QUATERNIONS = from_presentation("Q8", Presentation.parse("<i, j | i^4, i^2 = j^2, j^-1 i j = i^-1>"))
GROUPS = [
    *map(cyclic, range(1, 9)),
    *map(dihedral, range(1, 9)),
    octahedral(),
    direct_product(cyclic(2), dihedral(4)),
    direct_product(cyclic(3), cyclic(3)),  # two irreps of complex type, whose product splits
    direct_product(QUATERNIONS, cyclic(3)),  # quaternionic times complex type
    QUATERNIONS,
    dihedral(6).subgroup([0, 2, 4, 7, 9, 11]),
    from_presentation("A5", Presentation.parse("<a, b | a^2, b^3, (a b)^5>")),
]
every_group = pytest.mark.parametrize("group", GROUPS, ids=repr)


@every_group
def test_constructed_representations_are_homomorphisms(group: Group) -> None:
    for rep in (
        trivial(group),
        regular(group),
        quotient(group, group.subgroups()[-2 % len(group.subgroups())]),
    ):
        assert rep.is_homomorphism()
        assert rep.is_orthogonal()
        assert rep.is_permutation


@every_group
def test_regular_moves_basis_vectors_by_left_multiplication(group: Group) -> None:
    for g in range(group.order):
        for h in range(group.order):
            assert np.flatnonzero(regular(group)(g)[:, h]).tolist() == [group.product(g, h)]


@every_group
def test_irreps_are_orthogonal_irreducible_and_distinct(group: Group) -> None:
    parts = irreps(group)
    assert parts[0] == trivial(group)
    for i, part in enumerate(parts):
        assert part.is_homomorphism()
        assert part.is_orthogonal()
        assert is_irreducible(part)
        assert round(part.schur_norm) in (1, 2, 4)
        assert part.multiplicities(parts) == tuple(int(i == j) for j in range(len(parts)))


@every_group
def test_irreps_are_complete(group: Group) -> None:
    """The regular representation has each irrep ``size / norm`` times; the sizes add up to the order."""
    parts = irreps(group)
    counts = regular(group).multiplicities(parts)
    assert counts == tuple(round(part.size / part.schur_norm) for part in parts)
    assert sum(count * part.size for count, part in zip(counts, parts)) == group.order


@every_group
def test_decomposition_of_regular(group: Group) -> None:
    parts = decompose(regular(group))
    assert np.allclose(parts.basis.T @ parts.basis, np.eye(group.order), atol=1e-9)
    changed = regular(group).change_basis(parts.basis)
    assert np.abs(changed.matrices - parts.blocks().matrices).max() < 1e-9


def test_sizes_and_types_of_known_irreps() -> None:
    assert [part.size for part in irreps(cyclic(8))] == [1, 2, 2, 2, 1]
    assert [round(part.schur_norm) for part in irreps(cyclic(8))] == [1, 2, 2, 2, 1]
    assert [part.size for part in irreps(dihedral(4))] == [1, 1, 1, 1, 2]
    assert [part.size for part in irreps(dihedral(5))] == [1, 1, 2, 2]
    assert [part.size for part in irreps(octahedral())] == [1, 1, 2, 3, 3]
    assert sorted(part.size for part in irreps(QUATERNIONS)) == [1, 1, 1, 1, 4]
    assert max(part.schur_norm for part in irreps(QUATERNIONS)) == pytest.approx(4)
    assert [part.size for part in irreps(direct_product(cyclic(3), cyclic(3)))] == [1, 2, 2, 2, 2]


def test_character_table_of_the_octahedral_group() -> None:
    group = octahedral()
    classes = group.conjugacy_classes()
    kinds = [(len(members), group.order_of(members[0])) for members in classes]
    order = [kinds.index(kind) for kind in [(1, 1), (8, 3), (3, 2), (6, 4), (6, 2)]]
    expected = [[1, 1, 1, 1, 1], [1, 1, 1, -1, -1], [2, -1, 2, 0, 0], [3, 0, -1, 1, -1], [3, 0, -1, -1, 1]]
    assert character_table(group)[:, order] == pytest.approx(np.array(expected))


def test_character_table_of_d4() -> None:  # classes: e, r, r^2, m, r m
    rows = [[1, 1, 1, 1, 1], [1, 1, 1, -1, -1], [1, -1, 1, 1, -1], [1, -1, 1, -1, 1], [2, 0, -2, 0, 0]]
    assert character_table(dihedral(4)) == pytest.approx(np.array(rows))


@every_group
def test_characters_are_orthogonal_class_functions(group: Group) -> None:
    table = character_table(group)
    sizes = np.array([len(members) for members in group.conjugacy_classes()])
    gram = table * sizes @ table.T / group.order
    assert gram == pytest.approx(np.diag([part.schur_norm for part in irreps(group)]), abs=1e-9)
    for part in irreps(group):
        for members in group.conjugacy_classes():
            assert np.ptp(part.character[list(members)]) < 1e-9


@given(st.sampled_from(GROUPS[:-1]), st.data())
@settings(max_examples=40, deadline=None)
def test_any_sum_in_any_basis_is_taken_apart(group: Group, data: st.DataObject) -> None:
    parts = irreps(group)
    counts = data.draw(st.lists(st.integers(0, 2), min_size=len(parts), max_size=len(parts)).filter(any))
    total = direct_sum([part for part, count in zip(parts, counts) for _ in range(count)])
    generator = np.random.default_rng(data.draw(st.integers(0, 1000)))
    basis = generator.standard_normal((total.size, total.size)) + 3 * np.eye(total.size)
    skewed = total.change_basis(basis)
    assert skewed.multiplicities(parts) == tuple(counts)
    found = decompose(skewed)
    assert found.multiplicities == tuple(counts)
    blocks = np.linalg.solve(found.basis, skewed.matrices @ found.basis)
    scale = np.linalg.cond(basis)
    assert np.abs(blocks - found.blocks().matrices).max() < 1e-9 * scale


@given(st.sampled_from(GROUPS), st.data())
@settings(max_examples=60, deadline=None)
def test_character_arithmetic(group: Group, data: st.DataObject) -> None:
    a, b = (data.draw(st.sampled_from(irreps(group))) for _ in range(2))
    assert (a + b).character == pytest.approx(a.character + b.character)
    assert a.tensor(b).character == pytest.approx(a.character * b.character)
    assert a.tensor(b).is_homomorphism()
    assert (a + b)(1 % group.order)[: a.size, a.size :].tolist() == np.zeros((a.size, b.size)).tolist()
    assert inner_product(a.tensor(b).character, trivial(group).character) == pytest.approx(
        a.schur_norm if a == b else 0, abs=1e-9
    )


@given(st.sampled_from([g for g in GROUPS if g.order <= 24]), st.data())
@settings(max_examples=40, deadline=None)
def test_frobenius_reciprocity(group: Group, data: st.DataObject) -> None:
    """An irrep meets functions on ``G/H`` as often as its restriction to ``H`` has invariant vectors."""
    subgroup = data.draw(st.sampled_from(group.subgroups()))
    part = data.draw(st.sampled_from(irreps(group)))
    cosets = quotient(group, subgroup)
    assert cosets.size * len(subgroup) == group.order
    restricted = part.restrict(subgroup)
    invariants = inner_product(restricted.character, trivial(restricted.group).character)
    assert inner_product(cosets.character, part.character) == pytest.approx(invariants, abs=1e-9)


def test_restriction_of_d4_to_c4() -> None:
    plane = irreps(dihedral(4))[4].restrict([0, 1, 2, 3], cyclic(4))
    assert plane.group is cyclic(4)
    assert plane.multiplicities(irreps(cyclic(4))) == (0, 1, 0)
    assert regular(dihedral(4)).restrict([0, 1, 2, 3], cyclic(4)).multiplicities(irreps(cyclic(4))) == (
        2,
        2,
        2,
    )
    with pytest.raises(ValueError, match="do not multiply as C4"):
        regular(dihedral(4)).restrict([0, 2, 4, 6], cyclic(4))
    with pytest.raises(ValueError, match="not a subgroup"):
        regular(dihedral(4)).restrict([0, 1])


def test_defining_matrices_turn_counter_clockwise_and_mirror_left_right() -> None:
    assert defining(cyclic(4))(1).tolist() == [[0, -1], [1, 0]]
    assert defining(dihedral(4))(4).tolist() == [[-1, 0], [0, 1]]
    assert defining(dihedral(4))(5) == pytest.approx(defining(dihedral(4))(1) @ defining(dihedral(4))(4))
    assert defining(cyclic(8))(1) == pytest.approx(np.array([[1, -1], [1, 1]]) / np.sqrt(2))
    assert not np.signbit(defining(dihedral(4)).matrices[defining(dihedral(4)).matrices == 0]).any()
    assert defining(octahedral()).is_equivalent(irreps(octahedral())[3])
    with pytest.raises(ValueError, match="does not act"):
        defining(QUATERNIONS)


def test_quarter_turns_have_exact_matrices() -> None:
    for group in (cyclic(4), dihedral(4), cyclic(2), dihedral(2), octahedral()):
        for part in (defining(group), *irreps(group)):
            if part.name != "E":
                assert set(np.unique(part.matrices)) <= {-1.0, 0.0, 1.0}
    assert homomorphism_error(dihedral(4), defining(dihedral(4)).matrices) == 0


@pytest.mark.parametrize("broken", ["transpose", "swap", "identity", "nan"])
def test_matrices_that_are_no_representation_are_refused(broken: str) -> None:
    matrices = irreps(dihedral(3))[2].matrices.copy()
    if broken == "transpose":
        matrices[1] = matrices[1].T
    elif broken == "swap":
        matrices[[1, 3]] = matrices[[3, 1]]
    elif broken == "identity":
        matrices[0] = 0
    else:
        matrices[2, 0, 0] = np.nan
    with pytest.raises(ValueError, match="no representation"):
        Representation(dihedral(3), matrices)
    assert homomorphism_error(dihedral(3), matrices) != pytest.approx(0, abs=1e-3)


def test_shapes_and_groups_must_fit() -> None:
    with pytest.raises(ValueError, match="needs matrices"):
        Representation(cyclic(3), np.ones((2, 1, 1)))
    with pytest.raises(ValueError, match="one and the same group"):
        direct_sum([trivial(cyclic(2)), trivial(cyclic(3))])
    with pytest.raises(ValueError, match="one and the same group"):
        direct_sum([])


def test_split_finds_the_parts_without_knowing_them() -> None:
    parts = split(regular(dihedral(5)))
    assert sorted(part.size for part in parts) == [1, 1, 2, 2, 2, 2]
    counted = np.sum([part.multiplicities(irreps(dihedral(5))) for part in parts], axis=0)
    assert tuple(counted) == regular(dihedral(5)).multiplicities(irreps(dihedral(5)))


def test_equality_hash_and_pickle() -> None:
    rep = irreps(dihedral(4))[4]
    for twin in (pickle.loads(pickle.dumps(rep)), copy.deepcopy(rep)):
        assert twin == rep
        assert hash(twin) == hash(rep)
    assert rep != irreps(dihedral(4))[0]
    with pytest.raises(ValueError, match="read-only"):
        rep.matrices[0] = 1
