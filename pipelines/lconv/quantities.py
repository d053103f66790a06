"""The numbers that tables, figures and claims speak of, and our protocol."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipelines.lconv import arms
from shared.report import protocol, text
from shared.report.build import Filled, Place, Quantity, Where, compared
from shared.report.results import Results
from shared.report.tables import Cell, measured, per_seed


def _other_readings(results: Results, where: Where) -> str:
    """The two honest readings, for a note below the paper's."""
    last = results.last(*where, "accuracy")
    official = results.sample(*where, "test_accuracy")
    notes = [f"last epoch {text.fixed(last.summary.mean, 2)}"] if last.n else []
    notes += [f"official test {text.fixed(official.summary.mean, 2)}"] if official.n else []
    return "; ".join(notes)


#: The paper's reading: accuracy on the held-out fifth at its best epoch (D4).
BEST = Quantity("accuracy", reduce=np.max, note=_other_readings)


def best_of(epochs: int) -> Quantity:
    """The same after fewer epochs, for the authors' logs by epoch; the learning rate has no schedule."""
    return Quantity("accuracy", range(1, epochs + 1), np.max, protocol=f"{epochs} epochs")


PARAMETERS = Quantity("parameters", form=text.thousands, counted=True)
COUNT = compared("parameters", "Trainable parameters", PARAMETERS)


def _mean(*values: float) -> float:
    return sum(values) / len(values)


def through_training(key: str, title: str, *metrics: str) -> Filled:
    """A metric, or the mean of several, after training, and below it before; compared with nothing."""

    def fill(place: Place) -> Cell:
        results, where = place.results, place.where()
        after = per_seed(_mean, *(results.last(*where, metric) for metric in metrics))
        before = per_seed(_mean, *(results.sample(*where, metric, [0]) for metric in metrics))
        cell = measured(after, decimals=3, command=results.command(where[0]))
        if not before.n:
            return cell
        return replace(cell, text=f"{cell.text}\n{text.fixed(before.summary.mean, 3)}")

    return Filled(key, title, fill)


def training(results: Results, experiment: str) -> str:
    """Our protocol in one sentence; "" if there are no runs."""
    phrases = (
        *("{dataset}", "{epochs} epochs", "batches of {batch_size}", "{train_images} training images"),
        *("{holdout_images} held-out images", "{test_images} official test images"),
        "resized to {size} pixels",
    )
    return protocol.protocol(results, experiment, phrases)


def lacking(results: Results, experiments: dict[str, str]) -> str | None:
    """A note on the data sets that were not at hand, given the experiment of each; None if there are none."""
    found = {name: experiment for name, experiment in experiments.items() if name in arms.NOT_AT_HAND}
    return protocol.lacking(results, found, arms.DATASETS)
