"""The numbers that tables, figures and claims speak of, which runs are judged, and our protocol."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from shared.report import protocol, text
from shared.report.build import Filled, Place, Quantity, Where
from shared.report.results import Results
from shared.report.tables import Cell, Sample, per_seed


def _readings(results: Results, where: Where, decimals: int, others: dict[str, str]) -> str:
    """Means of other metrics, for a note below the one compared: ``clean 0.931; orbit mean 0.945``."""
    found = {name: results.sample(*where, metric) for name, metric in others.items()}
    shown = [f"{name} {text.fixed(one.summary.mean, decimals)}" for name, one in found.items() if one.n]
    return "; ".join(shown)


#: Table 4: accuracy on augmented test pairs at the best validation epoch, in parts of 1.
ACCURACY = Quantity(
    "accuracy",
    decimals=3,
    note=partial(_readings, decimals=3, others={"clean": "accuracy_clean", "orbit mean": "accuracy_orbit"}),
)
#: Of the same runs: on clean pairs, and with predictions averaged over the orbit of an augmented one.
CLEAN, ORBIT = Quantity("accuracy_clean", decimals=3), Quantity("accuracy_orbit", decimals=3)
#: Table 5: accuracy on test volumes as they are, with that on turned ones and of the most frequent class.
VOLUMES_ACCURACY = Quantity(
    "accuracy",
    decimals=3,
    note=partial(_readings, decimals=3, others={"turned": "accuracy_moved", "majority": "majority"}),
)
#: Table 6: title and error of each test, with those of shorter roll-outs and of the last epoch.
RMSE = {
    part: (
        f"{part.capitalize()}: RMSE",
        Quantity(
            f"rmse_{part}_20",
            decimals=3,
            note=partial(
                _readings,
                decimals=3,
                others={"6 steps": f"rmse_{part}_6", "last epoch": f"last_rmse_{part}_20"},
            ),
        ),
    )
    for part in ("future", "domain")
}
PARAMETERS = Quantity("parameters", form=text.thousands)
#: Images that a training gets through in a second.
SPEED = Quantity("images_per_second", decimals=0)
#: A count as the paper prints it, in millions.
MILLIONS = Quantity(
    "parameters",
    reduce=lambda counts: round(float(np.mean(counts)) / 1e6, 2),
    form=partial(text.fixed, decimals=2),
    counted=True,
)


def millions(key: str, title: str, arm: str = "") -> Filled:
    """A count in millions, which is the printed number or not, with the count itself below."""

    def fill(place: Place) -> Cell:
        cell = MILLIONS.cell(place.results, place.where(arm), (place.table, place.line.key, key))
        count = PARAMETERS.of(place.results, place.where(arm))
        return replace(cell, note=text.thousands(count.numbers[0])) if count.n else cell

    return Filled(key, title, fill)


def slower(results: Results, first: Where, second: Where) -> Sample:
    """How many times as long the first arm trains on an image as the second, by seed.

    Empty if they are of different tiers, which may have been run on different machines.
    """
    speeds = SPEED.of(results, first), SPEED.of(results, second)
    if speeds[0].tier != speeds[1].tier:
        return Sample()
    return per_seed(lambda a, b: b / a, *speeds)


def training(results: Results, experiment: str) -> str:
    """Our protocol in one sentence; "" if there are no runs."""
    phrases = ("at most {epochs} epochs", "batches of {batch_size}", "learning rate {lr}")
    return protocol.protocol(results, experiment, phrases)
