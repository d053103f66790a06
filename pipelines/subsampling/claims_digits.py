"""Claims about networks trained upright (S4 to S8, S11) and on turned digits (S12 to S14-angles)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pipelines.subsampling.arms import (
    ANGLES,
    APPROXIMATE,
    EXACT,
    NETWORKS,
    PLAIN,
    QUARTERS,
    SHORT,
    TURNED,
    arm,
)
from pipelines.subsampling.claims_common import (
    MARGIN_ANGLES,
    MARGIN_MEAN,
    MARGIN_PRINTED,
    accuracy,
    beats,
    claimed,
    command,
    one_sample,
    same,
    same_sample,
)
from shared.report.claims import row
from shared.report.results import Results
from shared.report.tables import Row, Sample


def trained_upright(results: Results) -> Iterator[Row]:
    """S4 to S8, and S11."""
    yield _quarter_turns(results)
    statement = (
        "The exact network beats the approximate ones on unseen rotations (accuracy averaged over all "
        "angles, trained upright)"
    )
    pairs = [(EXACT, other, other) for other in APPROXIMATE]
    yield _beats(results, "S5", statement, pairs, training="upright", headline=True)
    statement = (
        "Approximate networks still beat the plain CNN on unseen rotations (averaged over all angles, "
        "trained upright)"
    )
    pairs = [(network, PLAIN, network) for network in APPROXIMATE]
    yield _beats(results, "S6", statement, pairs, training="upright")
    yield _spread(results)
    yield _half_turn(results)


def upright_digits(results: Results) -> Row:
    """S11: the price of exactness on upright digits."""
    statement = "On upright digits, trained upright, the exact network is the worst: every other one beats it"
    pairs = [(other, EXACT, other) for other in (*APPROXIMATE, PLAIN)]
    return _beats(results, "S11", statement, pairs, training="upright", angles=[0])


def trained_on_turned(results: Results) -> Iterator[Row]:
    """S12 to S14; S13 twice, as the paper says it and as its authors' logs do; what follows from the data."""
    yield _same(
        results, "S12", "On RotMNIST as printed (0 degrees only), exact and approximate are identical", [0]
    )
    statement = "On RotMNIST as meant (averaged over all angles), exact and approximate are identical"
    yield _same(results, "S13", statement)
    statement = (
        "What the authors' logs show instead: averaged over all angles, exact beats approximate on RotMNIST"
    )
    pairs = [(EXACT, other, other) for other in APPROXIMATE]
    yield _beats(results, "S13-logs", statement, pairs, training="uniform", key_of_reference="S13")
    pairs = [(network, PLAIN, network) for network in NETWORKS if network != PLAIN]
    statement = "On RotMNIST every p4 network beats the plain CNN"
    yield _beats(results, "S14", f"{statement}, at 0 degrees", pairs, training="uniform", angles=[0])
    yield _beats(results, "S14-mean", f"{statement}, averaged over all angles", pairs, training="uniform")
    yield _no_favored_angle(results)


def _beats(
    results: Results,
    key: str,
    statement: str,
    pairs: Sequence[tuple[str, str, str]],
    *,
    training: str,
    angles: list[float] | None = None,
    key_of_reference: str = "",
    headline: bool = False,
) -> Row:
    """A claim "first beats second" for each (first, second, column of the reference in paper.csv)."""
    parts = [
        beats(
            SHORT[column],
            claimed(results, key_of_reference or key, column),
            accuracy(results, first, training, angles),
            accuracy(results, second, training, angles),
        )
        for first, second, column in pairs
    ]
    return row(key, statement, parts, command=command(results, training, angles), headline=headline)


def _same(results: Results, key: str, statement: str, angles: list[float] | None = None) -> Row:
    margin = MARGIN_PRINTED if angles else MARGIN_MEAN
    parts = [
        same(
            SHORT[other],
            claimed(results, key, other),
            accuracy(results, EXACT, "uniform", angles),
            accuracy(results, other, "uniform", angles),
            margin,
        )
        for other in APPROXIMATE
    ]
    statement = f"{statement} (within {margin} points)"
    return row(key, statement, parts, command=command(results, "uniform", angles))


def _quarter_turns(results: Results) -> Row:
    """S4: approximate networks lose 10 points or more at each quarter turn."""
    parts = []
    for network in APPROXIMATE:
        name = arm(network, "upright")
        sample = results.sample("figure5", name, "accuracy", QUARTERS, _smallest_loss)
        theirs = logged(results, "figure5", network, QUARTERS, _smallest_loss)
        parts.append(one_sample(SHORT[network], theirs, sample, 10.0))
    statement = (
        "Approximate networks trained upright lose at least 10 points at 90, 180 and 270 degrees (the "
        "smallest of the three losses)"
    )
    return row("S4", statement, parts, command=results.command("figure5"))


def _smallest_loss(accuracies: np.ndarray) -> float:
    return float(accuracies[0] - accuracies[1:].max())


def _no_favored_angle(results: Results) -> Row:
    """S14-angles: turned by U(0, 360), the training digits are as many at each angle.

    Initialization, training and a 28-pixel input have the symmetry of the square, so that the accuracy at a
    quarter turn has the same distribution over seeds as at 0 degrees, whatever the network is.
    """

    def change(accuracies: np.ndarray) -> float:
        return float(accuracies[1] - accuracies[0])

    parts = []
    for angle in TURNED:
        sample = results.sample("table1", arm(PLAIN, "uniform"), "accuracy", [0, angle], change)
        theirs = logged(results, "table1_angles", PLAIN, (0, angle), change)
        parts.append(same_sample(f"{angle} degrees", theirs, sample, MARGIN_ANGLES))
    statement = (
        "Trained on turned digits, the plain CNN is as good at each quarter turn as upright (within "
        f"{MARGIN_ANGLES:g} point). The paper does not say so, but it follows from turning them by U(0, 360) "
        "degrees; in the authors' logs it does not hold"
    )
    return row("S14-angles", statement, parts, command=command(results, "uniform"), ours=True)


def _half_turn(results: Results) -> Row:
    """S8: the plain CNN has a local maximum at 180 degrees."""

    def excess(accuracies: np.ndarray) -> float:
        return float(accuracies[1] - max(accuracies[0], accuracies[2]))

    sample = results.sample("figure5", arm(PLAIN, "upright"), "accuracy", TURNED, excess)
    theirs = logged(results, "figure5", PLAIN, TURNED, excess)
    statement = (
        "The plain CNN trained upright is better at 180 degrees than at 90 and at 270 (the better of the two)"
    )
    return row("S8", statement, [one_sample("", theirs, sample)], command=results.command("figure5"))


def deviations(results: Results, network: str) -> Sample:
    """For each seed its distance from the mean over seeds, averaged over angles (Levene's transformation)."""
    curves = results.curves("figure5", arm(network, "upright"), "accuracy").dropna()
    distances = (curves - curves.mean()).abs().mean(axis=1)
    values = {int(seed): float(value) for seed, value in distances.items()}
    return Sample(values, results.tier("figure5", arm(network, "upright")) if values else "")


def logged(
    results: Results,
    table: str,
    network: str,
    angles: Sequence[int],
    reduce: Callable[[np.ndarray], float],
) -> str:
    """A quantity of the authors' mean accuracies at some angles, with its sign; "-" if one is not known."""
    printed = [results.published(table, network, str(angle)) for angle in angles]
    known = [value.value for value in printed if value]
    return f"{reduce(np.array(known)):+.2f}" if len(known) == len(printed) else "-"


def paper_spread(results: Results, network: str, table: str = "figure5") -> float:
    """The authors' standard deviation between seeds, mean over a table's angles; NaN if not known."""
    printed = [results.published(table, network, str(angle)) for angle in ANGLES]
    spreads = [value.spread for value in printed if value and value.spread is not None]
    return sum(spreads) / len(spreads) if spreads else math.nan


def _spread(results: Results) -> Row:
    """S7: approximate networks scatter more between seeds (Levene: Welch on distances from the mean)."""
    exact = deviations(results, EXACT)
    parts = [
        beats(
            SHORT[network],
            f"sd {paper_spread(results, network):.2f} against {paper_spread(results, EXACT):.2f}",
            deviations(results, network),
            exact,
            paired=False,
        )
        for network in APPROXIMATE
    ]
    statement = (
        "Trained upright, approximate networks scatter more between seeds than the exact one (ours: distance "
        "from the mean, Levene's test)"
    )
    return row("S7", statement, parts, command=results.command("figure5"))
