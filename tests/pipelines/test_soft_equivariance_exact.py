"""What the soft equivariance paper says and what follows from it without training; pictures of kernels."""

from __future__ import annotations

import functools
import math

import pytest
import torch

from pipelines.soft_equivariance import exact, pictures
from pipelines.soft_equivariance.settings import Settings
from shared.runs.api import Context


@functools.cache
def rows() -> dict[tuple, float]:
    found = exact.run(Settings(study="exact", channels=(3, 4), hidden=8, shortcut_hidden=4), [0], Context())
    return {(row.metric, row.step): row.value for row in found[0]}


@functools.cache
def drawn() -> dict[str, torch.Tensor]:
    found: dict[str, list[float]] = {}
    for row in pictures.run(Settings(study="pictures"), [0], Context())[0]:
        found.setdefault(row.metric, []).append(row.value)
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in found.items()}


@pytest.mark.parametrize("name", ["translation", "pooling", "impulse", "control"])
def test_special_cases_hold_to_rounding(name):
    assert rows()[f"{name}_residual", ""] < 1e-13


def test_at_omega_zero_the_logits_do_not_change_under_quarter_turns():
    assert all(rows()["strict_residual", degrees] < 1e-12 for degrees in (90, 180, 270))


def test_two_coordinates_lose_no_kernel_and_one_loses_many():
    assert rows()["coordinates_residual", ""] == 0
    assert rows()["relative_pairs", ""] == 8


def test_whole_frequencies_make_kernels_smooth_on_the_circle_and_others_do_not():
    assert rows()["circle_jump", ""] < 1e-6
    assert min(rows()["circle_jump_real", ""], rows()["circle_jump_authors", ""]) > 0.1


def test_absolute_angles_leave_shifts_and_absolute_positions_break_turns_too():
    assert rows()["rotation_shift_error", ""] < 1e-13
    broken = ("rotation_turn_error", "translation_shift_error", "translation_turn_error")
    assert all(rows()[name, ""] > 1e-2 for name in broken)


def test_kernels_of_neighboring_pixels_become_unlike():
    correlations = [rows()["neighbor_correlation", omega] for omega in exact.CORRELATED]
    assert correlations[0] == pytest.approx(1)
    assert correlations == sorted(correlations, reverse=True)
    assert correlations[-1] < 0.5


@pytest.mark.parametrize("angles", exact.ANGLES)
@pytest.mark.parametrize("omega", exact.FREQUENCIES)
def test_turns_are_kept_as_the_gcd_says(angles, omega):
    order = math.gcd(angles, omega)
    for degrees in (90, 180, 270):
        kept = degrees * order % 360 == 0
        assert (rows()[f"kept_{angles}_{omega}", degrees] < 1e-12) == kept


def test_the_panels_of_figure_1_are_what_they_are_called():
    tiles = {name: drawn()[f"figure1_{name}"].view(9, 49) for name in pictures.PANELS}
    on_disk = tiles["invariance"] != 0
    assert on_disk.sum() == 9 * 29
    assert len(tiles["invariance"][on_disk].unique()) == 1
    assert torch.equal(tiles["equivariance"], tiles["equivariance"][:1].expand(9, -1))
    assert tiles["equivariance"][0].unique().numel() > 20
    assert torch.equal((tiles["nonequivariance"] != 0).nonzero()[:, 1].unique(), torch.tensor([24]))
    relaxed = tiles["relaxed"]
    assert not torch.equal(relaxed[0], relaxed[4])


def test_operators_are_band_toeplitz_and_diagonal_matrices():
    line = {name: drawn()[f"operator_{name}"].view(16, 16) for name in pictures.PANELS}
    assert torch.equal(line["equivariance"][1:, 1:], line["equivariance"][:-1, :-1])
    assert not torch.equal(line["relaxed"][1:, 1:], line["relaxed"][:-1, :-1])
    assert torch.equal(line["nonequivariance"], line["nonequivariance"].diag().diag())
    band = (torch.arange(16)[:, None] - torch.arange(16)).abs() <= 3
    assert torch.equal(line["relaxed"] != 0, band)


def test_the_filters_of_figure_3_are_turned_and_change_where_relaxed():
    strict, relaxed = (drawn()[f"figure3_{name}"].view(8, 25, 25) for name in ("strict", "relaxed"))
    for quarter in (1, 2, 3):
        torch.testing.assert_close(strict[2 * quarter].rot90(quarter), strict[0], rtol=0, atol=1e-12)
        assert not torch.allclose(relaxed[2 * quarter].rot90(quarter), relaxed[0], atol=1e-3)
