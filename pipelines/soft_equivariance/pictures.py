"""Figures 1 and 3 from real kernels: untrained sine networks with drawn biases."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipelines.soft_equivariance.exact import draw_biases
from pipelines.soft_equivariance.settings import Settings
from shared.nn.angles import FixedAngles
from shared.nn.continuous import ContinuousLifting
from shared.nn.kernel_networks import KernelSettings
from shared.runs.api import Context, Row

#: By panel of Figure 1: omega, omega', taps.
PANELS = {
    "invariance": (0.0, 0.0, "disk"),
    "equivariance": (10.0, 0.0, "disk"),
    "nonequivariance": (10.0, 30.0, "center"),
    "relaxed": (10.0, 3.0, "disk"),
}
#: Positions per side whose kernels Figure 1 shows; pixels of a line whose operator is shown.
POSITIONS, LINE = 3, 16
#: Angles of Figure 3, and pixels per side of its filters; omega' of its second row.
ANGLES, FINE, OMEGA = 8, 25, 1.0


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Rows of each seed; described in `pipelines.soft_equivariance.experiment.run`."""
    return {seed: _positions(settings, seed) + _angles(settings, seed) for seed in seeds}


def _lift(settings: Settings, seed: int, taps: str = "disk", **more: object) -> ContinuousLifting:
    """A lift of one color to one field; those of one seed share what they have."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        kernel = KernelSettings(form="released", hidden=settings.hidden, **more)  # type: ignore[arg-type]
        shape = {"kernel_size": settings.kernel, "taps": taps}
        layer = ContinuousLifting(1, 1, FixedAngles(ANGLES), kernel, **shape)  # type: ignore[arg-type]
    return draw_biases(layer, seed).double().eval()


@torch.no_grad()
def _positions(settings: Settings, seed: int) -> list[Row]:
    """Figure 1: kernels at nine positions, and the operator on a line as a matrix."""
    rows, grid = [], FixedAngles(1)()
    for name, (omega, prime, taps) in PANELS.items():
        layer = _lift(settings, seed, taps, omega=omega, omega_position=prime)
        values = layer.kernel(grid, grid, (POSITIONS, POSITIONS)).flatten(1)
        at = layer._offsets + layer.radius
        tiles = values.new_zeros(POSITIONS**2, layer.kernel_size, layer.kernel_size)
        tiles[:, at[:, 0], at[:, 1]] = values
        rows += _flat(f"figure1_{name}", tiles)
        line = layer.kernel(grid, grid, (LINE, 1)).flatten(1)
        matrix = values.new_zeros(LINE, LINE)
        for tap, (row, column) in enumerate(layer._offsets.tolist()):
            if column == 0:
                u = torch.arange(max(0, -row), min(LINE, LINE - row))
                matrix[u, u + row] = line[u, tap]
        rows += _flat(f"operator_{name}", matrix)
    return rows


@torch.no_grad()
def _angles(settings: Settings, seed: int) -> list[Row]:
    """Figure 3: a strict filter at each angle, which is turned, and a relaxed one, which also changes."""
    side = torch.linspace(-1, 1, FINE, dtype=torch.float64)
    pixels = torch.cartesian_prod(side, side)
    rows = []
    for name, omega in (("strict", 0.0), ("relaxed", OMEGA)):
        layer = _lift(settings, seed, omega_angle=omega, rotation="integer")
        theta = layer.angles().angles
        cosine, sine = torch.cos(theta)[:, None], torch.sin(theta)[:, None]
        turned = [cosine * pixels[:, 0] - sine * pixels[:, 1], sine * pixels[:, 0] + cosine * pixels[:, 1]]
        values = layer.network(offset=torch.stack(turned, -1), angle=theta[:, None])[..., 0]
        rows += _flat(f"figure3_{name}", values.masked_fill(pixels.square().sum(1) > 1, 0.0))
    return rows


def _flat(metric: str, values: Tensor) -> list[Row]:
    return [Row(metric, index, value) for index, value in enumerate(values.flatten().tolist())]
