"""The claims of the paper as tests over seeds (fact sheet, section 10), and ours after them.

A claim of the paper is judged by runs of its protocol alone; where only the direction counts, and training
length does not give it, by runs of any recorded protocol (`at_lite`), and so are ours.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from pipelines.regular_latent import claims_ours
from pipelines.regular_latent.claims_ours import alike, compare_alike
from pipelines.regular_latent.protocols import VOLUMES as SUBSETS
from pipelines.regular_latent.quantities import ACCURACY, PARAMETERS, RMSE, VOLUMES_ACCURACY, slower
from pipelines.regular_latent.systems import (
    DIGITS,
    FLOWS,
    GROUPS,
    VOLUMES,
    counted4,
    counted5,
    counted6,
    narrow4,
    one_rate4,
    where4,
    where5,
    where6,
)
from pipelines.regular_latent.tables_exploration import (
    BETWEEN,
    DISTANCE,
    DISTANCE_BEFORE,
    EXPLORATIONS,
    LATENT_LOSS,
    LATENT_SQUARE,
    LEARNED,
    NULL,
    OUTPUT_LOSS,
    TASK_LOSS,
    Exploration,
    alone_as_long,
    distances,
    ratio,
    residual,
)
from shared.report import text, verdicts
from shared.report.build import Where
from shared.report.claims import Pair, Part, Rule, above, bound, claim, compare, part
from shared.report.results import Results
from shared.report.tables import Row, Sample, per_seed

#: The rule "the first is better than the second", whatever the protocol of both.
BETTER = above()
#: R1: counts that differ by so much are approximately equal; R2: distance from 1 : 1 : 2 that is small.
EQUAL, ACCURATE = 2.0, 0.1
#: R5: residuals that are low; latent losses, by the mean square of the vectors; output losses, by the task's.
EXACT, LATENT, OUTPUT = 0.01, 0.05, 2.0
#: R6: how far counts of the cube roots are from even, and eigenvalues from the roots.
EVEN, NEAR = 1.0, 0.2
#: R12, R22: what is comparable in accuracy; R17, R22: what is little in error; R20: what is marginal.
COMPARABLE, LITTLE, MARGINAL = 0.005, 0.05, 0.005
#: R18: times as long as another system's that a training step may take, for noise.
COSTLIER = 1.05
#: R23: frame at which sides of the inflow are compared.
FRAME = 100
#: R4: starts away from the regular representation, by their arms.
STARTS = {"far": "from far away", "identity": "from the identity"}


def rows(results: Results) -> Iterator[Row]:
    """One row per claim, in the order of the fact sheet; ours after them."""
    yield from explored(results)
    yield from digits(results)
    yield from volumes(results)
    yield from flows(results)
    yield from of_all(results)
    yield from claims_ours.rows(results)


# -- R1 to R7: what is learned -----------------------------------------------------------------------------


def explored(results: Results) -> Iterator[Row]:
    """R1 to R7."""
    c2, d3, c4 = EXPLORATIONS
    yield _every_run(results, "R1", c2, EQUAL / 2, "5 of 5 runs", equal=f"{EQUAL:g}")
    yield _every_run(results, "R2", d3, ACCURATE, "3 of 5 runs", accurate=f"{ACCURATE:g}")
    yield _every_run(results, "R3", c4, 0.0, "3 of 5 runs")
    parts = [one for exploration in EXPLORATIONS for one in _preference(results, exploration)]
    yield claim(results, "R4", parts, "table1", at_lite=True)
    parts = [found for one in EXPLORATIONS for found in _low(results, one)]
    fields = {"exact": EXACT, "latent": LATENT, "output": OUTPUT, "accurate": ACCURATE}
    yield claim(results, "R5", parts, "table1", **{name: f"{value:g}" for name, value in fields.items()})
    yield claim(results, "R6", _gathered(results, d3), "table2", even=f"{EVEN:g}", near=f"{NEAR:g}")
    yield claim(results, "R7", _regularized(results), "table1_controls", at_lite=True)


def _every_run(results: Results, key: str, one: Exploration, most: float, known: str, **fields: str) -> Row:
    """Each run's counts come so near to those of the regular representation."""
    sample = DISTANCE.of(results, (one.name, LEARNED))
    shown = "largest distance " + text.significant(max(sample.numbers), 3) if sample.n else ""
    found = bound("", known, sample, most=most, form=lambda _: shown)
    return claim(results, key, [found], one.name, **fields)


def _preference(results: Results, one: Exploration) -> list[Part]:
    """Learned representations are nearer to regular than the null's, and move there from far away."""
    learned, controls, null = one.experiments
    theirs = distances(results, one)
    known = f"distance {sum(theirs) / len(theirs):.2f}; no null"
    parts = []
    for label, said, alone, networks in (
        ("distance of the null - learned", known, (null, NULL), (learned, LEARNED)),
        ("the same without regularizing term", "-", (null, f"{NULL}_no_omega"), (controls, "no_omega")),
    ):
        samples = [alone_as_long(results, alone, networks), DISTANCE.of(results, networks)]
        parts.append(part(f"{one.group}: {label}", said, samples, BETTER, paired=False))
    for arm, start in STARTS.items():
        networks, alone = (controls, arm), (null, arm)
        moved = [
            DISTANCE_BEFORE.of(results, networks) - DISTANCE.of(results, networks),
            DISTANCE_BEFORE.of(results, alone) - alone_as_long(results, alone, networks),
        ]
        parts.append(part(f"{one.group}: nearer {start}", "-", moved[:1], BETTER))
        parts.append(part(f"{one.group}: and more so than the null", "-", moved, BETTER, paired=False))
    return parts


def _low(results: Results, one: Exploration) -> list[Part]:
    """Losses of each run at the end of training."""
    where = (one.name, LEARNED)
    limits = [
        (f"residual of {word}", residual(name).of(results, where), EXACT)
        for name, word in one.relators.items()
    ]
    limits.append(("L3 / mean square", ratio(results, where, LATENT_LOSS, LATENT_SQUARE), LATENT))
    limits.append(("L2 / L1", ratio(results, where, OUTPUT_LOSS, TASK_LOSS), OUTPUT))
    if not one.rounded:
        limits.append(("from whole numbers", BETWEEN.of(results, where), ACCURATE))
    return [bound(f"{one.group}: {label}", "lost", sample, most=most) for label, sample, most in limits]


def _gathered(results: Results, d3: Exploration) -> list[Part]:
    """Eigenvalues of the rotation's matrix: evenly at the cube roots at the end, unevenly at the start."""
    where = (d3.name, LEARNED)
    uneven = [
        per_seed(
            lambda *counts: max(abs(count - sum(counts) / len(counts)) for count in counts),
            *(results.sample(*where, f"{prefix}root_{k}") for k in range(3)),
        )
        for prefix in ("start_", "")
    ]
    return [
        bound("counts from even", "figure 4", uneven[1], most=EVEN),
        bound("eigenvalues from the roots", "figure 4", _stray(results, where), most=NEAR),
        part("counts from even: start - end", "figure 4", uneven, BETTER),
    ]


def _stray(results: Results, where: Where) -> Sample:
    """By seed the largest distance of an eigenvalue from the nearest cube root of unity."""
    real, imaginary = (results.curves(*where, f"eigenvalue_{name}") for name in ("real", "imag"))
    if not len(real):
        return Sample()
    values = real.to_numpy() + 1j * imaginary.to_numpy()
    roots = np.exp(2j * np.pi * np.arange(3) / 3)
    found = np.abs(values[..., None] - roots).min(-1).max(-1)
    return Sample(dict(zip(map(int, real.index), found.tolist())), results.tier(*where))


def _regularized(results: Results) -> list[Part]:
    """With the regularizing term, less of what it is said to lower or to steady; in decades."""

    def final(metric: str) -> Callable[[Where], Sample]:
        return lambda where: results.sample(*where, metric).map(math.log10)

    checked = (
        ("table1", "C2: algebra loss", final("algebra_loss")),
        ("table1", "C2: rises of the loss", partial(_rises, results)),
        ("table2", "D3: latent to output", final("output_loss")),
        ("table3", "C4: rises of the loss", partial(_rises, results)),
    )
    parts = []
    for name, label, measured in checked:
        samples = [measured(where) for where in ((f"{name}_controls", "no_omega"), (name, LEARNED))]
        found = part(f"{label}: without - with, decades", "lower with it", samples, BETTER)
        parts.append(alike(found, samples))
    return parts


def _rises(results: Results, where: Where) -> Sample:
    """By seed how much the validation loss rises from an epoch to the next, on average, in decades."""
    losses = results.curves(*where, "validation_loss")
    if losses.empty:
        return Sample()
    rises = np.diff(np.log10(losses.to_numpy()), axis=1).clip(0)  # nan behind the end of a training
    means = np.nansum(rises, 1) / np.isfinite(rises).sum(1).clip(1)
    return Sample(dict(zip(map(int, losses.index), means.tolist())), results.tier(*where))


# -- R8 to R11: DDMNIST ------------------------------------------------------------------------------------


def digits(results: Results) -> Iterator[Row]:
    """R8 to R11."""
    yield claim(results, "R8", _sizes(results), "one_rate")
    margins = [one for model in DIGITS if model != "ours" for one in _margins4(results, model)]
    yield claim(results, "R9", compare(results, ACCURACY, BETTER, margins, 3), "table4")
    parts = compare(results, ACCURACY, BETTER, _margins4(results, "cnn"), 3)
    yield claim(results, "R10", parts, "table4", headline=True)
    smaller = [
        _fewer(results, f"{group}: {title}", counted4(model, group), counted4("ours", group))
        for model, title in DIGITS.items()
        if model not in ("ours", "cnn")
        for group in GROUPS
    ]
    smaller += [
        _fewer(results, f"MedMNIST3D: {title} {group}", counted5(key), counted5("ours"))
        for key, (title, group, _) in VOLUMES.items()
        if group not in ("-", "S4")
    ]
    yield claim(results, "R11", smaller, "networks")


def _margins4(results: Results, model: str) -> list[Pair]:
    """The method beside another system of Table 4, with the printed margin."""
    return [
        (
            f"{group}: ours - {DIGITS[model]}",
            where4("ours", group),
            where4(model, group),
            _margin(results, "table4", "ours", model, group),
        )
        for group in GROUPS
    ]


def _margin(results: Results, table: str, first: str, second: str, column: str, decimals: int = 3) -> str:
    """First minus second of two printed numbers."""
    known = [results.published(table, row, column) for row in (first, second)]
    return text.signed(known[0].value - known[1].value, decimals) if all(known) else "-"  # type: ignore[union-attr]


def counted(label: str, known: str, shown: str, true: Sample) -> Part:
    """A part in which there is no chance: whether something derived from counts is so (1) or not (0)."""
    return Part(label, known, shown if true.n else "", verdicts.exactly(true.numbers, 1.0, tier=true.tier))


def _count(results: Results, where: Where) -> Sample:
    return PARAMETERS.of(results, where)


def _compared(label: str, known: str, results: Results, first: Where, second: Where, true: object) -> Part:
    samples = [_count(results, where) for where in (first, second)]
    held = per_seed(lambda a, b: float(true(a, b)), *samples)  # type: ignore[operator]
    shown = " and ".join(text.thousands(sample.numbers[0]) for sample in samples if sample.n)
    return counted(label, known, shown, held)


def _fewer(results: Results, label: str, other: Where, mine: Where) -> Part:
    return _compared(label, "more than ours", results, other, mine, operator.gt)


def _sizes(results: Results) -> list[Part]:
    """R8: the method has the parameters of its baseline, as they were trained."""
    pairs = {f"DDMNIST, {group}": (one_rate4("ours", group), one_rate4("cnn", group)) for group in GROUPS}
    pairs["SMOKE"] = (where6("ours"), where6("cnn"))
    return [_compared(label, "the same", results, *where, operator.eq) for label, where in pairs.items()]


# -- R12 to R14: MedMNIST3D; R15 to R17: SMOKE -------------------------------------------------------------


def volumes(results: Results) -> Iterator[Row]:
    """R12 to R14."""

    def pairs(key: str, data: Sequence[str]) -> list[Pair]:
        return [
            (
                f"{SUBSETS[one]}: ours - {_named(VOLUMES, key)}",
                where5("ours", one),
                where5(key, one),
                _margin(results, "table5", "ours", key, one),
            )
            for one in data
        ]

    comparable = above(-COMPARABLE)
    both = [pair for key in VOLUMES if key != "ours" for pair in pairs(key, ("nodule", "synapse"))]
    fields = {"comparable": f"{COMPARABLE:g}"}
    parts = compare(results, VOLUMES_ACCURACY, comparable, both, 3)
    yield claim(results, "R12", parts, "table5_nodule", **fields)
    known = _margin(results, "table5", "cnn", "cnn_augmented", "organ")
    plain = ("CNN - CNN, augmented", where5("cnn", "organ"), where5("cnn_augmented", "organ"), known)
    best = (
        "RPP O(3) - ours",
        where5("rpp_O3", "organ"),
        where5("ours", "organ"),
        _margin(results, "table5", "rpp_O3", "ours", "organ"),
    )
    parts = compare(results, VOLUMES_ACCURACY, BETTER, [best, plain], 3)
    yield claim(results, "R13", parts, "table5_organ")
    parts = compare(results, VOLUMES_ACCURACY, BETTER, pairs("cnn_augmented", ("organ",)))
    yield claim(results, "R14", parts, "table5_organ")


def _named(systems: dict[str, tuple[str, str, str]], key: str) -> str:
    """``RPP SO(3)``, ``CNN, augmented``, ``ours``."""
    if key == "ours":
        return key
    title, group, _ = systems[key]
    return f"{title}, augmented" if key == "cnn_augmented" else title if group == "-" else f"{title} {group}"


def flows(results: Results) -> Iterator[Row]:
    """R15 to R17; smaller errors are better."""

    def lower(first: str, second: str, rule: Rule) -> list[Part]:
        parts = []
        for key, (title, what) in RMSE.items():
            pair = (
                f"{title}: {_named(FLOWS, second)} - {_named(FLOWS, first)}",
                where6(second),
                where6(first),
                _margin(results, "table6", second, first, key, 2),
            )
            parts += compare(results, what, rule, [pair])
        return parts

    worse = [key for key in FLOWS if key not in ("ours", "pscnn")]
    yield claim(results, "R15", [one for key in worse for one in lower("ours", key, BETTER)], "table6")
    larger = _compared(
        "parameters", "12.6 times", results, counted6("pscnn"), counted6("ours"), lambda a, b: a > 12 * b
    )
    yield claim(results, "R16", [*lower("pscnn", "ours", BETTER), larger], "table6")
    little = above(-LITTLE)
    yield claim(results, "R17", lower("cnn", "cnn_augmented", little), "table6", little=f"{LITTLE:g}")


# -- R18 to R23: of all ------------------------------------------------------------------------------------


def of_all(results: Results) -> Iterator[Row]:
    """R18 to R23."""
    costs = []
    for model, title in DIGITS.items():
        if model != "ours":
            times = _times(results, model)
            found = part("", "", [times.map(lambda ratio: COSTLIER - ratio)], BETTER)
            shown = f"{times.summary.mean:.2f} times" if times.n else ""
            costs.append(replace(found, label=f"D1: ours / {title}", reference="not more", ours=shown))
    yield claim(results, "R18", costs, "table4", at_lite=True, costlier=f"{COSTLIER:g}")
    ratios = {
        "DDMNIST": [(counted4(model, g), counted4("cnn", g)) for model in DIGITS for g in GROUPS],
        "MedMNIST3D": [(counted5(key), counted5("cnn")) for key in VOLUMES],
        "SMOKE": [(counted6(key), counted6("cnn")) for key in FLOWS],
    }
    yield claim(results, "R19", [_many(results, *one) for one in ratios.items()], "networks")
    pairs = [
        (f"{group}: {DIGITS[model]}, 66 - 48", where4(model, group), narrow4(model, group), "marginal")
        for model in DIGITS
        if model not in ("cnn", "ours")
        for group in GROUPS
    ]
    rule = above(-MARGINAL)
    parts = compare_alike(results, ACCURACY, rule, pairs)
    yield claim(results, "R20", parts, "filters", marginal=f"{MARGINAL:g}")
    rates = ("D1: 0.001 - 0.0005", *(one_rate4("cnn", "D1", rate) for rate in ("", "_slow")), "stronger")
    yield claim(results, "R21", compare(results, ACCURACY, BETTER, [rates], 3), "one_rate")
    yield _mostly(results)
    yield claim(results, "R23", _asymmetry(results), "smoke_data", frame=f"{FRAME:g}")


def _times(results: Results, model: str) -> Sample:
    """How many times as long ours trains on a pair of D1 as another system, both of one protocol."""
    plain = one_rate4("cnn", "D1") if model == "cnn" else where4(model, "D1")
    both = (where4("ours", "D1"), where4(model, "D1")), (one_rate4("ours", "D1"), plain)
    found = (slower(results, *pair) for pair in both)
    return next((times for times in found if times.n), Sample())


def _many(results: Results, data: str, pairs: Sequence[tuple[Where, Where]]) -> Part:
    """The largest system has five times the parameters of the baseline, or more."""
    ratios = [per_seed(operator.truediv, *(_count(results, where) for where in pair)) for pair in pairs]
    known = [one for one in ratios if one.n]
    if not known:
        return counted(data, "5 to 20 times", "", Sample())
    largest = max(known, key=lambda one: one.numbers[0])
    shown = f"{largest.numbers[0]:.1f} times"
    return counted(data, "5 to 20 times", shown, largest.map(lambda ratio: float(ratio >= 5)))


def _mostly(results: Results) -> Row:
    """R22: in how many of the eight cases ours is the best or comparable to it."""
    cases: list[list[Part]] = []
    for group in GROUPS:
        pairs = [one for model in DIGITS if model != "ours" for one in _margins4(results, model)]
        pairs = [pair for pair in pairs if pair[0].startswith(group)]
        cases.append(compare(results, ACCURACY, above(-COMPARABLE), pairs))
    for data in SUBSETS:
        pairs = [(data, where5("ours", data), where5(key, data), "") for key in VOLUMES if key != "ours"]
        cases.append(compare(results, VOLUMES_ACCURACY, above(-COMPARABLE), pairs))
    for what in RMSE.values():
        pairs = [("", where6(key), where6("ours"), "") for key in FLOWS if key != "ours"]
        cases.append(compare(results, what[1], above(-LITTLE), pairs))
    found = [verdicts.every([one.verdict for one in case]) for case in cases]
    good = sum(verdict.status == verdicts.REPRODUCED for verdict in found)
    joined = verdicts.every(found)
    shown = ""
    if joined.status not in (None, verdicts.NOT_RUN):
        status = verdicts.REPRODUCED if good > len(found) / 2 else joined.status
        shown = f"{good} of {len(found)} cases"
        joined = replace(joined, status=status, p=None, effect=None, method="majority", reason=shown)
    fields = {"comparable": f"{COMPARABLE:g}", "little": f"{LITTLE:g}"}
    return claim(results, "R22", [Part("", "7 of 8 cases", shown, joined)], "table4", **fields)


def _asymmetry(results: Results) -> list[Part]:
    """R23: a turned set-up gives the turned flow, but the data's sides are not turns of each other."""
    parts = []
    for metric, step, label, true in (
        ("shifted_error", 1, "turned set-up, first frame", lambda error: error < 1e-3),
        ("side_error", FRAME, "opposite sides", lambda error: error > 0.05),
    ):
        sample = results.sample("smoke_data", "simulations", metric, [step])
        shown = f"relative error {text.scientific(sample.summary.mean)}" if sample.n else ""
        holds = sample.map(lambda error, true=true: float(true(error)))
        parts.append(counted(label, "approximately", shown, holds))
    return parts
