"""The claims of the paper as tests over seeds, and what we add (R1 to R6)."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

from pipelines.soft_equivariance import arms
from pipelines.soft_equivariance.quantities import (
    ACCURACY,
    PARAMETERS,
    RANGE,
    VALIDATION,
    printed_ratio,
    ratio,
    size,
)
from pipelines.soft_equivariance.studies import BROKEN, EXACT, STATEMENTS, STEPS, TURNS, WHOLE, drawn
from shared.report import text, verdicts
from shared.report.build import Quantity, Where
from shared.report.claims import Part, Rule, above, bound, claim, part, reference, within
from shared.report.results import Results
from shared.report.tables import Row, Sample, per_seed
from shared.report.verdicts import Verdict

EXPERIMENTS = (
    *STEPS.values(),
    "table2",
    "table3",
    "figure4",
    "table4",
    "table4_reduced",
    "networks",
    "table6",
    "exact",
)
#: Points up to which a gain is negligible (A2), and results are similar (G1, G4, X1).
NEGLIGIBLE, SIMILAR = 1.0, 1.0
#: Percent of time that relaxing SO(2) may cost (T1), and what counts as 100.0 % (M1).
SLOWER, WHOLE_ACCURACY = 10.0, 99.95


def rows(results: Results) -> Iterator[Row]:
    """One row per claim, in the order of the fact sheet; ours last."""
    for key in ("E1", "E2", "E3", "E4", "E5"):
        yield _exact(results, key)
    yield _parameters(results)
    yield _sixes(results)
    yield from _gains(results)
    yield _optimum(results)
    yield from _learned(results)
    yield _times(results)
    yield from _alone(results)
    yield from _ours(results)


def _minus(results: Results, pair: Sequence[Where], what: Quantity = ACCURACY) -> list[Sample]:
    return [what.of(results, where) for where in pair]


def _printed(results: Results, table: str, first: str, second: str, data: str) -> str:
    """The difference of two printed means: ``+2.82``."""
    found = [results.published(table, row, data) for row in (first, second)]
    return text.signed(found[0].value - found[1].value, 2) if all(found) else "-"


def _pair(results: Results, first: str, second: str, data: str, rule: Rule, known: str = "") -> Part:
    """Two networks of Table 2 on one kind of data."""
    label = f"{arms.DATA[data]}, {arms.short(first)} - {arms.short(second)}"
    known = known or _printed(results, "table2", first, second, data)
    return part(label, known, _minus(results, arms.together(results, data, first, second)), rule)


# -- what needs no training --------------------------------------------------------------------------------


def _exact(results: Results, key: str) -> Row:
    """E1 to E5: every statement of the table `exact` keeps its bounds."""
    parts = [one.part(results) for one in STATEMENTS if one.claim == key]
    return claim(results, key, parts, "exact")


def _counted(label: str, known: str, ratios: Sample, most: float) -> Part:
    """A ratio of counts up to a bound: there is no chance in it, and one run is enough."""
    verdict = verdicts.exactly(ratios.map(lambda value: float(value <= most)), 1.0)
    return Part(label, known, f"{ratios.numbers[0]:.4f} times" if ratios.n else "", verdict)


def _parameters(results: Results) -> Row:
    """N1: all networks of Table 5 within 4 % of the strict one."""
    value = results.published("claims", "N1", "percent")
    percent = value.value if value else 0.0
    parts = []
    for data in arms.DATASETS:
        strict = PARAMETERS.of(results, ("networks", f"strict_{data}"))
        for network in ("soft_t2", "partial", "soft"):
            mine = PARAMETERS.of(results, ("networks", f"{network}_{data}"))
            found = [results.published("table5", row, data) for row in (network, "strict")]
            known = f"{found[0].value / found[1].value:.4f} times" if all(found) else "-"
            title = f"{arms.DATA[data]}: {network.replace('soft', 'relaxed').replace('_t2', ' in T(2)')}"
            parts.append(_counted(title, known, per_seed(operator.truediv, mine, strict), 1 + percent / 100))
    return claim(results, "N1", parts, "networks", percent=f"{percent:g}")


def _sixes(results: Results) -> Row:
    """M1: exactly 50 % if strict; a short training may show that 100 % are reached, not that they are not."""
    parts = [bound("strict", "50.0 %", _sixes_of(results, "strict"), least=50, most=50, form=_lowest)]
    for arm in ("partial", "soft"):
        found = bound(arm, "100.0 %", _sixes_of(results, arm), least=WHOLE_ACCURACY, form=_lowest)
        if found.verdict.status == verdicts.DIFFERS and found.verdict.tier != "paper":
            found = replace(found, verdict=replace(found.verdict, status=None))
        parts.append(found)
    return claim(results, "M1", parts, "table3", at_lite=True)


def _sixes_of(results: Results, arm: str) -> Sample:
    return ACCURACY.of(results, ("table3", arm)).map(text.settled)


def _lowest(sample: Sample) -> str:
    return f"{text.fixed(min(sample.numbers), 1)} to {text.fixed(max(sample.numbers), 1)} %"


# -- gains, at the paper's protocol ------------------------------------------------------------------------


def _gains(results: Results) -> Iterator[Row]:
    """A1 to A4."""
    soft = [
        ("soft_t2", "cnn"),
        *((f"soft_n{n}", f"{kind}_n{n}") for n in arms.ANGLES for kind in ("strict", "partial")),
    ]
    parts = [_pair(results, *pair, data, above()) for data in arms.DATA for pair in soft]
    yield claim(results, "A1", parts, "table2")
    parts = [_pair(results, "soft_t2", "cnn", data, within(NEGLIGIBLE)) for data in arms.DATA]
    yield claim(results, "A2", parts, "table2", negligible=f"{NEGLIGIBLE:g}")
    for key, base in (("A3", "cnn"), ("A3-gcnn", "strict_n8")):
        parts = []
        for data in ("cifar100", "cifar100_aug"):
            said = results.published("claims", "A3", data)
            least = said.value - said.rounding if said else 0.0
            known = f"{reference(said)}; table {_printed(results, 'table2', 'soft_n8', base, data)}"
            parts.append(_pair(results, "soft_n8", base, data, above(least), known))
        yield claim(results, key, parts, "table2", rounding=_half(results, "A3"))
    yield claim(results, "A3-larger", [_larger(results, data) for data in arms.DATA], "table2")
    said = results.published("claims", "A4", "cifar100")
    learned = ("table4", "n8_0.5_cifar100")
    pair = [learned, *arms.together(results, "cifar100", "strict_n8")]
    known = f"up to {reference(said)}; table {_printed(results, 'table4', 'n8_0.5', 'strict_n8', 'cifar100')}"
    rule = above(said.value - said.rounding if said else 0.0)
    label = "n = 8: relaxed, learned ω', λ = 0.5 - strict"
    parts = [part(label, known, _minus(results, pair), rule)]
    yield claim(results, "A4", parts, "table4", rounding=_half(results, "A4"))


def _half(results: Results, key: str) -> str:
    said = results.published("claims", key, "cifar100")
    return f"{said.rounding:g}" if said else "-"


def _larger(results: Results, data: str) -> Part:
    """Gain by relaxing SO(2) with 8 angles minus that by relaxing T(2)."""
    places = arms.together(results, data, "soft_n8", "strict_n8") + arms.together(
        results, data, "soft_t2", "cnn"
    )
    rotation, strict, translation, cnn = _minus(results, places)
    known = [results.published("table2", row, data) for row in ("soft_n8", "strict_n8", "soft_t2", "cnn")]
    said = "-"
    if all(known):
        a, b, c, d = (one.value for one in known)
        said = f"{text.signed(a - b, 2)} and {text.signed(c - d, 2)}"
    return part(arms.DATA[data], said, [rotation - strict, translation - cnn], above())


def _optimum(results: Results) -> Row:
    """F1: omega' is chosen on the validation images and tested against 0, the largest, and strict."""
    parts = []
    for data in arms.DATASETS:
        for sweep in ("n4", "t2"):
            places = arms.swept(results, data, sweep)
            scores = {m: VALIDATION.of(results, where) for m, where in places.items() if m}
            known = {m: sample.summary.mean for m, sample in scores.items() if sample.n}
            best = max(known, key=lambda m: (known[m], -m)) if known else 1
            title = f"{arms.DATA[data]}, {arms.SWEEPS[sweep][3]}, ω' = {best}"
            others = {"ω' = 0": places[0], f"ω' = {max(places)}": places[max(places)]}
            others["strict"] = arms.strict(data, sweep)
            for name, other in others.items():
                samples = _minus(results, (places[best], other))
                parts.append(part(f"{title} - {name}", "above 0", samples, above()))
    return claim(results, "F1", parts, "figure4")


# -- learned omega' ----------------------------------------------------------------------------------------


def _cells(results: Results, which: int) -> list[tuple[str, str, str, list[Where]]]:
    """Cells of Table 4: learned row, the row compared with, data, and where the runs are of one protocol.

    ``which`` is 0 for the network with fixed omega', 1 for the strict, 2 for the partial one.
    """
    found = []
    for net, others in arms.LEARNED.items():
        for data in arms.DATA if others[which] else ():
            (base,) = arms.together(results, data, others[which])
            for strength in arms.LAMBDAS:
                row = f"{net}_{strength}"
                where = ("table4", f"{row}_{data}")
                short = ("table4_reduced", row)
                if (
                    base[0] != "table2"
                    and data == "cifar100"
                    and row in results.declared.experiment(short[0]).arms
                ):
                    where = short
                found.append((row, others[which], data, [where, base]))
    return found


def _share(results: Results, which: int, label: str, least: float) -> Part:
    """For most cells learned minus other exceeds ``least``: by seed the share of cells, above one half."""
    cells, gaps, printed = _cells(results, which), [], []
    for row, other, data, places in cells:
        known = [results.published("table4", one, data) for one in (row, other)]
        printed += [known[0].value - known[1].value] if all(known) else []
        first, second = _minus(results, places)
        gaps += [first - second] if first.n and first.tier == second.tier else []
    said = f"{sum(round(gap, 2) >= least for gap in printed)} of {len(printed)}"
    share = Sample()
    if gaps:
        share = per_seed(lambda *values: sum(value >= least for value in values) / len(values), *gaps)
    complete = len(gaps) == len(cells)
    found = part(
        f"{label}: {len(gaps)} of {len(cells)} cells",
        said,
        [share.map(lambda s: s - 0.5)],
        above(),
    )
    if share.n:
        found = replace(found, ours=f"{share.summary.mean:.2f} of the cells")
    if share.tier == "paper" and not complete:
        found = replace(found, verdict=Verdict(verdicts.NOT_RUN))
    return found


def _learned(results: Results) -> Iterator[Row]:
    """G1 to G4."""
    similar = f"{SIMILAR:g}"
    parts = [_share(results, 0, "not worse than fixed", -SIMILAR)]
    yield claim(results, "G1", parts, "table4", similar=similar)
    least = math.nextafter(0.0, 1.0)
    parts = [_share(results, 1, "above strict", least), _share(results, 2, "above partial", least)]
    yield claim(results, "G2", parts, "table4")
    yield claim(results, "G3", list(_pulled(results)), "table4_reduced")
    yield claim(results, "G4", list(_chosen(results)), "table4_reduced", similar=similar)


def _reduced(results: Results, net: str) -> dict[str, Where]:
    """The arms of the study of lambda by lambda, in order."""
    found = [arm for arm in results.declared.experiment("table4_reduced").arms if arm.startswith(f"{net}_")]
    return {
        arm.partition("_")[2]: ("table4_reduced", arm)
        for arm in sorted(found, key=lambda arm: float(arm[3:]))
    }


def _pulled(results: Results) -> Iterator[Part]:
    """G3: without the penalty omega' does not shrink; with a larger one it is smaller."""
    for net in ("t2", "n4"):
        title, places = arms.short(arms.LEARNED[net][0]), _reduced(results, net)
        after = {strength: size(results, where) for strength, where in places.items()}
        before = size(results, places["0"], start=True)
        yield part(f"{title}, λ = 0: after - before", "not less", [after["0"] - before], above(-0.1))
        for small, large in pairwise(after):
            label = f"{title}: λ = {small} - λ = {large}"
            yield part(label, "above 0", [after[small], after[large]], above())


def _chosen(results: Results) -> Iterator[Part]:
    """G4: on the validation images neither the epoch nor lambda matters."""
    for net in ("t2", "n4"):
        title, places = arms.short(arms.LEARNED[net][0]), _reduced(results, net)
        scores = {strength: VALIDATION.of(results, where) for strength, where in places.items()}
        last = results.last(*places["1"], "validation_accuracy")
        samples = [scores["1"], last]
        yield part(f"{title}, λ = 1: best - last epoch", "no choice", samples, within(SIMILAR))
        means = {strength: sample.summary.mean for strength, sample in scores.items() if sample.n}
        ends = (max(means, key=means.get), min(means, key=means.get)) if means else ("1", "0.01")
        samples = [scores[one] for one in ends]
        yield part(f"{title}: λ = {ends[0]} - λ = {ends[1]}", "no choice", samples, within(SIMILAR))


# -- run times, what the gain is due to, and ours ----------------------------------------------------------


def _times(results: Results) -> Row:
    """T1: relaxing SO(2) costs nothing; relaxing T(2) and rotations do."""
    parts = []
    for phase in ("train", "inference"):
        for n in arms.ANGLES:
            network = f"soft_n{n}"
            found = ratio(results, network, phase, "strict")
            known = printed_ratio(results, network, phase, "strict")
            rule = above(), found.map(lambda value: 1 + SLOWER / 100 - value)
            parts.append(_ratio_part(f"{phase}: {arms.short(network)}", known, found, *rule))
    for network, base in (("soft_t2", "strict"), *((f"strict_n{n}", "cnn") for n in arms.ANGLES)):
        found = ratio(results, network, "train", base)
        known = printed_ratio(results, network, "train", base)
        label = f"train: {arms.short(network)}"
        parts.append(_ratio_part(label, known, found, above(), found.map(lambda value: value - 1)))
    return claim(results, "T1", parts, "table6", at_lite=True, slower=f"{SLOWER:g}")


def _ratio_part(label: str, known: str, found: Sample, rule: Rule, margin: Sample) -> Part:
    one = part(label, f"{known} times", [margin], rule)
    return replace(one, ours=f"{found.summary.mean:.2f} times" if found.n else "")


def _step(
    results: Results, data: str, first: str, second: str, label: str, rule: Rule, known: str = "-"
) -> Part:
    pair = [(STEPS[data], arm) for arm in (first, second)]
    return part(f"{arms.DATA[data]}: {label}", known, _minus(results, pair), rule)


def _alone(results: Results) -> Iterator[Row]:
    """X1: the clean comparison gains; and, at the paper's protocol, the other four differences do nothing.

    A short training need not say the latter: it loses more by angles that are drawn anew than a long one.
    """
    clean = "relaxed - control (29 taps, angles per layer, learned shortcut, same ω)"
    steps = {
        "X1": ("soft", "relative", clean, above(), "all of the gain"),
        "X1-rest": ("relative", "strict", "control - strict", within(SIMILAR), "nothing"),
    }
    for key, step in steps.items():
        parts = [_step(results, data, *step) for data in arms.DATASETS]
        only = key == "X1"
        yield claim(
            results, key, parts, STEPS["cifar10"], headline=only, at_lite=only, similar=f"{SIMILAR:g}"
        )


def _ours(results: Results) -> Iterator[Row]:
    """R1 to R6."""
    mine = partial(claim, ours=True)
    yield mine(results, "R1", list(_kept(results)), "exact")
    steps: dict[str, tuple[str, str, str, Rule]] = {
        "R2": ("taps", "strict", "29 taps - center tap", above()),
        "R3": ("taps", "angles", "fixed - drawn angles", above()),
        "R4": ("soft_kept", "shortcut", "relaxed - strict, ω_r = 10 in both", above()),
        "R5": ("shortcut", "soft_zero", "strict - relaxed at ω' = 0", above()),
    }
    for key, (first, second, label, rule) in steps.items():
        parts = [_step(results, data, first, second, label, rule) for data in arms.DATASETS]
        yield mine(results, key, parts, STEPS["cifar10"])
    yield mine(results, "R6", list(_scatter(results)), STEPS["cifar10"])


def _kept(results: Results) -> Iterator[Part]:
    """R1, for each n: the turns that should be kept are, the others are not."""
    for n in arms.ANGLES:
        turns = {(m, angle): Quantity(f"kept_{n}_{m}", [angle]) for m in WHOLE for angle in TURNS}
        samples = {key: what.of(results, ("exact", "all")) for key, what in turns.items()}
        there = {key: sample for key, sample in samples.items() if sample.n}
        for holds in (True, False):
            chosen = [sample for (m, angle), sample in there.items() if arms.kept(angle, m, n) == holds]
            worst = (
                per_seed(lambda *v, holds=holds: (max if holds else min)(v), *chosen) if chosen else Sample()
            )
            label = f"n = {n}, turns that {'are multiples of 2π/gcd(m, n)' if holds else 'are not'}"
            ends = {"most": EXACT} if holds else {"least": BROKEN}
            yield bound(
                label, f"{'up to' if holds else 'from'} {EXACT if holds else BROKEN:g}", worst, **ends
            )


def _scatter(results: Results) -> Iterator[Part]:
    """R6: range between draws, by network; fixed angles have one draw, which could not scatter."""
    for key, (title, where) in drawn(results).items():
        if not key.endswith("taps"):
            sample, least = RANGE.of(results, where), math.nextafter(0.0, 1.0)
            yield bound(title, "more than 0", sample, least=least, form=_points)


def _points(sample: Sample) -> str:
    return f"{text.fixed(min(sample.numbers), 2)} to {text.fixed(max(sample.numbers), 2)} points"
