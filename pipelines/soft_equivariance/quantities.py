"""The numbers that tables, figures and claims speak of, and our protocol."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from pipelines.soft_equivariance import arms
from shared.report import protocol, text
from shared.report.build import Filled, Place, Quantity, Where, compared
from shared.report.results import Results
from shared.report.tables import Cell, Sample, per_seed


def _frequency(results: Results, where: Where) -> str:
    """omega' that the networks were tested with, for a note, and the turns that a whole one leaves."""
    if not results.tier(*where) or arms.settings(results, where).learn_omega:
        return ""
    found = results.last(*where, "chosen_omega").numbers
    if not found or arms.settings(results, where).model != "soft":
        return ""
    shown = text.join([f"{value:g}" for value in dict.fromkeys(found)])
    n = arms.settings(results, where).angles
    if n == 1:
        return f"ω' = {shown}"
    common = text.join([str(math.gcd(round(value), n)) for value in dict.fromkeys(found)])
    return f"ω' = {shown}, gcd with n: {common}"


def _range(values: np.ndarray) -> float:
    return float(values.max() - values.min())


def _deviation(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


#: Percent of the test images, of the network with the best validation, mean over draws of its angles.
ACCURACY = Quantity("test_accuracy", note=_frequency)
VALIDATION = Quantity("chosen_validation_accuracy")
PARAMETERS = Quantity("parameters", form=text.thousands, decimals=0, counted=True)
#: Points of accuracy between draws of the angles of one trained network.
DRAWS = Quantity("draw_accuracy", reduce=_deviation)
RANGE = Quantity("draw_accuracy", reduce=_range)
HALF_TURN = Quantity("turn_error", [180], form=text.scientific)
COUNT = compared("parameters", "Parameters", PARAMETERS)


def size(results: Results, where: Where, start: bool = False) -> Sample:
    """Root mean square over the layers of omega' after training, or before it."""
    metrics = [f"omega_{layer}" for layer in arms.LAYERS]
    samples = [results.sample(*where, m, [0]) if start else results.last(*where, m) for m in metrics]
    return per_seed(lambda *values: math.sqrt(sum(v * v for v in values) / len(values)), *samples)


def ratio(results: Results, network: str, phase: str, base: str) -> Sample:
    """By seed the time of a ``phase`` ("train", "inference") over that of the network ``base``."""
    metrics = (f"{phase}_seconds", f"{base}_{phase}_seconds")
    return per_seed(operator.truediv, *(results.sample("table6", network, metric) for metric in metrics))


def printed_ratio(results: Results, network: str, phase: str, base: str) -> str:
    """The same of the seconds that the paper prints: ``1.02``."""
    _, _, n = network.partition("_n")
    other = "cnn" if base == "cnn" or not n else f"strict_n{n}"
    mine, theirs = (results.published("table6", row, phase) for row in (network, other))
    return text.fixed(mine.value / theirs.value, 2) if mine and theirs else ""


def beside(what: Quantity, key: str, title: str) -> Filled:
    """Ours, with a logged number of another network below it, which judges nothing."""

    def fill(place: Place) -> Cell | str:
        known = place.results.published(place.table, place.line.key, key)
        logged = f"logged {known.text}" if known else ""
        if key not in place.line.arms:
            return logged or "-"
        cell = what.cell(place.results, place.where(key))
        note = "\n".join(filter(None, (cell.note, logged)))
        return Cell(cell.text, "", cell.verdict, cell.sample, None, cell.decimals, cell.command, note)

    return Filled(key, title, fill)


def training(results: Results, experiment: str) -> str:
    """Our protocol in one sentence; "" if there are no runs."""
    phrases = (
        *("{dataset}", "{epochs} epochs", "batches of {batch_size}", "{train_images} training images"),
        *("channels {channels}", "pools after {pools}", "{draws} draws of the angles when testing"),
    )
    return protocol.protocol(results, experiment, phrases, read=_recorded)


def _recorded(results: Results, experiment: str, key: str, arm: str | None) -> list[Any]:
    """The values of a setting, lists as texts."""
    found = results.settings(experiment, key, arm)
    return [" and ".join(map(str, one)) if isinstance(one, list) else one for one in found]
