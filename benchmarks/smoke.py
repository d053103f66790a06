"""Simulating smoke: this package against PhiFlow 2.4, on the settings of the SMOKE data set.

python -m benchmarks.smoke [--repetitions 15] [--batch 36] [--threads 1] [--out]
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.cases import Benchmark, Case, Options
from benchmarks.timing import Step
from shared.data import smoke

NOTE = (
    "A call is one step of all simulations of the set; images a second are simulated frames. Ours computes "
    "in float64, with an exact projection; PhiFlow in float32, with conjugate gradients to 1e-5, as the data "
    "were made."
)
TOGETHER = "ours"
#: Steps before the clock runs, so that the flow moves.
BEFORE = 5


def phiflow_version() -> str:
    """The installed version of PhiFlow if it is one that `PhiFlow` works with, else why not."""
    try:
        version = importlib.metadata.version("phiflow")
    except importlib.metadata.PackageNotFoundError:
        return ""
    return version if version.startswith("2.4") else ""


class PhiFlow:
    """The simulations of `shared.data.smoke.Box` by PhiFlow 2.4; `step` advances them.

    Later versions need another package in a version that fits, and 3 refuses a box closed on all sides.

    Args:
        plumes, size: as of `shared.data.smoke.Box`.
        tolerance: of the pressure, relative.
    """

    def __init__(self, plumes: Sequence[smoke.Plume], size: int, tolerance: float = 1e-5) -> None:
        self.flow = flow = importlib.import_module("phi.flow")
        cells = smoke.Box(plumes, size).inflow.transpose(1, 2).numpy()
        forces = np.array([[plume.force_x, plume.force_y] for plume in plumes])
        many, bounds = flow.batch("plumes"), flow.Box(x=smoke.BOX, y=smoke.BOX)
        edges = flow.extrapolation.ZERO_GRADIENT
        inflow = flow.math.tensor(cells, many, flow.spatial("x,y"))
        self.force = flow.math.tensor(forces, many, flow.channel(vector="x,y"))
        self.inflow = flow.CenteredGrid(inflow, edges, bounds=bounds)
        self.smoke = flow.CenteredGrid(0, edges, x=size, y=size, bounds=bounds)
        self.velocity = flow.StaggeredGrid(0, flow.extrapolation.ZERO, x=size, y=size, bounds=bounds)
        self.solve = flow.Solve("CG", tolerance, 0, max_iterations=5000, x0=None)

    def step(self) -> None:
        """Advance by one time unit."""
        flow = self.flow
        self.smoke = flow.advect.mac_cormack(self.smoke, self.velocity, dt=1) + self.inflow
        push = (self.smoke * self.force).at(self.velocity)
        velocity = flow.advect.semi_lagrangian(self.velocity, self.velocity, 1) + push
        self.velocity, _ = flow.fluid.make_incompressible(velocity, (), self.solve)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Smoke and both velocities inside the walls, (simulations, y, x) each."""
        parts = (self.smoke, self.velocity.vector["x"], self.velocity.vector["y"])
        smoke_, u, v = (part.values.numpy("plumes,y,x") for part in parts)
        return smoke_, u, v


def _ours(plumes: Sequence[smoke.Plume], size: int, together: int) -> Step:
    boxes = [smoke.Box(plumes[i : i + together], size) for i in range(0, len(plumes), together)]

    def step() -> None:
        for box in boxes:
            box.step()

    return step


def _moving(make: Callable[[Sequence[smoke.Plume]], Step], count: int) -> Callable[[float], Step]:
    def variant(part: float) -> Step:
        step = make(smoke.rotation_plumes(max(1, round(count * part))))
        for _ in range(BEFORE):
            step()
        return step

    return variant


def cases(options: Options) -> tuple[list[Case], list[str]]:
    """One case: the simulations side by side, one by one, and by PhiFlow if it is there."""
    count, size = options.batch or (2 if options.tiny else 36), 8 if options.tiny else 64
    variants = {
        TOGETHER: _moving(lambda plumes: _ours(plumes, size, smoke.CHUNK), count),
        "ours, one at a time": _moving(lambda plumes: _ours(plumes, size, 1), count),
    }
    remarks = []
    if phiflow_version():
        variants["PhiFlow, side by side"] = _moving(lambda plumes: PhiFlow(plumes, size).step, count)
    else:
        remarks.append("PhiFlow 2.4 is not installed: not run")
    title = f"{count} simulations of {size} x {size} cells"
    return [Case(title, count, variants, {"time / ours": lambda variant: TOGETHER})], remarks


BENCHMARK = Benchmark("smoke", "Simulated smoke", NOTE, cases)

if __name__ == "__main__":
    from benchmarks.runner import start

    start("smoke")
