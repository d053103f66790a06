"""Tables of ours: steps from strict to relaxed, switches, draws of angles, learned omega', exact facts."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from pipelines.soft_equivariance import arms
from pipelines.soft_equivariance.quantities import (
    ACCURACY,
    COUNT,
    DRAWS,
    RANGE,
    VALIDATION,
    size,
    training,
)
from shared.report import text
from shared.report.build import Filled, Line, Place, Quantity, change, declared, plain, table, words
from shared.report.claims import Part, bound
from shared.report.results import Results
from shared.report.tables import Cell, Column, Sample, Table, measured

NETWORK = Column("network", "Network")
STEPS = {data: f"steps_{data}" for data in arms.DATASETS}
#: What the steps add up to: arm, arm that it is compared with, title.
SUMS = (
    ("relative", "strict", "1a to 1d together: everything but the relaxation"),
    ("soft", "relative", "the relaxation: the clean comparison"),
    ("soft", "strict", "relaxed - strict, as compared in the paper"),
)
#: Those that there are with 8 angles, on each kind of data: arms of `table2_n8`.
EIGHT = (
    ("strict_taps_n8", "strict_n8", "1a"),
    ("relative_n8", "strict_taps_n8", "1b to 1d"),
    *((f"{one}_n8", f"{other}_n8", title) for one, other, title in SUMS),
)
#: Turns by which untrained networks with frozen whole frequencies are tried, and these frequencies.
TURNS, WHOLE = (90, 180, 270), (0, 1, 2, 3, 4, 6, 8, 12, 16)
#: Relative residuals up to which a statement is exact, and from which a symmetry is broken.
EXACT, BROKEN = 1e-9, 1e-2


# -- steps and switches ------------------------------------------------------------------------------------


def steps(results: Results) -> Table:
    """Strict becomes relaxed, one switch at a time, with the paired difference of each step."""
    columns = (
        NETWORK,
        plain("accuracy", "Test accuracy, %", ACCURACY),
        _step("step", "Change by the step [95 % interval]", ACCURACY),
        _step("validation", "On the validation images", VALIDATION),
        COUNT,
    )
    lines = []
    for data, experiment in STEPS.items():
        for line in declared(results, experiment):
            base = line.arms or {"base": (experiment, line.key)}
            lines.append(
                replace(line, key=f"{data}_{line.key}", title=f"{arms.DATA[data]}: {line.title}", arms=base)
            )
        for first, second, title in SUMS:
            key, place = f"{data}_{first}_{second}", {"base": (experiment, second)}
            lines.append(Line(key, f"{arms.DATA[data]}: {title}", (experiment, first), place))
    for data in arms.DATASETS:
        for first, second, title in EIGHT:
            one, other = (("table2_n8", f"{name}_{data}") for name in (first, second))
            label = f"{arms.DATA[data]}, n = 8: {title}"
            lines.append(Line(f"{data}_{first}_{second}", label, one, {"base": other}))
    shown = next((one for one in STEPS.values() if len(results.frame(one))), STEPS["cifar10"])
    return table(results, "steps", columns, lines, experiment=shown, protocol=training(results, shown))


def _step(key: str, title: str, what: Quantity) -> Filled:
    """The paired difference of a step with its interval; of a single seed the difference alone."""
    several = change(key, title, what)

    def fill(place: Place) -> str:
        first, second = (what.of(place.results, where) for where in (place.where(), place.where("base")))
        if place.where() == place.where("base") or first.tier != second.tier or (first.n, second.n) != (1, 1):
            return several.fill(place)
        return text.signed((first - second).numbers[0], 2)

    return Filled(key, title, fill)


def switches(results: Results) -> Table:
    """What each open question of the protocol changes."""
    columns = (
        Column("switch", "Switch"),
        plain("accuracy", "Accuracy so, %", ACCURACY),
        plain("reference", "Accuracy otherwise, %", ACCURACY, "base"),
        change("difference", "Difference [95 % interval]", ACCURACY),
        COUNT,
    )
    rows = declared(results, "switches")
    return table(results, "switches", columns, rows, protocol=training(results, "switches"))


# -- draws of the angles, learned frequencies --------------------------------------------------------------


def drawn(results: Results) -> dict[str, tuple[str, tuple[str, str]]]:
    """Networks whose angles are drawn, and the strict one whose are not: title, experiment and arm by key."""
    found = {}
    for data, experiment in STEPS.items():
        for arm, title in (
            ("taps", "strict, fixed angles"),
            ("shortcut", "strict, angles per layer"),
            ("soft", "relaxed"),
        ):
            found[f"{data}_{arm}"] = (f"{arms.DATA[data]}: {title}", (experiment, arm))
        partial = arms.together(results, data, "partial_n4")[0]
        found[f"{data}_partial"] = (f"{arms.DATA[data]}: partial", partial)
    return found


def draws(results: Results) -> Table:
    """Spread of the test accuracy of one network over draws of its angles."""
    columns = (
        NETWORK,
        plain("deviation", "Standard deviation between draws, points", DRAWS),
        plain("range", "Largest - smallest, points", RANGE),
        plain("accuracy", "Mean over draws, %", ACCURACY),
    )
    lines = [Line(key, title, where) for key, (title, where) in drawn(results).items()]
    return table(results, "draws", columns, lines, protocol=training(results, STEPS["cifar10"]))


def learned(results: Results) -> Table:
    """Learned omega' by layer."""

    def whole(place: Place) -> Cell:
        before, after = (size(place.results, place.where(), start) for start in (True, False))
        cell = measured(after, command=place.results.command(place.experiment))
        return replace(cell, text=f"{text.fixed(before.summary.mean, 2)} → {cell.text}") if before.n else cell

    experiment = "table4_reduced"
    columns = (
        NETWORK,
        *(
            plain(layer, title.capitalize(), Quantity(f"omega_{layer}", last=True))
            for layer, title in arms.LAYERS.items()
        ),
        Filled("size", "Root mean square, before → after training", whole),
        plain("accuracy", "Test accuracy, %", ACCURACY),
    )
    lines = []
    for arm in results.declared.experiment(experiment).arms:
        net, _, strength = arm.partition("_")
        lines.append(Line(arm, f"{arms.NETWORKS[arms.LEARNED[net][0]]}, λ = {strength}"))
    said = training(results, experiment)
    return table(results, "learned", columns, lines, experiment=experiment, protocol=said)


# -- what needs no training --------------------------------------------------------------------------------


class Statement(NamedTuple):
    """One number of a claim without chance: its claim, title and metric, and what it lies between.

    ``step`` is None for a metric without steps, or the worst of all steps.
    """

    claim: str
    key: str
    title: str
    metric: str
    least: float = -math.inf
    most: float = math.inf
    step: float | None = None

    @property
    def quantity(self) -> Quantity:
        """Its number of each run: of several steps the one nearest to breaking it."""
        worst = min if math.isfinite(self.least) and not math.isfinite(self.most) else max
        return Quantity(self.metric, None if self.step is None else [self.step], reduce=worst)

    def shown(self, sample: Sample) -> str:
        """Of all seeds the value nearest to breaking it."""
        numbers = sample.numbers
        if math.isfinite(self.least) and math.isfinite(self.most):
            worst = max(numbers, key=abs)
        else:
            worst = (min if math.isfinite(self.least) else max)(numbers)
        return text.scientific(worst) if abs(worst) < BROKEN else text.significant(worst, 3)

    def part(self, results: Results) -> Part:
        """It as a part of its claim."""
        sample = self.quantity.of(results, ("exact", "all"))
        return bound(self.title, self.expected, sample, least=self.least, most=self.most, form=self.shown)

    @property
    def expected(self) -> str:
        """Its bounds in words."""
        if math.isfinite(self.least) and math.isfinite(self.most):
            return f"{self.least:g} to {self.most:g}"
        if math.isfinite(self.most):
            return f"up to {self.most:g}"
        return f"{self.least:g} or more" if math.isfinite(self.least) else "-"


def _exact(claim: str, key: str, title: str, metric: str, most: float = EXACT) -> Statement:
    return Statement(claim, key, title, metric, most=most)


def _broken(claim: str, key: str, title: str, metric: str, least: float = BROKEN) -> Statement:
    return Statement(claim, key, title, metric, least=least)


STATEMENTS = (
    _exact("E1", "strict", "ω' = 0: change of the logits under quarter turns", "strict_residual"),
    _exact("E1", "conv2d", "ω' = 0 in T(2): against conv2d", "translation_residual"),
    _exact("E1", "pooling", "ω = ω' = 0: against a sum over the support", "pooling_residual"),
    _exact("E1", "impulse", "impulse: against a pointwise product", "impulse_residual"),
    _exact("E1", "control", "relaxed, ω' = 0: against strict with its weights", "control_residual"),
    _exact("E2", "maps", "(v⁻¹u, u), (v⁻¹u, v), (u, v): maps and their inverses", "coordinates_residual"),
    _broken("E2", "fewer", "pairs (u, v) with one v⁻¹u", "relative_pairs", 2),
    _exact("E3", "whole", "whole frequencies: jump of a kernel on the circle", "circle_jump", 1e-6),
    _broken("E3", "real", "real frequencies: the same", "circle_jump_real"),
    Statement("", "authors", "frequencies of the authors' branch: the same", "circle_jump_authors"),
    _exact("E4", "so2_shift", "relaxed in SO(2): what a shift changes", "rotation_shift_error"),
    _broken("E4", "so2_turn", "relaxed in SO(2): what a quarter turn changes", "rotation_turn_error"),
    _broken("E4", "t2_shift", "relaxed in T(2): what a shift changes", "translation_shift_error"),
    _exact("E4", "t2_turn", "relaxed in T(2): what a quarter turn changes", "translation_turn_error"),
    Statement("E5", "far", "ω' = 100: correlation of neighbors", "neighbor_correlation", -0.5, 0.5, 100),
)


def exact(results: Results) -> Table:
    """Claims E1 to E5 as residuals and correlations."""
    by_key = {one.key: one for one in STATEMENTS}

    def value(place: Place) -> Cell:
        one = by_key[place.line.key]
        cell = one.quantity.cell(place.results, place.where())
        if not cell.sample.n:
            return cell
        return replace(cell, text=one.shown(cell.sample))

    columns = (
        Column("statement", "Statement"),
        words("claim", "Claim"),
        Filled("value", "Ours", value),
        words("expected", "Said by the paper"),
    )
    lines = [
        Line(s.key, s.title, "all", words={"claim": s.claim or "-", "expected": s.expected})
        for s in STATEMENTS
    ]
    return table(results, "exact", columns, lines)


def kept(results: Results) -> Table:
    """Which turns networks with frozen whole frequencies keep, with gcd(m, n)."""

    def cell(n: int, place: Place) -> Cell:
        m = int(place.line.key)
        what = Quantity(f"kept_{n}_{m}", [180], form=text.scientific)
        found = what.cell(place.results, place.where())
        if not found.sample.n:
            return found
        shown = [f"gcd = {math.gcd(m, n)}"]
        for angle in TURNS:
            sample = what.at(angle).of(place.results, place.where())
            worst = (max if arms.kept(angle, m, n) else min)(sample.numbers)
            shown.append(f"{angle}°: {text.scientific(worst)}{' kept' if arms.kept(angle, m, n) else ''}")
        return replace(found, text="\n".join(shown))

    def column(n: int) -> Filled:
        return Filled(f"n{n}", f"n = {n}", lambda place: cell(n, place))

    lines = [Line(str(m), f"m = {m}", "all") for m in WHOLE]
    return table(
        results, "kept", (Column("m", "ω' = m"), *map(column, arms.ANGLES)), lines, experiment="exact"
    )
