"""What the claims of the subsampling paper are made from: samples of accuracy, and how a part is judged."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipelines.subsampling.arms import BIAS_EXPERIMENTS, FIGURE4, REDUCED, TABLE2, arm
from shared import stats, verdicts
from shared.report import text
from shared.report.claims import Part, Rule, effect, judge, reference
from shared.report.results import Results, difference
from shared.report.tables import Sample

#: Invariance error up to which a float32 network counts as exact.
FLOAT32 = 1e-5
#: Differences below these (points) count as none; the second must resolve the 0.13 that the logs show.
MARGIN_PRINTED, MARGIN_MEAN = 0.5, 0.1
#: The same between test angles of a plain network, whose accuracies scatter more.
MARGIN_ANGLES = 1.0


def experiment_of(training: str, angles: Sequence[float] | None) -> str:
    """Where a training is found: Figure 5 has every angle of upright training, Table 1 the rest."""
    if training.startswith("biased"):
        return next(name for name, ending in reversed(BIAS_EXPERIMENTS.items()) if training.endswith(ending))
    return "figure5" if training == "upright" and angles is None else "table1"


def accuracy(results: Results, network: str, training: str, angles: Sequence[float] | None = None) -> Sample:
    """Accuracy of a network on digits by seed, mean over the angles (all if None)."""
    return results.sample(experiment_of(training, angles), arm(network, training), "accuracy", angles)


def command(results: Results, training: str, angles: Sequence[float] | None = None) -> str:
    """What computes `accuracy`."""
    return results.command(experiment_of(training, angles))


def beats(label: str, known: str, first: Sample, second: Sample, *, paired: bool = True) -> Part:
    """A part "first beats second"; paired by seed where both ran the same seeds, unless told otherwise."""
    found = difference(first, second)
    if found is not None and not paired:
        found = stats.welch(first.numbers, second.numbers)
    verdict = judge(found, (first, second), lambda d, tier: verdicts.beats(d, tier=tier))
    return effect(label, known, found, verdict)


def same(label: str, known: str, first: Sample, second: Sample, margin: float) -> Part:
    """A part "first and second differ by less than ``margin``"."""
    found = difference(first, second)
    verdict = judge(found, (first, second), lambda d, tier: verdicts.same(d, margin=margin, tier=tier))
    return effect(label, known, found, verdict)


def one_sample(label: str, known: str, sample: Sample, threshold: float = 0.0) -> Part:
    """A part about one number per seed, such as a gap within one network: its mean is above the threshold."""
    return _one_number(
        label, known, sample, lambda d, tier: verdicts.beats(d, threshold=threshold, tier=tier)
    )


def same_sample(label: str, known: str, sample: Sample, margin: float) -> Part:
    """A part about one number per seed: its mean is smaller than ``margin`` in size."""
    return _one_number(label, known, sample, lambda d, tier: verdicts.same(d, margin=margin, tier=tier))


def _one_number(label: str, known: str, sample: Sample, rule: Rule) -> Part:
    found = stats.one_sample(sample.numbers) if sample.n > 1 else None
    return effect(label, known, found, judge(found, [sample], rule))


def bound(
    label: str, known: str, sample: Sample, *, least: float = -math.inf, most: float = math.inf
) -> Part:
    """A part "every run lies in these bounds"; shown is the value furthest from a bound of the other side."""
    worst = max if math.isfinite(most) else min
    ours = text.scientific(worst(sample.numbers)) if sample.n else ""
    return Part(label, known, ours, verdicts.within(sample.numbers, least=least, most=most, tier=sample.tier))


def claimed(results: Results, key: str, column: str) -> str:
    """The paper's effect of a claim, as paper.csv has it."""
    return reference(results.published("claims", key, column))


def figure4_source(results: Results) -> tuple[str, tuple[str, str]]:
    """What stands in for Figure 4's data: experiment and arms (approximate, exact).

    ResNet-44 on CIFAR-10 where it was run, else ResNet-8.
    """
    if not results.tier("figure4", FIGURE4[0]) and results.tier("table2_reduced", REDUCED[0]):
        return "table2_reduced", (REDUCED[0], REDUCED[1])
    return "figure4", FIGURE4


def figure4_paper(experiment: str) -> tuple[str, str]:
    """Arms (approximate, exact) of one of `FIGURE4_PANELS`."""
    approximate, exact, _ = TABLE2[experiment.removeprefix("table2_")]
    return approximate, exact
