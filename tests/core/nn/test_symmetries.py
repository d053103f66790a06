"""Reading generators out, comparing spans, and the penalties; low rank against dense everywhere."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from shared.algebra import lie
from shared.nn import LConv, symmetries


@pytest.fixture
def factors() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(4, 25, 3, dtype=torch.float64), torch.randn(4, 3, 25, dtype=torch.float64)


@pytest.fixture
def moments() -> Tensor:
    samples = torch.randn(60, 25, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    samples = samples * torch.linspace(0.1, 2, 25)
    return samples.T @ samples / len(samples)


def test_three_ways_to_give_generators(factors):
    layer = LConv(2, 3, 25, tuple(f.clone() for f in factors))
    dense = factors[0] @ factors[1]
    for given in (layer, dense, factors):
        torch.testing.assert_close(symmetries.matrices(given), dense)
    assert not symmetries.matrices(layer).requires_grad
    torch.testing.assert_close(symmetries.matrices(LConv(1, 1, 25, dense, mode="fixed")), dense)


def test_eigenvalues_of_low_rank_are_those_of_the_matrix(factors):
    found = symmetries.eigenvalues(factors)
    dense = symmetries.eigenvalues(factors[0] @ factors[1])
    assert found.shape == (4, 3)
    assert dense.shape == (4, 25)
    assert float(dense[:, 3:].abs().max()) < 1e-9
    torch.testing.assert_close(found.abs(), dense[:, :3].abs())
    rotation = symmetries.eigenvalues(lie.generator("rotation", 5)[None])
    assert float(rotation.real.abs().max()) < 1e-9 * float(rotation.abs().max())


def test_pictures_are_rows(factors):
    dense = factors[0] @ factors[1]
    found = symmetries.pictures(factors, [0, 7])
    assert found.shape == (4, 2, 5, 5)
    torch.testing.assert_close(found[2, 1].flatten(), dense[2, 7])
    torch.testing.assert_close(symmetries.pictures(dense)[1, 0].flatten(), dense[1, 12])  # the center


@pytest.mark.parametrize("normalized", [True, False])
def test_action_is_the_exponential(factors, normalized):
    image = torch.randn(5, 5, dtype=torch.float64)
    dense = factors[0] @ factors[1] / 10
    small = (factors[0] / 10, factors[1])
    found = symmetries.action(small, image, [0.0, 0.3], normalized=normalized)
    torch.testing.assert_close(found, symmetries.action(dense, image, [0.0, 0.3], normalized=normalized))
    for generator, (start, moved) in zip(dense, found):
        scale = float(image.norm() / (generator @ image.flatten()).norm()) if normalized else 1.0
        torch.testing.assert_close(start, image)
        torch.testing.assert_close(moved, lie.act(generator, image, 0.3 * scale))


@pytest.mark.parametrize("weighted", [True, False])
def test_similarity_does_not_see_scale_basis_and_identity(moments, weighted):
    known = lie.group("se2", 5)
    weight = moments if weighted else None
    mixing = torch.tensor([[0.2, 3, 2], [-0.1, 1, 3], [0.2, -1, 1]], dtype=torch.float64)
    mixed = torch.einsum("ij,jab->iab", mixing, known) + 7 * torch.eye(25).double()
    found = symmetries.similarity(mixed, known, moments=weight)
    torch.testing.assert_close(found.captured, torch.ones(3).double())
    assert float(found.angles.max()) < 1e-5
    assert float(found.best.max()) < 1 - 1e-3  # no single one is a known one
    same = symmetries.similarity(-3 * known, known, moments=weight)
    torch.testing.assert_close(same.best, torch.ones(3).double())
    if not weighted:  # the identity takes part of every generator if it counts
        assert float(symmetries.similarity(mixed[:1], known, modulo_identity=False).captured.max()) < 0.5


@pytest.mark.parametrize("ratio", [1e2, 1e5, 1e9, 1e14])
def test_similarity_does_not_see_unequal_scales_and_skew_bases(ratio):
    known = lie.group("se2", 9)
    mixed = known @ torch.eye(81, dtype=torch.float64)
    mixed[1] = mixed[0] + mixed[1] / min(ratio, 1e5)  # float64 holds that much of it
    scale = torch.tensor([1.0, 1 / ratio, ratio], dtype=torch.float64)[:, None, None]
    for given in (known * scale, mixed * scale, torch.cat([known * scale, torch.zeros_like(known[:1])])):
        found = symmetries.similarity(given, known)
        torch.testing.assert_close(found.captured, torch.ones(3).double(), atol=1e-8, rtol=0)
        assert float(found.angles.max()) < 1e-3
    half = symmetries.similarity((known * scale)[1:], known)  # and what is not in the span is not captured
    assert float(half.captured[0]) < 0.9
    assert float(symmetries.similarity(known, known * scale).captured.min()) > 1 - 1e-8


def test_similarity_is_the_cosine_for_one_generator(moments):
    known = lie.generator("rotation", 5)
    other = known + 0.5 * lie.generator("translation_x", 5) + torch.randn(25, 25).double()
    root = lie.root(moments, 25)
    for weight, half in ((None, torch.eye(25).double()), (moments, root)):
        a, b = other @ half, known @ half
        cosine = abs(float((a * b).sum() / (a.norm() * b.norm())))
        found = symmetries.similarity(other[None], known[None], moments=weight, modulo_identity=False)
        assert float(found.captured) == pytest.approx(cosine)
        assert float(found.best) == pytest.approx(cosine)
        assert float(found.angles) == pytest.approx(math.acos(cosine))


def test_similarity_of_orthogonal_and_dependent_generators():
    basis = lie.so(4)
    found = symmetries.similarity(basis[:2], basis[2:5])
    assert float(found.captured.max()) < 1e-12
    torch.testing.assert_close(found.angles, torch.full((2,), math.pi / 2).double())
    twice = torch.cat([basis[:1], 2 * basis[:1]])  # a span of one dimension, given twice
    again = symmetries.similarity(twice, basis[:2])
    torch.testing.assert_close(again.captured, torch.tensor([1.0, 0.0]).double())
    torch.testing.assert_close(again.angles, torch.tensor([0.0, math.pi / 2]).double(), atol=1e-7, rtol=0)
    nothing = symmetries.similarity(torch.zeros(1, 4, 4), basis[:2])
    assert float(nothing.captured.max()) == 0


def test_control_is_what_an_untrained_layer_gives():
    known = lie.group("se2", 6)
    chance = symmetries.control(known, 4, 3, draws=30, seed=5)
    assert chance.captured.shape == chance.best.shape == (30, 3)
    assert chance.angles.shape == (30, 3)
    again = symmetries.control(known, 4, 3, draws=30, seed=5)
    assert torch.equal(chance.captured, again.captured)
    assert not torch.equal(chance.captured, symmetries.control(known, 4, 3, draws=30, seed=6).captured)
    # a random span of 4 in the 1296 dimensions of matrices: captured^2 is 4/1296 on average
    assert chance.captured.square().mean().item() == pytest.approx(4 / 1296, rel=0.35)
    p = symmetries.p_values(symmetries.similarity(known[:1], known), chance)
    assert p[0].item() == pytest.approx(1 / 31)
    expected = [(1 + int((chance.captured[:, j] >= 0.05).sum())) / 31 for j in range(3)]
    halfway = symmetries.Similarity(torch.full((3,), 0.05).double(), chance.best[0], chance.angles[0])
    assert symmetries.p_values(halfway, chance).tolist() == pytest.approx(expected)
    assert symmetries.control(known, 2, None, draws=2).captured.shape == (2, 3)


def test_control_leaves_the_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    symmetries.control(lie.group("so2", 4), 1, 2, draws=2)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("weighted", [True, False])
def test_closure_is_the_residual_of_the_structure_constants(factors, moments, weighted):
    weight = moments if weighted else None
    dense = factors[0] @ factors[1]
    truth = lie.structure_constants(dense, weight)[1]
    assert symmetries.closure(factors, weight) == pytest.approx(truth, abs=1e-6)
    assert symmetries.closure(dense, weight) == pytest.approx(truth, abs=1e-6)
    assert 0.3 < truth < 1


def test_closure_of_algebras():
    assert symmetries.closure(lie.so(4)) < 1e-6
    assert symmetries.closure(lie.so(4)[:2]) == pytest.approx(1)
    assert symmetries.closure(lie.shifts((3, 3), [(0, 1), (1, 0)], "circular")) == 0
    assert symmetries.closure(lie.so(4)[:1]) == 0
    scaled = lie.so(4) * torch.tensor([1.0, 5, 0.1, 3, 2, 9]).double()[:, None, None]
    assert symmetries.closure(scaled) < 1e-6


def test_killing_is_that_of_all_matrices(factors):
    dense = factors[0] @ factors[1]
    found = symmetries.killing(factors)
    for i, a in enumerate(dense):
        for j, b in enumerate(dense):
            form = 2 * 25 * (a @ b).trace() - 2 * a.trace() * b.trace()
            assert float(found[i, j]) == pytest.approx(float(form / (50 * a.norm() * b.norm())))
    torch.testing.assert_close(symmetries.killing(dense), found)
    torch.testing.assert_close(symmetries.killing(lie.so(4)), -torch.eye(6).double())
    # tr(ad_A ad_B) on gl(3) is that form
    a, b = torch.randn(2, 3, 3, dtype=torch.float64)
    eye = torch.eye(3).double()
    ad_a, ad_b = (torch.kron(m, eye) - torch.kron(eye, m.T.contiguous()) for m in (a, b))
    assert float((ad_a @ ad_b).trace()) == pytest.approx(
        float(6 * (a @ b).trace() - 2 * a.trace() * b.trace())
    )
    pairs = [float(found[i, j]) for i in range(4) for j in range(i)]
    rms = math.sqrt(sum(p * p for p in pairs) / 6)
    assert symmetries.off_diagonal(factors) == pytest.approx(rms)


@pytest.mark.parametrize("low_rank", [True, False])
def test_penalties_have_right_gradients(low_rank):
    torch.manual_seed(0)
    shapes = ((3, 5, 2), (3, 2, 5)) if low_rank else ((3, 5, 5),)
    parts = tuple(torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes)

    def penalty(*own: Tensor) -> Tensor:
        return symmetries.regularizer(own if low_rank else own[0], closure=0.7, killing=1.3)

    assert torch.autograd.gradcheck(penalty, parts)
    given = parts if low_rank else parts[0]
    total = 0.7 * symmetries.closure_penalty(given) + 1.3 * symmetries.killing_penalty(given)
    torch.testing.assert_close(penalty(*parts), total)


def test_penalties_vanish_for_orthogonal_algebras_and_not_before():
    assert float(symmetries.regularizer(lie.so(4))) < 1e-12
    torch.manual_seed(0)
    layer = LConv(1, 2, 16, 3, rank=4)
    start = float(symmetries.regularizer(layer).detach())
    assert 0.1 < start <= 2
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        symmetries.regularizer(layer).backward()
        optimizer.step()
    assert float(symmetries.regularizer(layer).detach()) < 0.5 * start


def test_penalties_do_not_see_scales(factors):
    scale = torch.tensor([0.01, 1, 5, 100], dtype=torch.float64)[:, None, None]
    scaled = (factors[0] * scale, factors[1])
    for penalty in (symmetries.closure_penalty, symmetries.killing_penalty):
        assert float(penalty(scaled)) == pytest.approx(float(penalty(factors)), rel=0.05)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_penalties_of_zeros_and_of_tiny_and_huge_generators(dtype):
    so3 = lie.so(3).to(dtype)
    se2 = lie.group("se2", 5).to(dtype)
    expected = symmetries.closure_penalty(se2)
    for scale in (1e-15, 1e15):
        torch.testing.assert_close(symmetries.closure_penalty(se2 * scale), expected, rtol=1e-3, atol=1e-5)
        assert math.isclose(symmetries.closure(se2 * scale), symmetries.closure(se2), rel_tol=1e-3)
    low_rank = (torch.zeros(2, 9, 3, dtype=dtype), torch.randn(2, 3, 9, dtype=dtype))
    for given in (torch.cat([so3, torch.zeros_like(so3[:1])]), torch.zeros_like(so3), low_rank):
        parts = tuple(p.clone().requires_grad_() for p in ((given,) if isinstance(given, Tensor) else given))
        found = symmetries.regularizer(parts if len(parts) == 2 else parts[0])
        found.backward()
        assert abs(float(found.detach())) < 1e-4
        assert all(p.grad.isfinite().all() for p in parts)


def test_nothing_to_penalize():
    one = LConv(1, 1, 9, 1, rank=2)
    assert symmetries.regularizer(one).item() == 0
    assert symmetries.regularizer(LConv(1, 1, 9, 3, rank=2), closure=0, killing=0).item() == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: symmetries.matrices(torch.zeros(4, 4)), "generators must be L"),
        (lambda: symmetries.matrices(torch.zeros(2, 4, 5)), "generators must be L"),
        (lambda: symmetries.matrices((torch.zeros(2, 4, 3), torch.zeros(2, 4, 4))), "must be square"),
        (lambda: symmetries.matrices((torch.zeros(2, 4, 3), torch.zeros(1, 3, 4))), "generators must be L"),
        (lambda: symmetries.pictures(torch.zeros(1, 6, 6)), "6 pixels are no square image"),
        (lambda: symmetries.pictures(torch.zeros(1, 9, 9), [9]), "pixels must be from 0 to 8"),
        (lambda: symmetries.action(lie.so(4), torch.zeros(2, 3), [1]), "image must be square with 4 pixels"),
        (lambda: symmetries.similarity(lie.so(4), lie.so(3)), "4 pixels cannot be compared"),
        (lambda: symmetries.similarity(lie.so(3), torch.eye(3)[None]), "multiple of the identity"),
        (lambda: symmetries.similarity(lie.so(3), lie.so(3), moments=torch.eye(4)), "moments must have"),
        (lambda: symmetries.control(lie.so(3), 2, 5), "rank must be from 1 to 3"),
        (lambda: symmetries.control(lie.so(3), 2, 1, draws=0), "draws and count must be at least 1"),
        (lambda: symmetries.regularizer(lie.so(3), closure=-1), "must not be negative"),
        (lambda: symmetries.closure(lie.so(3), torch.eye(4)), "do not fit 3 pixels"),
    ],
)
def test_arguments_that_do_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()
