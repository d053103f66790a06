"""Smoke rising in a closed box: the simulations of the SMOKE data set ("Rotation" of Wang, Walters and Yu,
2022).

Incompressible flow on a staggered grid, as PhiFlow 2.0.1 computes it: smoke is carried by MacCormack
advection, the velocity by itself (semi-Lagrangian), smoke pushes it, and a pressure makes it free of
divergence again, here by a cosine transform where PhiFlow iterates. All simulations of a set advance
together.

The flow is chaotic: a difference in the last bit of a float64 is half of the flow after 200 steps (measured
between two kernels of one library for products of matrices). So that every machine makes the same fields, all
is done in float64 by operations with one rounding each (no fused or reordered sums), and the only sums, those
of the cosine transform, are exact: both factors are rounded to so few bits that no product or partial sum
needs more than 53. The order of a sum, the number of threads and the processor then change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

#: Side of the box, whatever the grid; positions and velocities are in its units.
BOX = 64.0
#: Bits of the cosines and of the eigenvalues, beside their sign.
COSINE_BITS, EIGENVALUE_BITS = 22, 40
#: Bits of an exact product of matrices.
MANTISSA = 53
#: What counts as nothing.
SMALLEST = 1e-100
#: Simulations at once on a CPU, so that what a step touches stays in the cache.
CHUNK = 9


@dataclass(frozen=True)
class Plume:
    """Where smoke enters and which way it is pushed.

    Attributes:
        x, y: center of the inflow, a disc, in units of the box; y points up.
        force_x, force_y: what a unit of smoke adds to the velocity in a step.
        radius: of the disc.
    """

    x: float
    y: float
    force_x: float
    force_y: float
    radius: float = 5.0


#: Inflow at the bottom, right, top and left, and the direction away from it; the third is 10 % stronger.
SIDES = (
    Plume(32, 5, 0, 0.010),
    Plume(59, 32, -0.010, 0),
    Plume(32, 59, 0, -0.011),
    Plume(5, 32, 0.010, 0),
)


def rotation_plumes(count: int = 36) -> list[Plume]:
    """The plumes of the set: the k-th (from 1) enters at side ``(k - 1) % 4`` and is k times as strong."""
    sides = [(k, SIDES[(k - 1) % len(SIDES)]) for k in range(1, count + 1)]
    return [Plume(s.x, s.y, k * s.force_x, k * s.force_y, s.radius) for k, s in sides]


def turned(plume: Plume) -> Plume:
    """The same after a quarter turn of the box, counter-clockwise."""
    return replace(plume, x=BOX - plume.y, y=plume.x, force_x=-plume.force_y, force_y=plume.force_x)


def simulate(plumes: Sequence[Plume], size: int = 64, steps: int = 310, device: str = "cpu") -> Tensor:
    """Velocities after each step but the first, from rest.

    Of the staggered grid, the faces at the left of the cells (x) and below them (y) are kept. The fields of a
    simulation are the same bits alone and beside others.

    Args:
        plumes: one per simulation.
        size: cells along a side of the box (coarser grids show the same flow with fewer cells).
        steps: of one time unit each.
        device: where to compute, and where the result lies.

    Shape:
        float32 (simulations, steps - 1, 2, size, size), the axes being time, (x, y) component, y upwards, x

    Raises:
        ValueError: without plumes, for a grid whose transform would not be exact, or fewer than two steps.
    """
    if not plumes or steps < 2 or not 2 <= size <= 2**8:
        raise ValueError(
            f"needs plumes, 2 steps and a grid of 2 to 256, not {len(plumes)}, {steps} and {size}"
        )
    out = torch.empty(len(plumes), steps - 1, 2, size, size, device=device)
    together = CHUNK if torch.device(device).type == "cpu" else len(plumes)
    for begin in range(0, len(plumes), together):
        part = slice(begin, begin + together)
        box = Box(plumes[part], size, device)
        box.step()
        for frame in range(steps - 1):
            box.step()
            out[part, frame] = box.velocity()
    return out


class Box:
    """Simulations side by side; `step` advances them.

    Attributes:
        smoke: (simulations, size, size), the axes being y upwards and x.
        u, v: velocities in units of the box per step, on the vertical faces (simulations, size, size + 1)
        and on
            the horizontal ones (simulations, size + 1, size).
    """

    def __init__(self, plumes: Sequence[Plume], size: int = 64, device: str = "cpu") -> None:
        kind = {"dtype": torch.float64, "device": device}
        self.size, self.cells = size, size / BOX  # cells in a unit of the box
        self.smoke = torch.zeros(len(plumes), size, size, **kind)
        self.u = torch.zeros(len(plumes), size, size + 1, **kind)
        self.v = torch.zeros(len(plumes), size + 1, size, **kind)
        self.row = torch.arange(size + 1, **kind)[
            :, None
        ]  # of a face; a cell's center is half a step further
        self.column = torch.arange(size + 1, **kind)[None]
        center = (torch.arange(size, **kind) + 0.5) * (BOX / size)
        x, y, fx, fy, r = (
            torch.tensor([getattr(p, name) for p in plumes], **kind)[:, None, None]
            for name in ("x", "y", "force_x", "force_y", "radius")
        )
        dx, dy = center[None, None, :] - x, center[None, :, None] - y
        self.inflow = (dx * dx + dy * dy <= r * r).double()
        self.force = fx, fy

    def step(self) -> None:
        """Advance by one time unit."""
        self.smoke = self._carried_smoke() + self.inflow
        u, v = self._carried_velocity()
        fx, fy = self.force
        u[..., 1:-1] += fx * _mean(self.smoke[..., 1:], self.smoke[..., :-1])
        v[..., 1:-1, :] += fy * _mean(self.smoke[..., 1:, :], self.smoke[..., :-1, :])
        self.u, self.v = without_divergence(u, v)

    def velocity(self) -> Tensor:
        """At the left and lower faces of the cells: float32 (simulations, 2, size, size)."""
        return torch.stack([self.u[..., :-1], self.v[..., :-1, :]], 1).float()

    def _carried_smoke(self) -> Tensor:
        """MacCormack advection: back along the flow, the error of there and back halved away, no new
        extremes."""
        x, y = self.column[:, :-1] + 1, self.row[:-1] + 1  # in the framed grid
        dx = _mean(self.u[..., 1:], self.u[..., :-1]) * self.cells
        dy = _mean(self.v[..., 1:, :], self.v[..., :-1, :]) * self.cells
        density = _framed(self.smoke, "replicate")
        taps = _Taps(y - dy, x - dx, density.shape)
        corners = taps.corners(density)
        carried = taps.blend(corners)
        framed = _framed(carried, "replicate")
        taps = _Taps(y + dy, x + dx, framed.shape)
        guess = carried + (self.smoke - taps.blend(taps.corners(framed))) * 0.5
        low = torch.minimum(corners[0], corners[1]).minimum(corners[2]).minimum(corners[3])
        high = torch.maximum(corners[0], corners[1]).maximum(corners[2]).maximum(corners[3])
        return guess.clamp(low, high)

    def _carried_velocity(self) -> tuple[Tensor, Tensor]:
        """Semi-Lagrangian advection of both components by themselves; outside their faces they are 0."""
        u, v = _framed(self.u), _framed(self.v)
        # the other component where this one lives: the mean of its four neighbors
        v_here = _mean(_mean(v[:, 1:-2, :-1], v[:, 2:-1, :-1]), _mean(v[:, 1:-2, 1:], v[:, 2:-1, 1:]))
        u_here = _mean(_mean(u[:, :-1, 1:-2], u[:, :-1, 2:-1]), _mean(u[:, 1:, 1:-2], u[:, 1:, 2:-1]))
        row, column = self.row + 1, self.column + 1  # in the framed grids
        taps = _Taps(row[:-1] - v_here * self.cells, column - self.u * self.cells, u.shape)
        carried = taps.blend(taps.corners(u))
        taps = _Taps(row - self.v * self.cells, column[:, :-1] - u_here * self.cells, v.shape)
        return carried, taps.blend(taps.corners(v))


def _mean(a: Tensor, b: Tensor) -> Tensor:
    return (a + b) * 0.5


def _framed(field: Tensor, mode: str = "constant") -> Tensor:
    """With a frame of one cell: zeros, into which the field falls off linearly, or (replicate) its edge."""
    return torch.nn.functional.pad(field, (1, 1, 1, 1), mode)


class _Taps:
    """The four grid points around each position, and their bilinear weights; positions outside are moved in.

    Shape:
        row, column: broadcast to (simulations, height, width), in grid points of ``shape`` (s, n, m)
    """

    def __init__(self, row: Tensor, column: Tensor, shape: Sequence[int]) -> None:
        row, column = row.clamp(0, shape[1] - 1), column.clamp(0, shape[2] - 1)
        top, left = row.floor().clamp(max=shape[1] - 2), column.floor().clamp(max=shape[2] - 2)
        self.down, self.right = row - top, column - left
        self.first, self.width = (top * shape[2] + left).long().flatten(1), shape[2]

    def corners(self, field: Tensor) -> list[Tensor]:
        """The field at the four points."""
        flat, shape = field.flatten(1), self.down.shape
        steps = (0, 1, self.width, self.width + 1)
        return [flat.gather(1, self.first + step).view(shape) for step in steps]

    def blend(self, corners: Sequence[Tensor]) -> Tensor:
        """Their bilinear mean, in a form whose only operations are single sums and products."""
        upper = corners[0] + (corners[1] - corners[0]) * self.right
        lower = corners[2] + (corners[3] - corners[2]) * self.right
        return upper + (lower - upper) * self.down


def without_divergence(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Close the walls and subtract the gradient of a pressure, so that as much flows into each cell as out
    of it.

    The Poisson equation with walls is diagonal in the cosine transform (DCT-II) of the cells.

    Shape:
        u (simulations, n, n + 1), v (simulations, n + 1, n), float64; so the results
    """
    u, v = u.clone(), v.clone()
    u[..., 0] = u[..., -1] = 0
    v[..., 0, :] = v[..., -1, :] = 0
    cosines, inverse = _transform(u.shape[1], u.device)
    for _ in range(2):  # the second time for what the short factors left of it
        divergence = u[..., 1:] - u[..., :-1] + (v[..., 1:, :] - v[..., :-1, :])
        pressure = _exactly(_exactly(divergence, cosines.T) * inverse, cosines)
        u[..., 1:-1] -= pressure[..., 1:] - pressure[..., :-1]
        v[..., 1:-1, :] -= pressure[..., 1:, :] - pressure[..., :-1, :]
    return u, v


@cache
def _transform(n: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines ``C[k, i]`` (n, n), and what divides the waves: -1 / eigenvalue and both norms (n, n).

    Rounded, so that no mathematical library is too imprecise for them.
    """
    unit, fine = 2.0**COSINE_BITS, 2.0**EIGENVALUE_BITS
    table = [
        [round(math.cos(math.pi * k * (2 * i + 1) / (2 * n)) * unit) / unit for i in range(n)]
        for k in range(n)
    ]
    value = [round((2 - 2 * math.cos(math.pi * k / n)) * fine) / fine for k in range(n)]
    norm = [(1 if k == 0 else 2) / n for k in range(n)]
    inverse = [
        [-norm[k] * norm[j] / (value[k] + value[j]) if k or j else 0.0 for j in range(n)] for k in range(n)
    ]
    kind = {"dtype": torch.float64, "device": device}
    return torch.tensor(table, **kind), torch.tensor(inverse, **kind)


def _exactly(x: Tensor, matrix: Tensor) -> Tensor:
    """``matrix.T @ x @ matrix`` of each simulation, with factors so short that their products are exact."""
    return _short(_short(x) @ matrix).mT.contiguous().matmul(matrix).mT


def _short(x: Tensor) -> Tensor:
    """Rounded to the bits that an exact product leaves, counted from the largest value of a simulation."""
    bits = MANTISSA - COSINE_BITS - math.ceil(math.log2(x.shape[-1]))
    largest = x.abs().amax((-2, -1), keepdim=True).clamp(min=SMALLEST)
    unit = largest / torch.frexp(largest).mantissa * 2.0**-bits  # a power of two, so that nothing else rounds
    return (x / unit).round() * unit
