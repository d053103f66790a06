"""The L-conv paper's propositions and its theorem: identities to rounding, rates, and what must not hold."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from pipelines.lconv import propositions, regression, stated

SEEDS = (0, 1, 7)
EXACT = 1e-10


def ratios(errors: dict[float, float]) -> list[float]:
    values = list(errors.values())
    return [a / b for a, b in pairwise(values)]


@pytest.mark.parametrize("seed", SEEDS)
def test_one_layer_is_a_convolution_near_the_identity(seed):
    """Proposition 1: second order; the leading term is eta^2 / 6 for this kernel."""
    errors = propositions.linearization((0.2, 0.1, 0.05, 0.025), seed)
    assert ratios(errors) == pytest.approx([4, 4, 4], abs=0.05)
    assert errors[0.025] == pytest.approx(0.025**2 / 6, rel=0.01)


@pytest.mark.parametrize("seed", SEEDS)
def test_layers_compose_to_the_exponential(seed):
    """Proposition 2: first order in 1/n."""
    assert ratios(propositions.composition((64, 128, 256, 512, 1024), seed)) == pytest.approx(
        [2] * 4, abs=0.1
    )
    group = propositions.finite_group((128, 512), seed)
    assert ratios(group) == pytest.approx([4], rel=0.2)
    assert group[512] < 0.1


def test_shift_of_the_notebooks():
    found = propositions.shift_example((8, 16, 32, 64))
    expected = {0: 0.29574, 8: 0.7721, 16: 0.9314, 32: 0.9689, 64: 0.9756}
    assert {n: round(value, 4) for n, value in found.items()} == {n: round(v, 4) for n, v in expected.items()}
    assert propositions.shift_example((2000,))[2000] == pytest.approx(math.sqrt(19 / 20), abs=3e-4)


@pytest.mark.parametrize("seed", SEEDS)
def test_fully_connected(seed):
    found = propositions.fully_connected(seed)
    assert found["error"] < EXACT
    assert found["first_row_error"] < EXACT
    assert found["printed_error"] > 0.1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("border", ["circular", "zero", "flat"])
def test_convolution(border, seed):
    assert propositions.convolution(border, seed) < EXACT


@pytest.mark.parametrize("seed", SEEDS)
def test_graph_convolution(seed):
    found = propositions.graph(seed)
    assert max(found.values()) < EXACT
    assert len(found) == 4


@pytest.mark.parametrize("seed", SEEDS)
def test_equivariance_is_up_to_the_adjoint_action(seed):
    found = propositions.adjoint(seed)
    assert found["shift_error"] < EXACT
    assert found["adjoint_error"] < EXACT
    assert found["plain_error"] > 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_order_of_the_pixels_does_not_matter(seed):
    assert propositions.permutation(seed) < EXACT


def test_everything_is_recorded(monkeypatch):
    monkeypatch.setattr(propositions, "STEPS", (4, 8))
    monkeypatch.setattr(propositions, "LAYERS", (4, 8))
    rows = [row for name in propositions.NAMES for row in propositions.run(name, 3)]
    assert len({(metric, step) for metric, step, _ in rows}) == len(rows)
    assert {metric.split("_")[0] for metric, _, _ in rows} == set(propositions.NAMES)
    assert rows == [row for name in propositions.NAMES for row in propositions.run(name, 3)]
    assert propositions.run("e2", 3) != propositions.run("e2", 4)
    with pytest.raises(ValueError, match="there is no proposition 'p6'"):
        propositions.run("p6")


@pytest.mark.parametrize("seed", SEEDS)
def test_symmetries_of_linear_regression(seed):
    """Theorem 1, T1 to T8."""
    found = regression.run_tests(seed)
    for name in ("t1_second_moment", "t1_cross", "t2_intertwining", "t3_refit", "t4_second_moment"):
        assert found[name] < EXACT, name
    assert found["t4_intertwining"] > 0.1
    assert found["t4_refit"] > 0.1
    assert found["t5_intertwining"] < EXACT
    assert found["t5_second_moment"] > 0.1
    assert found["t6_generators"] < EXACT
    assert found["t7_closure"] < EXACT
    assert found["t7_dimension"] == 7 * 6 / 2
    assert found["t8_nullity"] == 3 + 6


@pytest.mark.parametrize(("d", "c"), [(4, 1), (5, 3), (6, 2)])
def test_dimension_of_the_symmetry_group(d, c):
    found = regression.run_tests(2, 200, d, c)
    assert found["t8_nullity"] == c * (c - 1) / 2 + (d - c) * (d - c - 1) / 2
    assert found["t1_cross"] < EXACT


def test_symmetry_is_not_trivial_and_keeps_the_predictions():
    """u_c preserves the covariance of the predictions, A H A^T."""
    x, y = regression.problem(seed=4)
    u, u_c = regression.symmetry(x, y, 1)
    assert np.linalg.norm(u - np.eye(7)) > 0.5
    assert np.linalg.norm(u_c - np.eye(3)) > 0.5
    predictions = regression.solve(x, y) @ x
    covariance = predictions @ predictions.T
    np.testing.assert_allclose(u_c @ covariance @ u_c.T, covariance, rtol=1e-9, atol=1e-6)
    other = regression.symmetry(x, y, 2)[0]
    assert regression.conditions(x, y, u @ other, u_c)["second_moment"] < EXACT  # (i) is a group
    assert not np.allclose(u, other)


def test_conditions_see_a_wrong_pair():
    x, y = regression.problem(seed=4)
    u, u_c = regression.symmetry(x, y, 1)
    assert min(regression.conditions(x, y, u.T, u_c).values()) > 1e-3
    assert regression.conditions(x, y, u, u_c.T)["intertwining"] > 1e-3


def test_symmetry_transfers_to_other_samples_as_they_grow():
    """T9: like sqrt(d / n)."""
    ns = (200, 800, 3200, 12800)
    errors = np.median(regression.transfer(ns, 15), axis=1)
    slope = np.polyfit(np.log(ns), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.15)
    assert errors[-1] < 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"c": 7}, "fewer outputs than inputs"), ({"c": 0}, "at least 1"), ({"n": 6}, "at least 7")],
)
def test_problems_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        regression.problem(**arguments)


def test_orthogonal_matrices():
    random = np.random.RandomState(0)
    drawn = [regression.orthogonal(3, random) for _ in range(40)]
    assert all(np.allclose(q @ q.T, np.eye(3)) for q in drawn)
    assert 5 < sum(np.linalg.det(q) > 0 for q in drawn) < 35
    assert all(np.linalg.det(regression.orthogonal(3, random, special=True)) > 0 for _ in range(20))


def slope(steps, errors):
    return np.polyfit(np.log(steps), np.log(errors), 1)[0]


def test_proposition_1_as_printed_fails_for_the_relu_it_names():
    """First order, no better than without L; for tanh order zero. The layer itself is near second order."""
    errors = stated.activations(stated.ETAS, 0)
    assert slope(stated.ETAS, errors["relu_printed"]) == pytest.approx(1, abs=0.1)
    assert errors["relu_printed"][-1] > 0.9 * errors["relu_dropped"][-1]
    assert min(errors["tanh_printed"]) > 0.3
    assert slope(stated.ETAS, errors["tanh_layer"]) == pytest.approx(2, abs=0.05)
    assert 1.3 < slope(stated.ETAS, errors["relu_layer"]) < 2.2


@pytest.mark.parametrize("seed", SEEDS)
def test_one_network_is_a_convolution_over_a_whole_group(seed):
    """Proposition 2 for SO(3), and for an element of SL(2, R) without a logarithm: errors fall like 1 / n."""
    for found in (stated.haar((128, 512), seed), stated.product((128, 512), seed)):
        assert ratios(found) == pytest.approx([4], rel=0.15)
        assert found[512] < 0.05


def test_what_the_proofs_print():
    found = stated.shifts(0)
    assert found["commute_circular"] == found["commute_printed"] == 0
    assert found["commute_centered"] == 1
    assert found["printed_error"] > 0.5
    assert stated.flow(0) > 0.1
    assert stated.flow(0, rate=1.0) < EXACT
    waves = stated.fractional((1, 4, 16))  # a cosine of half the phase
    assert [waves[n] for n in (1, 4, 16)] == pytest.approx(
        [1 - math.cos(math.pi * n / 64) for n in (1, 4, 16)]
    )


def test_rotation_of_pixels_is_sparse_and_not_of_low_rank():
    assert stated.rotation(28)["entries"] == 4
    assert stated.rotation(28)["rank"] == 28 * 27
    assert stated.rotation(28)["low_rank"] < 0.4


@pytest.mark.parametrize("seed", SEEDS)
def test_corollary_counts_all_symmetries(seed):
    """21 = 7 * 6 / 2 generators, and reflections too; a row of ones in place of a bias is not kept."""
    found = stated.corollary(seed, 500)
    assert found["c1_nullity"] == 21
    assert found["c1_reflection"] < EXACT
    assert found["c1_determinant"] == pytest.approx(-1)
    assert found["bias_row"] > 0.1
    # O(3) x O(5), and what of it keeps a vector: O(2) x O(4)
    assert (found["bias_dimension"], found["bias_kept"]) == (3 + 10, 1 + 6)
