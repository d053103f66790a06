"""The claims of the subsampling paper as tests over seeds (fact sheet, section 8)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from pipelines.subsampling.arms import APPROXIMATE, EXACT, NETWORKS, PLAIN, SHORT, arm
from shared import stats, verdicts
from shared.report import text
from shared.report.claims import Part, effect, reference, row
from shared.report.results import Results, difference
from shared.report.tables import Row, Sample

#: Invariance error up to which a float32 network counts as exact.
FLOAT32 = 1e-5
#: Differences below these (points) count as none; the second must resolve the 0.13 that the logs show.
MARGIN_PRINTED, MARGIN_MEAN = 0.5, 0.1


def rows(results: Results) -> Iterator[Row]:
    """One row per claim, in the order of the fact sheet."""
    yield _toy(results)
    yield _exact(results)
    yield from _trained_upright(results)
    yield from _trained_on_turned(results)


def _trained_upright(results: Results) -> Iterator[Row]:
    """S4 to S11."""
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
    statement = "On upright digits, trained upright, the exact network is the worst: every other one beats it"
    pairs = [(other, EXACT, other) for other in (*APPROXIMATE, PLAIN)]
    yield _beats(results, "S11", statement, pairs, training="upright", steps=[0])


def _trained_on_turned(results: Results) -> Iterator[Row]:
    """S12 to S14; S13 twice, as the paper says it and as its authors' logs do."""
    yield _same(
        results, "S12", "On RotMNIST as printed (0 degrees only), exact and approximate are identical", [0]
    )
    statement = "On RotMNIST as meant (averaged over all angles), exact and approximate are identical"
    yield _same(results, "S13", statement)
    statement = (
        "What the authors' logs show instead: averaged over all angles, exact beats approximate on RotMNIST"
    )
    pairs = [(EXACT, other, other) for other in APPROXIMATE]
    yield _beats(results, "S13-logs", statement, pairs, training="uniform", table_row="S13")
    pairs = [(network, PLAIN, network) for network in NETWORKS if network != PLAIN]
    statement = "On RotMNIST every p4 network beats the plain CNN"
    yield _beats(results, "S14", f"{statement}, at 0 degrees", pairs, training="uniform", steps=[0])
    yield _beats(results, "S14-mean", f"{statement}, averaged over all angles", pairs, training="uniform")


def _accuracy(results: Results, network: str, training: str, steps: list[float] | None) -> Sample:
    experiment = "figure5" if training == "upright" and steps is None else "table1"
    return results.sample(experiment, arm(network, training), "accuracy", steps)


def _command(results: Results, training: str, steps: list[float] | None) -> str:
    return results.command("figure5" if training == "upright" and steps is None else "table1")


def _beats(
    results: Results,
    key: str,
    statement: str,
    pairs: list[tuple[str, str, str]],
    *,
    training: str,
    steps: list[float] | None = None,
    table_row: str = "",
    headline: bool = False,
) -> Row:
    """A claim "first beats second" for each (first, second, column of the reference in paper.csv)."""
    parts = []
    for first, second, column in pairs:
        samples = [_accuracy(results, network, training, steps) for network in (first, second)]
        found = difference(*samples)
        verdict = _judge(found, samples, lambda d, tier: verdicts.beats(d, tier=tier))
        parts.append(effect(SHORT[column], _reference(results, table_row or key, column), found, verdict))
    return row(key, statement, parts, command=_command(results, training, steps), headline=headline)


def _same(results: Results, key: str, statement: str, steps: list[float] | None = None) -> Row:
    margin = MARGIN_PRINTED if steps else MARGIN_MEAN
    parts = []
    for other in APPROXIMATE:
        samples = [_accuracy(results, network, "uniform", steps) for network in (EXACT, other)]
        found = difference(*samples)
        verdict = _judge(found, samples, lambda d, tier: verdicts.same(d, margin=margin, tier=tier))
        parts.append(effect(SHORT[other], _reference(results, key, other), found, verdict))
    return row(
        key, f"{statement} (within {margin} points)", parts, command=_command(results, "uniform", steps)
    )


def _judge(
    found: stats.Difference | None,
    samples: list[Sample],
    rule: Callable[[stats.Difference, str], verdicts.Verdict],
) -> verdicts.Verdict:
    """The verdict of ``rule``, or why there is none: an arm without runs, or with too few."""
    tier = verdicts.shortest([sample.tier for sample in samples])
    if not all(sample.n for sample in samples):
        return verdicts.Verdict(verdicts.NOT_RUN)
    if found is None:
        return verdicts.few(min(sample.n for sample in samples), tier)
    return rule(found, tier)


def _reference(results: Results, key: str, column: str) -> str:
    return reference(results.published("claims", key, column))


def _one_sample(label: str, known: str, sample: Sample, threshold: float) -> Part:
    """A part about one number per seed, such as a gap within one network."""
    found = stats.one_sample(sample.numbers) if sample.n > 1 else None
    verdict = _judge(found, [sample], lambda d, tier: verdicts.beats(d, threshold=threshold, tier=tier))
    return effect(label, known, found, verdict)


def _toy(results: Results) -> Row:
    """S2: at 32 pixels the toy learns to tell the two samples apart, at 33 it cannot."""
    parts = []
    for name, label in (("toy_32", "32 pixels"), ("toy_33", "33 pixels")):
        loss = results.last("figure3", name, "loss")
        lowest = results.sample("figure3", name, "loss", reduce=np.min)
        gap = results.sample("figure3", name, "logit_gap", reduce=np.max)
        accuracy = results.sample("figure3", name, "accuracy")
        if name == "toy_32":
            bounds = [
                verdicts.within(loss.numbers, most=0.01, tier=loss.tier),
                verdicts.within(accuracy.numbers, least=100, tier=loss.tier),
            ]
        else:
            bounds = [
                verdicts.within(loss.numbers, most=math.log(2) + 1e-3, tier=loss.tier),
                verdicts.within(lowest.numbers, least=math.log(2) - 1e-3, tier=loss.tier),
                verdicts.within(gap.numbers, most=1e-6, tier=loss.tier),
            ]
        ours = ""
        if loss.n:
            worst = max(loss.numbers, key=lambda value: abs(value - (0 if name == "toy_32" else math.log(2))))
            ours = f"loss {text.fixed(worst, 4)}"
            ours += f", gap {text.scientific(max(gap.numbers))}" if name == "toy_33" else ""
        known = "tells them apart" if name == "toy_32" else "cannot"
        parts.append(Part(label, known, ours, verdicts.every(bounds)))
    statement = (
        "One p4 filter with stride 2 learns to tell an image from its quarter turn at 32 pixels (loss below "
        "0.01, all correct); at 33 the loss stays at ln 2 and the logits agree to 1e-6 at every step"
    )
    return row("S2", statement, parts, command=results.command("figure3"))


def _exact(results: Results) -> Row:
    """S3 and S18: the exact network is invariant to float32 accuracy, before and after training."""
    parts = []
    for training, label in (("upright", "upright"), ("uniform", "turned")):
        errors = results.sample("table1", arm(EXACT, training), "invariance_error", reduce=np.max)
        ours = text.scientific(max(errors.numbers)) if errors.n else ""
        bound = verdicts.within(errors.numbers, most=FLOAT32, tier=errors.tier)
        parts.append(Part(label, "exact", ours, bound))
    statement = (
        "The exact network is invariant to quarter turns before and after training: the logits change by at "
        f"most {FLOAT32:g} of their size in every run. So its accuracy at a and a + 90 degrees is equal (S3)"
    )
    return row("S18", statement, parts, command=results.command("table1"))


def _quarter_turns(results: Results) -> Row:
    """S4: approximate networks lose 10 points or more at each quarter turn."""
    parts = []
    for network in APPROXIMATE:
        sample = results.sample(
            "figure5", arm(network, "upright"), "accuracy", [0, 90, 180, 270], _smallest_loss
        )
        printed = [results.published("figure5", network, str(angle)) for angle in (0, 90, 180, 270)]
        known = [value.value for value in printed if value]
        theirs = f"{_smallest_loss(np.array(known)):+.2f}" if len(known) == 4 else "-"
        parts.append(_one_sample(SHORT[network], theirs, sample, 10.0))
    statement = (
        "Approximate networks trained upright lose at least 10 points at 90, 180 and 270 degrees (the "
        "smallest of the three losses)"
    )
    return row("S4", statement, parts, command=results.command("figure5"))


def _smallest_loss(accuracies: np.ndarray) -> float:
    return float(accuracies[0] - accuracies[1:].max())


def _half_turn(results: Results) -> Row:
    """S8: the plain CNN has a local maximum at 180 degrees."""

    def excess(accuracies: np.ndarray) -> float:
        return float(accuracies[1] - max(accuracies[0], accuracies[2]))

    sample = results.sample("figure5", arm(PLAIN, "upright"), "accuracy", [90, 180, 270], excess)
    printed = [results.published("figure5", PLAIN, str(angle)) for angle in (90, 180, 270)]
    known = [value.value for value in printed if value]
    theirs = f"{excess(np.array(known)):+.2f}" if len(known) == 3 else "-"
    statement = (
        "The plain CNN trained upright is better at 180 degrees than at 90 and at 270 (the better of the two)"
    )
    return row("S8", statement, [_one_sample("", theirs, sample, 0.0)], command=results.command("figure5"))


def deviations(results: Results, network: str) -> Sample:
    """For each seed its distance from the mean over seeds, averaged over angles (Levene's transformation)."""
    curves = results.curves("figure5", arm(network, "upright"), "accuracy").dropna()
    distances = (curves - curves.mean()).abs().mean(axis=1)
    values = {int(seed): float(value) for seed, value in distances.items()}
    return Sample(values, results.tier("figure5", arm(network, "upright")) if values else "")


def paper_spread(results: Results, network: str) -> float:
    """The paper's standard deviation between seeds, mean over the angles of Figure 5; NaN if not known."""
    printed = [results.published("figure5", network, str(angle)) for angle in range(0, 360, 10)]
    spreads = [value.spread for value in printed if value and value.spread is not None]
    return sum(spreads) / len(spreads) if spreads else math.nan


def _spread(results: Results) -> Row:
    """S7: approximate networks scatter more between seeds (Levene: Welch on distances from the mean)."""
    parts = []
    exact = deviations(results, EXACT)
    for network in APPROXIMATE:
        other = deviations(results, network)
        known = f"sd {paper_spread(results, network):.2f} against {paper_spread(results, EXACT):.2f}"
        found = None
        if min(exact.n, other.n) > 1:
            found = stats.welch(other.numbers, exact.numbers)
        verdict = _judge(found, [exact, other], lambda d, tier: verdicts.beats(d, tier=tier))
        parts.append(effect(SHORT[network], known, found, verdict))
    statement = (
        "Trained upright, approximate networks scatter more between seeds than the exact one (ours: distance "
        "from the mean, Levene's test)"
    )
    return row("S7", statement, parts, command=results.command("figure5"))
