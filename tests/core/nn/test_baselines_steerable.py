"""Steerable and partially equivariant convolutions: escnn's filters, exact symmetries, likelihoods."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from shared.base.errors import UserError
from shared.nn import baselines, baselines_steerable
from shared.nn.baselines_likelihood import Likelihood, partial_penalty
from shared.nn.baselines_partial import PartialConv
from shared.nn.baselines_steerable import (
    Fields,
    PathwayConv,
    SteerableFieldConv,
    gate,
    irrep_fields,
    irreps_to,
    pair_basis,
    regular_fields,
    space,
    trivial_fields,
    unrestricted,
    vector_fields,
)

#: Group, highest frequency of the fields in and out, of the likelihood.
PLANE = [("D1", 0, 0, 1), ("C4", 2, 2, 2), ("D4", 2, 2, 2), ("D1", 1, 1, 1)]
SPACE = [("SO3", 1, 2, 2), ("O3", 1, 1, 2)]


@pytest.fixture(autouse=True)
def with_escnn() -> None:
    if not baselines.available("escnn"):
        pytest.skip("escnn is not installed")
    torch.manual_seed(0)


def both(group: str, band_in: int, band_out: int) -> tuple[Fields, Fields]:
    """Two fields of irreps, and three of gates and irreps."""
    return gate(irrep_fields(group, 2, band_in, gated=True))[1], irrep_fields(group, 3, band_out, gated=True)


def elements(group: str) -> list:
    """Elements that permute pixels or voxels: all of a finite group; two quarter turns, inversion."""
    acting = space(group).fibergroup
    if acting.order() > 0:
        return list(acting.elements)
    half = math.sqrt(0.5)
    turns = [np.array([half, 0, 0, half]), np.array([0, 0, half, half])]
    if group == "SO3":
        return [acting.element(turn, "Q") for turn in turns]
    return [acting.element((flip, turn), "Q") for flip in (0, 1) for turn in turns]


def moved(fields: Fields, x: Tensor, element) -> Tensor:
    """Fields under an element that permutes pixels: ``(g f)(p) = rho(g) f(g^-1 p)``."""
    matrix = torch.from_numpy(np.array(fields.representation(element), dtype=float)).to(x)
    x = torch.einsum("ij,bfj...->bfi...", matrix, x.unflatten(1, (fields.count, fields.size))).flatten(1, 2)
    side, dimensions = x.shape[-1], x.dim() - 2
    signs = np.array([1] + [-1] * (dimensions - 1))
    taps = np.array(list(itertools.product(range(side), repeat=dimensions))) - (side - 1) / 2
    points = taps[:, ::-1] * signs  # (x, y) or (x, y, z), from (row, column) or (depth, row, column)
    before = (points @ space(fields.group).basespace_action(element)) * signs
    places = np.rint(before[:, ::-1] + (side - 1) / 2).astype(int)
    return x.flatten(2)[..., np.ravel_multi_index(places.T, dimensions * (side,))].view(x.shape)


def error(layer: torch.nn.Module, source: Fields, target: Fields, element) -> float:
    layer = layer.double()
    x = torch.randn(2, source.channels, *layer.dimensions * (5,), dtype=torch.float64)
    out = layer(x)
    return float(
        (layer(moved(source, x, element)) - moved(target, out, element)).abs().max() / out.abs().max()
    )


@pytest.mark.parametrize(("group", "band_in", "band_out", "_"), [*PLANE, *SPACE])
def test_steerable_convolutions_commute_with_their_group(group, band_in, band_out, _):
    """To the accuracy of escnn's filters, which are float32."""
    source, target = both(group, band_in, band_out)
    layer = SteerableFieldConv(source, target, 3, padding=1)
    with torch.no_grad():
        layer.bias.normal_()
    for element in elements(group):
        assert error(layer, source, target, element) < 2e-6


@pytest.mark.parametrize("group", ["C4", "D4"])
@pytest.mark.parametrize("backend", ["escnn", "e2cnn"])
def test_filters_are_the_librarys_weight_for_weight(backend, group):
    if not baselines.available(backend):
        pytest.skip(f"{backend} is not installed")
    source, target = vector_fields(group, 2, backend), regular_fields(group, 3, backend)
    library = baselines.load(backend)
    for fields in ((source, target), (target, target), (target, source)):
        ours = SteerableFieldConv(*fields, 5)
        kinds = [library.nn.FieldType(space(group, backend), f.count * [f.representation]) for f in fields]
        theirs = library.nn.R2Conv(*kinds, 5, initialize=False)
        with torch.no_grad():
            theirs.weights.copy_(ours.weight.flatten())
        torch.testing.assert_close(ours.expand()[0], theirs.expand_parameters()[0])
        assert (ours.bias is None) == (theirs.bias is None)


def test_weights_start_as_the_library_would_draw_them():
    source, target = both("D4", 2, 2)
    kinds = [
        baselines.load("escnn").nn.FieldType(space("D4"), f.count * [f.representation])
        for f in (source, target)
    ]
    layer = baselines.load("escnn").nn.R2Conv(*kinds, 3, initialize=False)
    draws = torch.stack([_drawn(layer) for _ in range(200)])
    deviations = pair_basis("D4", source.representation, target.representation, 3, "escnn").deviations
    expected = (deviations / source.count**0.5).expand(target.count, source.count, -1).flatten()
    assert ((draws.std(0) / expected) - 1).abs().max() < 0.3
    ours = SteerableFieldConv(source, irrep_fields("D4", 500, 2, gated=True), 3).weight.std((0, 1))
    assert (ours / (deviations / source.count**0.5) - 1).abs().max() < 0.2


def _drawn(layer: torch.nn.Module) -> Tensor:
    weights = torch.empty_like(layer.weights.data)
    baselines.load("escnn").nn.init.generalized_he_init(weights, layer.basisexpansion, cache=True)
    return weights


def test_a_residual_pathway_is_the_sum_of_two_convolutions():
    source, target = both("C4", 2, 2)
    layer = PathwayConv(source, target, 3, padding=1, stride=2)
    with torch.no_grad():
        layer.bias.normal_()
    free = torch.nn.Conv2d(source.channels, target.channels, 3, padding=1, stride=2)
    with torch.no_grad():
        free.weight.copy_(layer.free_weight)
        free.bias.copy_(layer.free_bias)
    alone = SteerableFieldConv(source, target, 3, padding=1, stride=2)
    alone.load_state_dict({"weight": layer.weight, "bias": layer.bias})
    x = torch.randn(2, source.channels, 7, 7)
    torch.testing.assert_close(layer(x), alone(x) + free(x), rtol=1e-4, atol=1e-5)
    steerable, ordinary = layer.squares()
    assert steerable.item() == pytest.approx(sum(float((p**2).sum()) for p in alone.parameters()), rel=1e-5)
    assert ordinary.item() == pytest.approx(sum(float((p**2).sum()) for p in free.parameters()), rel=1e-5)
    without = PathwayConv(source, target, 3, bias=False)
    assert without.expand()[1] is None
    vectors = PathwayConv(source, vector_fields("C4", 2), 3)  # no invariant direction: a free bias only
    assert vectors.bias is None
    torch.testing.assert_close(vectors.expand()[1], vectors.free_bias)


def test_restricted_fields_convolve_freely():
    fields = unrestricted(irrep_fields("C4", 2, 2))
    layer = SteerableFieldConv(fields, irrep_fields("trivial", 1, 0, gated=True), 3)
    assert fields.channels == 8
    assert layer.weight.shape == (1, 8, 12)


@pytest.mark.parametrize(("group", "band_in", "band_out", "band"), [*PLANE, *SPACE])
def test_a_uniform_likelihood_is_steerable_and_another_is_not(group, band_in, band_out, band):
    source, target = both(group, band_in, band_out)
    likelihood = Likelihood(group, band)
    layer = PartialConv(source, target, 3, likelihood, padding=1)
    exact = 1e-12 if group not in ("SO3", "O3") else 1e-6  # matrices of quarter turns are rounded to float32
    for element in elements(group):
        assert error(layer, source, target, element) < exact
    with torch.no_grad():
        likelihood.coefficients.normal_()
    assert max(error(layer, source, target, element) for element in elements(group)) > 0.1


def test_a_likelihood_of_a_subgroup_keeps_its_symmetry():
    """Constant on cosets of the half turn: exactly C2."""
    source, target = both("C4", 2, 2)
    likelihood = Likelihood("C4", 2)
    with torch.no_grad():
        likelihood.coefficients.copy_(torch.tensor([1.0, 0.0, 0.0, 1.3]))
    layer = PartialConv(source, target, 3, likelihood, padding=1)
    errors = [error(layer, source, target, element) for element in space("C4").fibergroup.elements]
    assert max(errors[0], errors[2]) < 1e-12
    assert min(errors[1], errors[3]) > 0.1


@pytest.mark.parametrize(("group", "band_in", "band_out", "band"), [*PLANE, SPACE[0]])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_uniform_filters_span_escnns(group, band_in, band_out, band, kernel_size):
    source, target = both(group, band_in, band_out)
    escnns = pair_basis(group, source.representation, target.representation, kernel_size, "escnn").filters
    layer = PartialConv(source, target, kernel_size, Likelihood(group, band)).double()
    ours = spanned(layer)
    assert torch.linalg.matrix_rank(ours, rtol=1e-5) >= len(escnns)
    assert residual(ours, escnns.flatten(1).double()) < 1e-5


@pytest.mark.parametrize(("group", "band_in", "band_out", "band"), PLANE)
def test_filters_of_a_point_mass_are_free(group, band_in, band_out, band):
    """Every matrix between two fields, times six functions on the taps (a point; a ring up to l = 2)."""
    source, target = both(group, band_in, band_out)
    likelihood = Likelihood(group, band)
    with torch.no_grad():
        likelihood.coefficients.copy_(20 * likelihood.sampling[0])
    layer = PartialConv(source, target, 3, likelihood).double()
    rank = torch.linalg.matrix_rank(spanned(layer), rtol=1e-5)
    assert rank == 6 * source.size * target.size


def spanned(layer: PartialConv) -> Tensor:
    """Filters of one pair of fields for each weight, as rows."""
    count = layer.weight.shape[-1]
    with torch.no_grad():
        layer.weight = torch.nn.Parameter(torch.eye(count, dtype=torch.float64)[:, None])
        return layer.pair_filters().flatten(1)


def residual(rows: Tensor, vectors: Tensor) -> float:
    """How far vectors are from the span of rows."""
    solution = torch.linalg.lstsq(rows.T, vectors.T, driver="gelsd", rcond=1e-6).solution
    return float((rows.T @ solution - vectors.T).abs().max() / vectors.abs().max())


def test_normalized_elements_have_norm_one_where_they_do_not_vanish():
    source, target = both("D4", 2, 2)
    layer = PartialConv(source, target, 5, Likelihood("D4", 2)).double()
    norms = spanned(layer).norm(dim=1)
    sizes = [
        1,
        1,
        1,
        1,
        1,
        1,
        1,
        2,
        1,
        1,
    ]  # a filter's norm is in units of the root of its output irrep's size
    allowed = torch.tensor([0.0, *sorted({math.sqrt(size) for size in sizes})])
    assert (norms[:, None] - allowed).abs().min(1).values.max() < 1e-6
    free = spanned(PartialConv(source, target, 5, Likelihood("D4", 2), normalized=False).double()).norm(dim=1)
    assert ((free > 1e-6) == (norms > 1e-6)).all()
    assert free[free > 1e-6].std() > 0.1


def test_duplicates_change_the_count_and_not_the_filters():
    source, target = both("D4", 2, 2)
    likelihood = Likelihood("D4", 2)
    with torch.no_grad():
        likelihood.coefficients.normal_()
    single = PartialConv(source, target, 3, likelihood)
    double = PartialConv(source, target, 3, likelihood, duplicated=True)
    assert (single.weight.shape[-1], double.weight.shape[-1]) == (396, 468)
    rows, more = spanned(single.double()), spanned(double.double())
    assert torch.equal(more[:396], rows)
    nearest = (more[396:, None] - rows).norm(dim=2).min(1).values
    assert nearest.max() < 1e-12


@pytest.mark.parametrize("group", ["D1", "C4", "D4", "SO3", "O3"])
def test_likelihoods_are_densities(group):
    likelihood = Likelihood(group, 1 if group == "D1" else 2).double()
    assert (likelihood.density() - 1).abs().max() < 1e-6
    assert [round(float(matrix.norm()), 5) for matrix in likelihood.matrices()] == [1.0] + [0.0] * (
        len(likelihood.sizes) - 1
    )
    with torch.no_grad():
        likelihood.coefficients.add_(0.3 * torch.randn(likelihood.coefficients.shape))
    density = likelihood.density()
    assert density.mean().item() == pytest.approx(1)
    assert (density > 0).all()
    identity = likelihood.sampling[0] @ likelihood.coefficients
    parts = likelihood.coefficients.split(_counts(likelihood))
    expected = sum(
        math.sqrt(irrep.size) * float((part.view(irrep.size, -1) * _first_columns(irrep)).sum())
        for irrep, part in zip(irreps_to(group, likelihood.band), parts, strict=True)
    )
    assert identity.item() == pytest.approx(expected, rel=1e-5)


def _counts(likelihood: Likelihood) -> list[int]:
    irreps = irreps_to(likelihood.group, likelihood.band)
    return [irrep.size**2 // irrep.sum_of_squares_constituents for irrep in irreps]


def _first_columns(irrep) -> Tensor:
    return torch.eye(irrep.size, dtype=torch.float64)[:, : irrep.size // irrep.sum_of_squares_constituents]


@pytest.mark.parametrize("group", ["C4", "D4"])
def test_matrices_are_means_of_irreps(group):
    likelihood = Likelihood(group, 2).double()
    with torch.no_grad():
        likelihood.coefficients.normal_()
    acting = space(group).fibergroup
    grid = sorted(acting.elements, key=lambda g: g != acting.identity)
    density = likelihood.density()
    for irrep, matrix in zip(irreps_to(group, 2), likelihood.matrices(), strict=True):
        values = torch.from_numpy(np.array([irrep(g) for g in grid], dtype=float))
        mean = math.sqrt(irrep.size) * (density[:, None, None] * values).mean(0)
        torch.testing.assert_close(matrix, mean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("group", ["C4", "SO3"])
def test_divergences_are_those_of_the_densities(group):
    first, second = Likelihood(group, 2).double(), Likelihood(group, 2).double()
    with torch.no_grad():
        for likelihood in (first, second):
            likelihood.coefficients.add_(0.2 * torch.randn(likelihood.coefficients.shape))
    p, q = first.density(), second.density()
    near = {"rel": 1e-5} if group == "C4" else {"rel": 0.1}  # the coefficients of p are those of a fit
    assert first.divergence(second).item() == pytest.approx((p * (p / q).log()).mean().item(), **near)
    assert first.divergence(None).item() == pytest.approx((p * p.log()).mean().item(), **near)
    assert first.divergence(first).item() == pytest.approx(0, abs=1e-9)
    first.divergence(second).backward()
    assert second.coefficients.grad is None
    assert first.coefficients.grad.abs().max() > 0


def test_the_penalty_starts_at_zero_and_lets_go_by_the_divergence():
    """Alignment alone leaves a uniform likelihood as it is."""
    likelihoods = [Likelihood("C4", 2) for _ in range(3)]
    for weights in ((5.0, 0.0, 0.0), (5.0, 3.0, 3.0)):
        penalty = partial_penalty(likelihoods, *weights)
        penalty.backward()
        assert penalty.item() == pytest.approx(0, abs=1e-6)
        assert all(likelihood.coefficients.grad.abs().max() < 1e-6 for likelihood in likelihoods)
    with torch.no_grad():
        likelihoods[0].coefficients[3] = -0.5  # largest at quarter turns
        likelihoods[1].coefficients[1] = 0.4  # largest at the identity
    aligned = partial_penalty(likelihoods, 1.0, 0.0, 0.0)
    assert aligned.item() == pytest.approx(1.0, rel=1e-5)
    last = likelihoods[2].divergence(likelihoods[1]) + likelihoods[1].divergence(likelihoods[0])
    total = partial_penalty(likelihoods, 0.0, 3.0, 2.0)
    expected = (3 * last + 2 * likelihoods[0].divergence(None)) / 3
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)


def test_rotations_are_spread_evenly():
    """Means of the irreps up to the band vanish on the grid nearly as under the Haar measure."""
    likelihood = Likelihood("SO3", 2)
    assert likelihood.sampling.shape == (70, 35)
    assert likelihood.sampling.mean(0)[1:].abs().max() < 0.2
    singular = torch.linalg.svdvals(likelihood.sampling)
    assert singular[0] / singular[-1] < 3


def test_what_does_not_fit_is_said():
    source, target = both("C4", 2, 2)
    with pytest.raises(ValueError, match="C4 and D1"):
        SteerableFieldConv(source, trivial_fields("D1", 1), 3)
    with pytest.raises(ValueError, match="likelihood of C4"):
        PartialConv(source, target, 3, Likelihood("D4", 2))
    with pytest.raises(ValueError, match="C5"):
        space("C5")


def test_without_the_library_it_says_how_to_install_it(monkeypatch):
    def missing(name: str):
        raise ImportError(f"no {name}")

    monkeypatch.setattr(baselines_steerable, "load", baselines.load.__wrapped__)
    monkeypatch.setattr(baselines.importlib, "import_module", missing)
    with pytest.raises(UserError, match="pip install"):
        space.__wrapped__("C4")


def test_building_on_the_meta_device_leaves_later_layers_alone():
    """The bases are kept, and must not be kept without values."""
    source, target = regular_fields("C4", 1), vector_fields("C4", 1)
    with torch.device("meta"):
        SteerableFieldConv(source, target, 7)
        PartialConv(source, target, 7, Likelihood("C4", 1))
    assert SteerableFieldConv(source, target, 7).expand()[0].isfinite().all()
    assert PartialConv(source, target, 7, Likelihood("C4", 1)).expand()[0].isfinite().all()
