"""Figure 2: one digit turned, with and without the circle crop."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pipelines.subsampling import data
from pipelines.subsampling.settings import Settings
from shared.base.errors import UserError
from shared.data import prepare
from shared.runs.api import Context, Row

#: Degrees by which the picture is turned, counter-clockwise.
ANGLE = 30.0
#: What the corners outside the turned picture are filled with, so that they show: lighter than black.
FILL = 0.35


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """The test image of index ``seed``, turned by `ANGLE`; nothing is trained.

    Rows: ``original`` and ``picture``, gray values in [0, 1] with the flat pixel index as step. The corners
    that the turn brings in are filled with `FILL`; the circle crop, if the settings ask for it, blanks them.

    Raises:
        UserError: if a seed is beyond the test images that the settings ask for.
    """
    test = data.digits(settings).test
    if max(seeds) >= len(test):
        raise UserError(f"there is no picture {max(seeds)} in {len(test)} test images; raise test_images")
    return {seed: _rows(settings, test[seed : seed + 1]) for seed in seeds}


def _rows(settings: Settings, image: Tensor) -> list[Row]:
    turned = data.crop(prepare.rotate(image, ANGLE, fill=FILL), settings)
    both = {"original": image, "picture": turned}
    return [
        Row(metric, pixel, round(value, 4))
        for metric, picture in both.items()
        for pixel, value in enumerate(picture.flatten().tolist())
    ]
