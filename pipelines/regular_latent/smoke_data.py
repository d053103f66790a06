"""What there is to know of SMOKE without a network: simple predictions, symmetries, pictures (claim R23)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from pipelines.regular_latent.settings import Settings
from pipelines.regular_latent.smoke import errors
from pipelines.regular_latent.smoke_flows import TESTED, Flows, downwards, load, turn, turn_maps
from shared.data import smoke
from shared.runs.api import Context, Row

#: The strength at which the set-ups of different sides are compared, and the frames after which.
STRENGTH, FRAMES = 18, (1, 5, 10, 20, 50, 100, 200, 280)
#: The simulations and the frame of Figures 2 and 7, and the sides of the pictures.
PICTURED, PICTURED_FRAME, PICTURE, ARROWS = (17, 18, 19, 20), 100, 32, 16


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """What there is to know of the data; the same for all seeds.

    Rows: ``crc32`` of the fields as released; ``persistence_<future or domain>_<6 or 20>`` and ``zero_...``
    (error of repeating the last frame, and of no flow, as `pipelines.regular_latent.smoke.rmse` has it); by
    frame, relative errors between flows that a quarter turn of the set-up relates: ``turned_error`` (the
    arrays turned), ``shifted_error`` (and faces that fell off by a cell moved back: only rounding is left,
    until it has grown), ``side_error`` (of the side whose smoke is 10 % stronger); for Figure 2
    ``figure2_<side>`` (smoke of one simulation for each side, by flat pixel of 32 x 32), for Figure 7
    ``figure7_<plain, pixels or vectors>_<x or y>`` (a frame, its pixels turned, its vectors turned, too; by
    flat pixel of 16 x 16). Rows count downwards in all pictures.
    """
    flows = load(replace(settings, layout="released"), context.device)
    rows = [Row("crc32", "", float(zlib.crc32(flows.fields.cpu().numpy().tobytes())))]
    rows += [*_baseline_rows(flows), *_symmetry_rows(flows), *_picture_rows(flows)]
    return dict.fromkeys(seeds, rows)


def _baseline_rows(flows: Flows) -> list[Row]:
    rows = []
    for name, predictor in (("persistence", lambda x: x[:, -2:]), ("zero", lambda x: 0 * x[:, -2:])):
        for part in ("future", "domain"):
            found = errors(predictor, flows, flows.windows[part], TESTED)
            rows += [Row(f"{name}_{part}_{n}", "", value) for n, value in found.items()]
    return rows


def _symmetry_rows(flows: Flows) -> list[Row]:
    """Flows of the same strength from the first side, the second and the third, and from the third as it
    is."""
    strong = [replace(p, force_x=STRENGTH * p.force_x, force_y=STRENGTH * p.force_y) for p in smoke.SIDES]
    second = smoke.turned(strong[0])
    plumes = [strong[0], second, smoke.turned(second), strong[2]]
    count, size = flows.fields.shape[1], flows.fields.shape[-1]
    fields = downwards(smoke.simulate(plumes, size, count + 1))
    rows = []
    for frame in (frame for frame in FRAMES if frame <= count):
        first, quarter, half, third = fields[:, frame - 1]
        moved = turn(first[None], torch.tensor([1]))[0]
        rows.append(Row("turned_error", frame, _relative(moved, quarter)))
        rows.append(Row("shifted_error", frame, _relative(*shifted(moved, quarter))))
        rows.append(Row("side_error", frame, _relative(third, half)))
    return rows


def shifted(moved: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """The faces that a flow turned by a quarter and a flow from the turned set-up have in common, (2, n, n
    - 1).

    Horizontal velocities stand on the left faces; those of a turned flow come from lower faces and are on the
    right ones, a column further.
    """
    return (
        torch.stack([moved[0, :, :-1], moved[1, :, :-1]]),
        torch.stack([flow[0, :, 1:], flow[1, :, :-1]]),
    )


def _relative(a: Tensor, b: Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


def _picture_rows(flows: Flows) -> list[Row]:
    plumes = smoke.rotation_plumes()
    box = smoke.Box([plumes[k - 1] for k in PICTURED], flows.fields.shape[-1])
    for _ in range(min(PICTURED_FRAME, flows.fields.shape[1])):
        box.step()
    panels = {
        f"figure2_{side + 1}": image for side, image in enumerate(_coarse(downwards(box.smoke), PICTURE))
    }
    frame = downwards(_coarse(box.velocity()[:1], ARROWS))
    once = torch.tensor([1])
    for name, flow in (("plain", frame), ("pixels", turn_maps(frame, once)), ("vectors", turn(frame, once))):
        panels |= {f"figure7_{name}_{axis}": flow[0, i] for i, axis in enumerate("xy")}
    return [
        Row(name, pixel, float(f"{value:.4g}"))
        for name, panel in panels.items()
        for pixel, value in enumerate(panel.flatten().tolist())
    ]


def _coarse(x: Tensor, side: int) -> Tensor:
    """Means of blocks, so that at most ``side`` pixels are left."""
    return torch.nn.functional.avg_pool2d(x, max(1, x.shape[-1] // side))
