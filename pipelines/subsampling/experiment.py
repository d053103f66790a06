"""What the subsampling paper's runs compute, by kind of network; returns rows, writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipelines.subsampling import digits, inventory, picture, toy
from pipelines.subsampling.settings import Settings
from shared.interface import Context, Row

_OTHERS: dict[str, Callable[[Settings, Sequence[int], Context], dict[int, list[Row]]]] = {
    "toy": toy.run,
    "picture": picture.run,
    "inventory": inventory.run,
}


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Compute one arm with several seeds.

    The rows are described where they are made: `digits` (Table 1, Figures 5 and 6 and what belongs to them),
    `toy` (Figure 3), `picture` (Figure 2) and `inventory` (all networks).

    Raises:
        UserError: if the data set is too small or not there, or the training diverges.
        OutOfTime: if the context's deadline comes first.
    """
    return _OTHERS.get(settings.model, digits.run)(settings, seeds, context)
