"""Learned representations: exact ones give whole numbers, and slips are caught."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch

from shared.algebra.groups import Group, cyclic, dihedral, direct_product, from_presentation, octahedral
from shared.algebra.irreps import irreps
from shared.algebra.presentations import Presentation
from shared.algebra.representations import Representation, regular
from shared.nn import learned_representations as learned
from shared.nn.learned_representations import LearnedRepresentation

#: Its relator b a b^-1 a^-2 does not hold for words that are read from right to left.
FROBENIUS = from_presentation("F20", Presentation.parse("<a, b | a^5, b^4, b a b^-1 a^-2>"))
GROUPS = [
    *(cyclic(2), cyclic(4), cyclic(5), dihedral(3), dihedral(4)),
    *(direct_product(cyclic(2), cyclic(3)), octahedral(), FROBENIUS),
]
NAMES = [group.name for group in GROUPS]


def exact(rep: Representation, noise: float = 0.0) -> LearnedRepresentation:
    """Matrices of the generators in a random basis that is not orthogonal, float64."""
    random = np.random.default_rng(3)
    basis = np.eye(rep.size) + 0.3 * random.standard_normal((rep.size, rep.size)) / np.sqrt(rep.size)
    matrices = rep.change_basis(basis).matrices[list(rep.group.generators)]
    matrices = matrices + noise * random.standard_normal(matrices.shape)
    assert rep.group.presentation is not None
    return LearnedRepresentation(rep.group.presentation, torch.from_numpy(matrices))


def some(group: Group) -> tuple[Representation, tuple[int, ...]]:
    """A representation that is not a multiple of the regular one, and its multiplicities."""
    counts = tuple(range(1, len(irreps(group)) + 1))
    parts = [part for part, count in zip(irreps(group), counts) for _ in range(count)]
    return sum(parts[1:], start=parts[0]), counts


@pytest.mark.parametrize("group", GROUPS, ids=NAMES)
def test_an_exact_representation_has_no_residual_and_whole_numbers(group: Group) -> None:
    rep, counts = some(group)
    matrices = exact(rep)
    assert matrices.residuals().max() < 1e-20
    assert matrices.split_residuals().max() < 1e-20
    for average in (True, False):
        found = learned.character_counts(matrices, group, average)
        assert np.abs(found - counts).max() < 1e-9
        assert learned.integer_distance(found) < 1e-9


@pytest.mark.parametrize("group", GROUPS, ids=NAMES)
def test_regular_counts_are_those_of_the_regular_representation(group: Group) -> None:
    twice = regular(group) + regular(group)
    want = learned.regular_counts(group, twice.size)
    assert want == pytest.approx(twice.multiplicities(irreps(group)))
    assert learned.regular_distance(learned.character_counts(exact(twice), group), want) < 1e-9
    assert learned.regular_distance(learned.character_counts(exact(some(group)[0]), group), want) > 0.5


@pytest.mark.parametrize("group", GROUPS, ids=NAMES)
def test_words_spell_their_elements(group: Group) -> None:
    words = learned.element_words(group)
    assert [group.evaluate(word) for word in words] == list(range(group.order))
    rep, _ = some(group)
    matrices = exact(rep)
    basis = exact(rep)  # the same basis again
    for g, word in enumerate(words):
        assert torch.allclose(matrices.evaluate(word).trace(), torch.tensor(rep.character[g]))
        inverse = tuple(-letter for letter in reversed(word))
        assert torch.allclose(matrices.evaluate(word) @ basis.evaluate(inverse), torch.eye(rep.size).double())


def test_words_read_from_the_wrong_end_are_caught() -> None:
    matrices = exact(some(FROBENIUS)[0])
    transposed = LearnedRepresentation(matrices.presentation, matrices.matrices.detach().transpose(1, 2))
    assert matrices.residuals().max() < 1e-20
    assert transposed.residuals()[2] > 1e-3, "the transposes multiply in the other order"


@pytest.mark.parametrize("order", [2, 3, 4, 5])
def test_eigenvalues_are_counted_at_the_right_root(order: int) -> None:
    group = cyclic(order)
    counts = np.arange(1, order + 1)
    counts[1:] = (counts[1:] + counts[1:][::-1]) // 2  # a real matrix has conjugate eigenvalues alike
    blocks = [np.eye(counts[0])]
    for k in range(1, order // 2 + 1):
        part = next(
            p for p in irreps(group) if abs(p.character[1] - p.size * np.cos(2 * np.pi * k / order)) < 1e-9
        )
        blocks += [part.matrices[1]] * counts[k]
    matrix = torch.from_numpy(scipy.linalg.block_diag(*blocks))
    assert learned.root_counts(matrix, order).tolist() == counts.tolist()
    # eigenvalues off the circle count by their angle
    assert learned.root_counts(0.2 * matrix, order).tolist() == counts.tolist()


def test_halfway_between_two_roots_the_later_one_counts() -> None:
    assert learned.root_counts(torch.tensor([[0.0, -1.0], [1.0, 0.0]]), 2).tolist() == [0, 2]
    assert learned.root_counts(torch.diag(torch.tensor([1.0, -1.0, 0.3])), 4).tolist() == [2, 0, 1, 0]


def test_a_wrong_root_is_caught() -> None:
    """A cube root of one is no fourth root: the residual says so, and the counts are no whole numbers."""
    turn = torch.tensor(irreps(cyclic(3))[1].matrices[1])
    matrices = LearnedRepresentation(Presentation.parse("<r | r^4>"), turn[None])
    assert matrices.residuals().item() > 0.5
    assert learned.integer_distance(learned.character_counts(matrices, cyclic(4))) > 0.2


def test_noise_leaves_whole_numbers_and_shows_in_the_residual() -> None:
    matrices = exact(some(dihedral(3))[0], noise=0.02)
    found = learned.character_counts(matrices, dihedral(3))
    assert 1e-3 < learned.integer_distance(found) < 0.4
    assert matrices.residuals().max().item() > 1e-4


def test_one_element_for_each_class_is_another_count_where_it_is_no_representation() -> None:
    matrices = exact(some(dihedral(3))[0], noise=0.05)
    one, mirror, turn = (matrices.evaluate(word).trace().item() for word in ((), (2,), (1,)))
    sizes, values = np.array([1, 3, 2]), np.array([one, mirror, turn])
    table = np.array([[1, 1, 1], [1, -1, 1], [2, 0, -1]])
    want = table @ (sizes * values) / 6
    assert np.allclose(learned.character_counts(matrices, dihedral(3), average=False), want)
    assert not np.allclose(learned.character_counts(matrices, dihedral(3)), want)


def test_the_split_residual_is_that_of_the_inverse() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = learned.start("normal", 1, 6, generator).double()
    matrices = LearnedRepresentation(Presentation.parse("<r | r^4>"), matrix)
    w = matrix[0]
    want = (w @ w @ w - torch.linalg.inv(w)).square().mean()
    assert torch.allclose(matrices.split_residuals()[0], want)
    assert torch.allclose(matrices.residuals()[0], (w @ w @ w @ w - torch.eye(6)).square().mean())


def test_vectors_are_moved_each_by_its_own_word() -> None:
    matrices = exact(some(dihedral(4))[0])
    words = [(1,), (2,), (1, 2), ()]
    z = torch.randn(12, matrices.size, generator=torch.Generator().manual_seed(1)).double()
    which = torch.arange(12) % 4
    moved = matrices(z, words, which)
    for row in range(12):
        assert torch.allclose(moved[row], matrices.evaluate(words[which[row]]) @ z[row])


def test_descent_on_the_residuals_finds_the_representation_nearby() -> None:
    presentation = dihedral(3).presentation
    assert presentation is not None
    begin = learned.start_near(dihedral(3), (1, 2, 2), torch.Generator().manual_seed(0), noise=0.05)
    matrices = LearnedRepresentation(presentation, begin.double())
    assert matrices.residuals().max() > 1e-3
    optimizer = torch.optim.Adam(matrices.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        (matrices.residuals().sum() + matrices.split_residuals().sum()).backward()
        optimizer.step()
    assert matrices.residuals().max() < 1e-6
    assert learned.character_counts(matrices, dihedral(3)) == pytest.approx([1, 2, 2], abs=0.01)


@pytest.mark.parametrize("kind", learned.STARTS)
def test_starts(kind: str) -> None:
    made = [learned.start(kind, 2, 30, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(made[0], made[1])
    assert torch.equal(made[0], made[2]) == (kind == "identity")
    noisy = learned.start(kind, 2, 30, torch.Generator().manual_seed(0), noise=0.1) - made[0]
    assert 0.09 < noisy.std() < 0.11
    if kind == "orthogonal":
        assert torch.allclose(made[0] @ made[0].mT, torch.eye(30).expand(2, 30, 30), atol=1e-5)
    if kind == "uniform":
        assert 0 <= made[0].min() < 0.05 < 0.95 < made[0].max() < 1
    if kind == "normal":
        assert 0.9 < made[0].std() < 1.1


@pytest.mark.parametrize("group", GROUPS, ids=NAMES)
def test_a_start_near_a_representation_has_its_counts(group: Group) -> None:
    counts = tuple(range(1, len(irreps(group)) + 1))
    assert group.presentation is not None
    matrices = learned.start_near(group, counts, torch.Generator().manual_seed(0))
    found = learned.character_counts(LearnedRepresentation(group.presentation, matrices), group)
    assert np.abs(found - counts).max() < 1e-4
    noisy = learned.start_near(group, counts, torch.Generator().manual_seed(0), noise=0.1) - matrices
    assert 0.04 < noisy.std() < 0.16


def test_what_cannot_be_is_refused_in_a_sentence() -> None:
    presentation = Presentation.parse("<r, m | r^3, m^2, (r m)^2>")
    with pytest.raises(ValueError, match="a square matrix for each of its 2 generators"):
        LearnedRepresentation(presentation, torch.zeros(1, 3, 3))
    matrices = LearnedRepresentation(presentation, torch.eye(3).repeat(2, 1, 1))
    with pytest.raises(ValueError, match="none of 2 generators"):
        matrices.evaluate((3,))
    with pytest.raises(ValueError, match="no presentation of C4"):
        learned.character_counts(matrices, cyclic(4))
    with pytest.raises(ValueError, match="3 irreps"):
        learned.start_near(dihedral(3), (1, 2))
    with pytest.raises(ValueError, match="unknown start"):
        learned.start("zeros", 1, 3)
