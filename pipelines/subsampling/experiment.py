"""What the subsampling paper's runs compute, by kind of network; returns rows, writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipelines.subsampling import digits, images, inventory, layers, picture, toy
from pipelines.subsampling.settings import IMAGE_MODELS, Settings
from shared.runs.api import Context, Row

_OTHERS: dict[str, Callable[[Settings, Sequence[int], Context], dict[int, list[Row]]]] = {
    "toy": toy.run,
    "picture": picture.run,
    "inventory": inventory.run,
    "layers": layers.run,
}


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Compute one arm with several seeds.

    The rows are described where they are made: `digits` (Table 1, Figures 5 and 6 and what belongs to them),
    `images` (Table 2, Figure 4), `toy` (Figure 3), `picture` (Figure 2), `inventory` (all networks) and
    `layers` (Eq. 3).

    Raises:
        UserError: if the data set is too small or not there, or the training diverges.
        OutOfTime: if the context's deadline comes first.
    """
    default = images.run if settings.model in IMAGE_MODELS else digits.run
    return _OTHERS.get(settings.model, default)(settings, seeds, context)
