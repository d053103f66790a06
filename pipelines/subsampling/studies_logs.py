"""Tables of what the authors' logs were made with, and of how far ours can be compared with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipelines.subsampling import sampling
from pipelines.subsampling.arms import APPROXIMATE, BIASES, EXACT, NETWORKS, PLAIN, SHORT, TITLES, arm
from pipelines.subsampling.quantities import (
    ALL,
    DIGITS_TESTED,
    HALF_TURN,
    MEAN36,
    NETWORK,
    OTHER_QUARTERS,
    SEEN,
    TURNED_MEAN,
    UPRIGHT,
    logged,
    logged_spread,
    on_digits,
    seed_spread,
)
from pipelines.subsampling.studies import VARIANTS, on_digit_networks, variant
from shared.report import stats, text
from shared.report.build import Filled, Line, Place, Quantity, change, compared, declared, plain, table
from shared.report.results import Results
from shared.report.tables import Cell, Column, Row, Table

#: Epochs after which the logs' validation accuracy is known, and their training accuracy.
VALIDATED, TRAINED = (5, 10, 20, 30, 40, 50), (10, 20, 30, 40, 50)
#: How training digits are turned: ends of keys, titles, experiments.
WAYS = {
    "upright": ("upright", "table1"),
    **{f"biased{std}": (f"N(45, {std}²), one angle per batch", "figure6") for std in BIASES},
}


def _epochs(metric: str, epochs: Sequence[int]) -> tuple[Filled, ...]:
    """A column for each epoch, beside the logs' number; judged is the last one, whose spread is known."""

    def at(epoch: int) -> Filled:
        def fill(place: Place) -> Cell:
            printed = (place.table, place.line.key, str(epoch))
            cell = Quantity(metric, [epoch]).cell(place.results, place.where(), printed)
            return replace(cell, verdict=None) if cell.sample.n else cell

        return Filled(str(epoch), f"Epoch {epoch}", fill)

    last = epochs[-1]
    return (*(at(one) for one in epochs[:-1]), compared(str(last), f"Epoch {last}", Quantity(metric, [last])))


def validation(results: Results) -> Table:
    """Validation accuracy through training, of all trainings that ours and the logs validate alike."""
    columns = (Column("network", "Network and training"), *_epochs("validation_accuracy", VALIDATED))
    lines = [
        Line(arm(network, way), f"{TITLES[network]}, {words}", (experiment, arm(network, way)))
        for way, (words, experiment) in WAYS.items()
        for network in NETWORKS
    ]
    turned = arm(PLAIN, "as_logs")
    lines.append(Line(turned, f"{TITLES[PLAIN]}, U(0, 360), one angle per batch", ("turns", turned)))
    said = on_digits(results, "table1")
    return table(results, "validation", columns, lines, experiment="table1", protocol=said)


def against_logs(key: str, title: str, what: Quantity, row: tuple[str, str, str]) -> Filled:
    """Ours minus the authors' logs, with its interval."""

    def fill(place: Place) -> str:
        return what.cell(place.results, place.where(), row).difference or "-"

    return Filled(key, title, fill)


def turns(results: Results) -> Table:
    """The plain CNN on digits turned in three ways, beside the authors' logs."""
    printed_at, logs = ("table1", PLAIN, "rotmnist"), ("table1", PLAIN, "rotmnist_mean36")
    columns = (
        Column("way", "Angles of the training digits"),
        plain("upright", "Accuracy in % at 0 degrees", UPRIGHT),
        against_logs("upright_logs", "The same, minus the logs' [95 % interval]", UPRIGHT, printed_at),
        TURNED_MEAN,
        MEAN36,
        against_logs("against", "The same, minus the logs' [95 % interval]", ALL, logs),
        plain("half_turn", "0 minus 180 degrees", HALF_TURN),
        Filled(
            "spread",
            "Between seeds: standard deviation, mean over angles",
            lambda place: seed_spread(results, place.where()),
        ),
    )
    ours = on_digit_networks(results, "turns", columns, declared(results, "turns"), network=TITLES[PLAIN])
    places = (printed_at, ("averages", arm(PLAIN, "uniform"), "turned"), logs)
    printed = [results.published(*place) for place in places]
    spread = logged_spread(results, PLAIN, "table1_angles")
    shown = [value.text if value else "-" for value in printed]
    cells = (
        *(shown[0], "-", *shown[1:], "-"),
        logged(results, "table1_angles", PLAIN, HALF_TURN),
        "-" if math.isnan(spread) else text.fixed(spread, 2),
    )
    return replace(ours, rows=(Row("logs", "the authors' logs", cells), *ours.rows))


def shrinking(results: Results) -> Table:
    """P4CNN at 27 pixels on digits that are shrunk in two ways, beside the authors' logs."""
    logs, averages = "The same, minus the logs'", ("averages", arm("p4cnn_27", "upright"), "turned")
    columns = (
        Column("way", "Each pixel of the shrunk digit"),
        plain("upright", "Accuracy in % at 0 degrees", UPRIGHT),
        against_logs("upright_logs", f"{logs} [95 % interval]", UPRIGHT, ("table1", "p4cnn_27", "mnist")),
        TURNED_MEAN,
        against_logs("turned_logs", logs, OTHER_QUARTERS, averages),
        change("turned_change", "The same, minus that of digits interpolated", OTHER_QUARTERS),
        MEAN36,
    )
    lines = declared(results, "shrinking")
    return on_digit_networks(results, "shrinking", columns, lines, network=TITLES["p4cnn_27"])


def corners(results: Results) -> Table:
    """What stands outside the circle: before normalizing black, after it 0; beside the authors' logs."""
    logs = "The same, minus the logs' [95 % interval]"

    def against(key: str, what: Quantity, place: str, ending: str, column: str) -> Filled:
        def fill(at: Place) -> str:
            network = "_".join(at.line.key.split("_")[:2])
            return what.cell(at.results, at.where(), (place, network + ending, column)).difference or "-"

        return Filled(key, logs, fill)

    columns = (
        NETWORK,
        SEEN,
        against("upright_logs", UPRIGHT, "table1", "", "mnist"),
        TURNED_MEAN,
        against("turned_logs", OTHER_QUARTERS, "averages", "_upright", "turned"),
        MEAN36,
        change("change", "Mean over all angles: 0 after normalizing minus black [95 % interval]", ALL),
    )
    words = {"black": "black, as the digits' background", "mean": "0 after normalizing"}
    lines = [
        variant(network, arm(network, fill), said, arm(network, "black"))
        for network in (APPROXIMATE[0], PLAIN)
        for fill, said in words.items()
    ]
    return on_digit_networks(results, "corners", columns, lines)


def dropout(results: Results) -> Table:
    """Training accuracy of the plain CNN by epoch, with dropout after four layers or five."""
    logs = ("dropout", arm(PLAIN, "dropout1345"), "50")
    last = Quantity("train_accuracy", TRAINED[-1:])
    columns = (
        Column("way", "Dropout after the layers"),
        *_epochs("train_accuracy", TRAINED),
        against_logs("against", "Epoch 50 minus the logs' [95 % interval]", last, logs),
        SEEN,
    )
    words = {"1345": "1, 3, 4 and 5 (logs)", "12345": "1 to 5 (text)"}
    lines = [Line(arm(PLAIN, f"dropout{after}"), said) for after, said in words.items()]
    return on_digit_networks(results, "dropout", columns, lines, network=TITLES[PLAIN])


def interpolation(results: Results) -> Table:
    """Test digits turned by nearest neighbors, which the paper says it avoids."""
    lines = [
        variant(network, arm(network, way), f"{way} interpolation", arm(network, "bilinear"))
        for network in (PLAIN, EXACT)
        for way in ("bilinear", "nearest")
    ]
    return on_digit_networks(results, "interpolation", VARIANTS, lines)


# -- the choice of test images -----------------------------------------------------------------------------

#: Test images between quarter turns at the tier paper: what the errors below are for.
DRAWN = 3000


def sampling_errors(results: Results) -> Table:
    """By network and training the standard error of a mean over all angles by the choice of test images."""

    def filled(key: str, title: str, what: str) -> Filled:
        return Filled(key, title, lambda place: _measured(place).get(what, "-"))

    columns = (
        Column("network", "Network and training"),
        plain("accuracy", "Accuracy in %, mean over all angles", ALL),
        filled("correlation", "Correlation between two angles of what is right", "correlation"),
        filled("largest", "Standard error, points: if all angles and seeds were alike", "largest"),
        filled("one", "of one seed, measured", "one"),
        filled("shared", "shared by all seeds, which is what intervals contain", "shared"),
        filled("images", "Measured on", "images"),
    )
    ways = {"upright": "upright", "uniform": "turned digits"} | {way: said for way, (said, _) in WAYS.items()}
    lines = [
        Line(arm(network, way), f"{SHORT[network]}, {words}")
        for way, words in ways.items()
        for network in NETWORKS
    ]
    fields = {"protocol": on_digits(results, "sampling"), "drawn": f"{DRAWN:,}"}
    return table(results, "sampling", columns, lines, **fields)


def _measured(place: Place) -> dict[str, str]:
    """The cells of one line; none without two seeds."""
    right_by_seed = sampling.rights(place.results, place.where()[1])
    if len(right_by_seed) < 2:
        return {}
    means = [sampling.image_means(right) for right in right_by_seed.values()]
    rate = float(np.mean(means))
    covariances = [np.cov(right.to_numpy(float), rowvar=False) for right in right_by_seed.values()]
    off = ~np.eye(len(covariances[0]), dtype=bool)
    pairs = np.mean([covariance[off].mean() / np.diag(covariance).mean() for covariance in covariances])
    errors = {
        "largest": rate * (1 - rate),
        "one": float(np.mean([mean.var(ddof=1) for mean in means])),
        "shared": max(0.0, sampling.shared_covariance(means)),
    }
    shown = {
        key: text.fixed(stats.drawn_error(100 * math.sqrt(variance), DRAWN, DIGITS_TESTED), 2)
        for key, variance in errors.items()
    }
    images = f"{len(means[0])} images, {len(means)} seeds, {place.results.tier(*place.where())}"
    return shown | {"correlation": text.fixed(float(pairs), 2), "images": images}
