"""The simulator of smoke: against a slow one, its symmetry, its conservation, and its bits."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from shared.data import smoke

PLUME = smoke.Plume(20, 26, 0.3, 0.2, radius=14)
#: Smoke that comes from beyond the walls: what limits it there is the edge alone.
CORNER = smoke.Plume(8, 8, 0.5, 0.4, radius=14)
#: Of the first three simulations on 16 x 16 cells, 40 steps.
CHECKSUM = 1325604032


def checksum() -> int:
    fields = smoke.simulate(smoke.rotation_plumes(3), size=16, steps=40)
    return zlib.crc32(fields.numpy().tobytes())


# --- a slow simulator, cell by cell ------------------------------------------------------------------------


def lerp_at(read, y, x):
    """Bilinear interpolation of ``read(row, column)``."""
    j, i = math.floor(y), math.floor(x)
    b, a = y - j, x - i
    upper = (1 - a) * read(j, i) + a * read(j, i + 1)
    return (1 - b) * upper + b * ((1 - a) * read(j + 1, i) + a * read(j + 1, i + 1))


def inside(array):
    """Reader that repeats the edge."""
    n, m = array.shape
    return lambda j, i: array[min(max(j, 0), n - 1), min(max(i, 0), m - 1)]


def nothing_outside(array):
    """Reader that gives 0 outside."""
    n, m = array.shape
    return lambda j, i: array[j, i] if 0 <= j < n and 0 <= i < m else 0.0


def slow_smoke(density, u, v, scale):
    n = len(density)
    carried, low, high = (np.zeros((n, n)) for _ in range(3))
    displacement = np.zeros((n, n, 2))
    for j in range(n):
        for i in range(n):
            dx, dy = (u[j, i] + u[j, i + 1]) / 2 * scale, (v[j, i] + v[j + 1, i]) / 2 * scale
            displacement[j, i] = dx, dy
            y, x = j - dy, i - dx
            carried[j, i] = lerp_at(inside(density), y, x)
            top, left = math.floor(y), math.floor(x)
            corners = [inside(density)(top + b, left + a) for a in (0, 1) for b in (0, 1)]
            low[j, i], high[j, i] = min(corners), max(corners)
    out = np.zeros((n, n))
    for j in range(n):
        for i in range(n):
            dx, dy = displacement[j, i]
            returned = lerp_at(inside(carried), j + dy, i + dx)
            guess = carried[j, i] + (density[j, i] - returned) / 2
            out[j, i] = min(max(guess, low[j, i]), high[j, i])
    return out


def slow_velocity(u, v, scale):
    """Values beyond one cell outside the faces are not asked for: the flow of the test is slow enough."""
    n = len(u)
    new_u, new_v = np.zeros_like(u), np.zeros_like(v)
    read_u, read_v = nothing_outside(u), nothing_outside(v)
    for j in range(n):
        for i in range(n + 1):
            here = sum(read_v(j + b, i - 1 + a) for a in (0, 1) for b in (0, 1)) / 4
            new_u[j, i] = lerp_at(read_u, j - here * scale, i - u[j, i] * scale)
    for j in range(n + 1):
        for i in range(n):
            here = sum(read_u(j - 1 + b, i + a) for a in (0, 1) for b in (0, 1)) / 4
            new_v[j, i] = lerp_at(read_v, j - v[j, i] * scale, i - here * scale)
    return new_u, new_v


def slow_projection(u, v):
    n = len(u)
    u[:, [0, n]] = 0
    v[[0, n], :] = 0
    laplacian, divergence = np.zeros((n * n, n * n)), np.zeros(n * n)
    for j in range(n):
        for i in range(n):
            divergence[j * n + i] = u[j, i + 1] - u[j, i] + v[j + 1, i] - v[j, i]
            for b, a in ((0, 1), (0, -1), (1, 0), (-1, 0)):
                if 0 <= j + b < n and 0 <= i + a < n:
                    laplacian[j * n + i, (j + b) * n + i + a] += 1
                    laplacian[j * n + i, j * n + i] -= 1
    pressure = np.linalg.lstsq(laplacian, divergence, rcond=1e-12)[0].reshape(n, n)
    u[:, 1:n] -= np.diff(pressure, axis=1)
    v[1:n, :] -= np.diff(pressure, axis=0)
    return u, v


def slow_steps(plume, n, steps):
    scale = n / smoke.BOX
    center = (np.arange(n) + 0.5) / scale
    inflow = np.hypot(center[None] - plume.x, center[:, None] - plume.y) <= plume.radius
    density, u, v = np.zeros((n, n)), np.zeros((n, n + 1)), np.zeros((n + 1, n))
    for _ in range(steps):
        density = slow_smoke(density, u, v, scale) + inflow
        u, v = slow_velocity(u, v, scale)
        u[:, 1:n] += plume.force_x * (density[:, 1:] + density[:, :-1]) / 2
        v[1:n] += plume.force_y * (density[1:] + density[:-1]) / 2
        u, v = slow_projection(u, v)
    return density, u, v


@pytest.mark.parametrize(("plume", "steps"), [(PLUME, 6), (CORNER, 10)])
def test_it_agrees_with_a_slow_simulator(plume, steps):
    box = smoke.Box([plume], 8)
    for _ in range(steps):
        box.step()
    density, u, v = slow_steps(plume, 8, steps)
    assert np.abs(u).max() * 8 / smoke.BOX > 0.2  # the flow crosses cells
    np.testing.assert_allclose(box.smoke[0], density, atol=1e-8)
    np.testing.assert_allclose(box.u[0], u, atol=1e-8)
    np.testing.assert_allclose(box.v[0], v, atol=1e-8)


# --- what must hold ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def box() -> smoke.Box:
    """Four plumes after 30 steps, strong ones at all sides."""
    box = smoke.Box(smoke.rotation_plumes(36)[-4:], 32)
    for _ in range(30):
        box.step()
    return box


def test_as_much_flows_into_a_cell_as_out_of_it(box):
    divergence = box.u[..., 1:] - box.u[..., :-1] + box.v[..., 1:, :] - box.v[..., :-1, :]
    assert box.u.abs().max() > 1
    assert divergence.abs().max() < 1e-9


def test_nothing_flows_through_the_walls(box):
    assert not box.u[..., [0, -1]].any()
    assert not box.v[..., [0, -1], :].any()


def test_smoke_is_never_negative_and_comes_from_the_inflow(box):
    """Advection of this kind conserves it only about, the better, the slower the flow."""
    assert (box.smoke >= 0).all()
    slow = smoke.Box([smoke.Plume(32, 32, 0.01, 0.02, radius=10)], 32)
    for _ in range(24):
        slow.step()
    assert math.isclose(slow.smoke.sum(), slow.inflow.sum() * 24, rel_tol=0.02)


def test_the_inflow_of_the_data_set_has_80_cells():
    assert smoke.Box(smoke.rotation_plumes(4)).inflow.sum((-2, -1)).tolist() == [80.0] * 4


def test_a_turned_set_up_gives_the_turned_flow():
    plume = smoke.rotation_plumes(9)[-1]
    box = smoke.Box([plume, smoke.turned(plume)], 16)
    for _ in range(25):
        box.step()
    first, second = box.smoke
    torch.testing.assert_close(
        torch.rot90(first, -1, (0, 1)), second, atol=1e-9, rtol=0
    )  # rows count upwards
    torch.testing.assert_close(-torch.rot90(box.v[0], -1, (0, 1)), box.u[1], atol=1e-9, rtol=0)
    torch.testing.assert_close(torch.rot90(box.u[0], -1, (0, 1)), box.v[1], atol=1e-9, rtol=0)
    assert box.u[1].abs().max() > 0.1


def test_plumes_are_those_of_the_data_set():
    plumes = smoke.rotation_plumes()
    assert len(plumes) == 36
    assert plumes[0] == smoke.Plume(32, 5, 0, 0.010)
    assert (plumes[26].x, plumes[26].y) == (32, 59)  # simulation 27 enters at the third side
    assert math.isclose(plumes[26].force_y, -27 * 0.011)
    assert smoke.turned(plumes[0]) == smoke.Plume(59, 32, -0.010, 0)


def test_frames_are_cut_from_the_faces_after_the_first_step():
    box = smoke.Box([PLUME], 8)
    fields = smoke.simulate([PLUME], size=8, steps=3)
    box.step()
    box.step()
    assert fields.shape == (1, 2, 2, 8, 8)
    assert torch.equal(fields[0, 0, 0], box.u[0, :, :8].float())
    assert torch.equal(fields[0, 0, 1], box.v[0, :8].float())


# --- the same bits -----------------------------------------------------------------------------------------


def test_the_bits_are_known():
    assert checksum() == CHECKSUM


def test_a_simulation_has_the_same_bits_alone_and_beside_others():
    plumes = smoke.rotation_plumes(smoke.CHUNK + 2)
    together = smoke.simulate(plumes, size=8, steps=30)
    alone = smoke.simulate(plumes[-2:-1], size=8, steps=30)
    assert torch.equal(together[-2:-1], alone)


def test_the_sums_of_the_transform_are_exact():
    """In another order a product of matrices has other bits, unless nothing is rounded."""
    x = torch.randn(64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)[None] * 100
    cosines, _ = smoke._transform(64, torch.device("cpu"))
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    short = smoke._short(x)
    assert torch.equal(short @ cosines, short[..., order] @ cosines[order])
    assert not torch.equal(x @ cosines, x[..., order] @ cosines[order])
    exact = [
        math.fsum(a * b for a, b in zip(short[0, 5].tolist(), cosines[:, k].tolist())) for k in range(64)
    ]
    assert (short @ cosines)[0, 5].tolist() == exact
    torch.testing.assert_close(short, x, atol=1e-5, rtol=0)


def test_no_cosine_lies_where_a_mathematical_library_decides_how_it_is_rounded():
    for n in (8, 16, 32, 64, 128):
        angles = [math.pi * k * (2 * i + 1) / (2 * n) for k in range(n) for i in range(n)]
        scaled = np.cos(angles) * 2.0**smoke.COSINE_BITS
        eigenvalues = (2 - 2 * np.cos(np.pi * np.arange(n) / n)) * 2.0**smoke.EIGENVALUE_BITS
        assert np.abs(scaled % 1 - 0.5).min() > 1e-6
        assert np.abs(eigenvalues % 1 - 0.5).min() > 2e-3  # a unit in the last place of 4 is 5e-4 here


@pytest.mark.slow
def test_the_bits_hang_neither_on_threads_nor_on_the_processors_instructions():
    code = (
        "import sys; sys.path.insert(0, 'tests/core/data'); import test_data_smoke as t; print(t.checksum())"
    )
    plain = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE", "OMP_NUM_THREADS": "2"}
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, **plain, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) == CHECKSUM


@pytest.mark.parametrize(
    ("plumes", "size", "steps"), [([], 8, 5), ([PLUME], 1, 5), ([PLUME], 512, 5), ([PLUME], 8, 1)]
)
def test_what_cannot_be_simulated_is_refused(plumes, size, steps):
    with pytest.raises(ValueError, match="needs plumes, 2 steps and a grid"):
        smoke.simulate(plumes, size, steps)
