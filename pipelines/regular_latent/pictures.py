"""What Figure 6 shows: an image of DDMNIST, as networks see it in training."""

from __future__ import annotations

from collections.abc import Sequence

import torch

import shared.data
from pipelines.regular_latent import pairs
from pipelines.regular_latent.settings import Settings
from shared.runs.api import Context, Row

#: The number that the two digits make.
NUMBER = 47


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Rows ``image``: gray values in [0, 1] of one augmented pair, by flat pixel of 56 x 56.

    Raises:
        UserError: if the data set is none of digits.
    """
    stored, labels = shared.data.load(settings.dataset, "train")
    action = pairs.PairAction(settings.group, settings.rotation == "undone")
    rows = {}
    for seed in seeds:
        random = torch.Generator().manual_seed(seed)
        digits, _ = pairs.draw(stored, labels, 1, random)
        pair = pairs.pixels(digits[NUMBER : NUMBER + 1])
        moved = action.augment(pair, action.elements(1, random), random)
        image = pairs.compose(moved)[0, 0] * pairs.STD + pairs.MEAN
        rows[seed] = [Row("image", n, round(value, 3)) for n, value in enumerate(image.flatten().tolist())]
    return rows
