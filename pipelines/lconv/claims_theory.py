"""The claims of the L-conv paper about its propositions and its theorem, and what learned generators are.

Each claim of L15 is made of statements of the tables `propositions` and `theorem1`
(`pipelines.lconv.statements`) and of rates. Where the paper's formula is false as printed, the claim has the
bound that the paper gives and comes out as "differs"; the corrected formula stands in a claim of its own.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from pipelines.lconv import arms
from pipelines.lconv.quantities import BEST
from pipelines.lconv.statements import PROPOSITIONS, THEOREM, Statement
from shared.report import text
from shared.report.build import Quantity, Where
from shared.report.claims import Part, Rule, above, bound, claim, compare, part, within
from shared.report.results import Results
from shared.report.tables import Row, Sample, per_seed

#: Cosine with the hidden generator from which it counts as found, and up to which it does not.
FOUND, NOT_FOUND = 0.95, 0.25
#: Times from which a training step with a penalty is expensive, and points of accuracy that it may cost.
EXPENSIVE, COST = 1.5, 1.0
#: How near the order of convergence has to be.
NEAR = 0.15
TURNED = ("rotated", "scrambled")


class Rate(NamedTuple):
    """The order at which an error falls: of a metric over its steps, both as logarithms."""

    claim: str
    title: str
    arm: str
    metric: str
    order: float
    least: bool = False


RATES = (
    Rate("L15-P1", "rate, linear f", "all", "p1_error", 2),
    Rate("L15-P1-printed", "rate, ReLU", "stated", "p1_relu_printed", 2),
    Rate("L15-P1-printed", "rate, tanh", "stated", "p1_tanh_printed", 2),
    Rate("L15-P1-layer", "rate, ReLU", "stated", "p1_relu_layer", 1, least=True),
    Rate("L15-P1-layer", "rate, tanh", "stated", "p1_tanh_layer", 2),
    Rate("L15-P2", "rate, exponential", "all", "p2_error", -1),
    Rate("L15-P2", "rate, SO(3)", "stated", "p2_haar_error", -1),
    Rate("L15-P2", "rate, SL(2, R)", "stated", "p2_product_error", -1),
    Rate("L15-T-beyond", "rate, T9", "all", "transfer", -0.5),
)
#: What is ours among the claims of L15: they are no part of the paper.
OURS = ("L15-P1-layer", "L15-P4-beyond", "L15-E1-adjoint", "L15-E2", "L15-rank", "L15-T-beyond", "L15-bias")


def rows(results: Results) -> Iterator[Row]:
    """L15, L17 to L19 and L22 to L24."""
    for experiment, statements in (("propositions", PROPOSITIONS), ("theorem1", THEOREM)):
        for key in dict.fromkeys(one.claim for one in statements if one.claim):
            yield _identities(results, key, experiment, [one for one in statements if one.claim == key])
    yield _hidden(results)
    yield _extracted(results)
    yield _expected(results)
    yield from _penalized(results)
    yield _cost(results)
    yield _upright(results)
    yield _rescaled(results)


def _identities(results: Results, key: str, experiment: str, statements: Sequence[Statement]) -> Row:
    """Every statement keeps its bounds with every seed, and errors fall at the known rates."""
    parts = []
    for one in statements:
        sample = one.quantity.of(results, (experiment, one.arm))
        parts.append(bound(one.title, one.bounds, sample, least=one.least, most=one.most, form=one.shown))
    parts += [_rate(results, experiment, one) for one in RATES if one.claim == key]
    return claim(results, key, parts, experiment, ours=key in OURS)


def _rate(results: Results, experiment: str, rate: Rate) -> Part:
    found = _slopes(results, (experiment, rate.arm), rate.metric)
    rule: Rule = above() if rate.least else within(NEAR)
    known = f"{'above' if rate.least else 'order'} {rate.order:g}"
    one = part(rate.title, known, [found.map(partial(operator.add, -rate.order))], rule)
    return replace(one, ours=f"order {found.summary.mean:.2f}" if found.n else "")


def _slopes(results: Results, where: Where, metric: str) -> Sample:
    """By seed the slope of a metric over its steps, both as logarithms: the order of convergence."""
    curves = results.curves(*where, metric)
    steps = np.log(curves.columns.to_numpy(float))
    values = {
        int(seed): float(np.polyfit(steps, np.log(curve.to_numpy(float)), 1)[0])
        for seed, curve in curves.iterrows()
    }
    return Sample(values, results.tier(*where) if values else "", (where,))


def _hidden(results: Results) -> Row:
    """L17: a hidden generator is found, also scrambled; the controls do not show it."""

    def cosine(arm: str, metric: str, found: bool, label: str) -> Part:
        sample = results.sample("planted", arm, metric)
        shown = f"{min(sample.numbers):.3f} to {max(sample.numbers):.3f}" if sample.n else ""
        ends = {"least": FOUND} if found else {"least": 0, "most": NOT_FOUND}
        known = f"from {FOUND:g}" if found else f"up to {NOT_FOUND:g}"
        return bound(label, known, sample, form=lambda _: shown, **ends)

    samples = [results.sample("planted", arm, "similarity") for arm in ("rotation_8", "rotation_1")]
    parts = [
        cosine("rotation_8", "similarity", True, "rotation"),
        cosine("scrambled_8", "similarity", True, "rotation of scrambled images"),
        cosine("scrambled_8", "rotation_similarity", False, "the same, with plain rotation"),
        cosine("other_8", "rotation_similarity", False, "control: another generator"),
        cosine("unrelated_8", "similarity", False, "control: unrelated pairs"),
        part("8 applications - 1", "more", samples, above(), decimals=3),
    ]
    return claim(results, "L17", parts, "planted", ours=True)


def _extracted(results: Results) -> Row:
    """L18: whether a classifier's generators are nearer to rotation than random ones."""
    parts = []
    for data, title in arms.DATASETS.items():
        for variant in TURNED:
            where = (arms.figure4(data), arms.arm4("lconv", variant))
            samples = [results.last(*where, "captured_rotation"), results.sample(*where, "control_rotation")]
            parts.append(part(f"{title}, {variant}", "", samples, above(), decimals=3))
    return claim(results, "L18", parts, arms.figure4("mnist"), ours=True)


def _expected(results: Results) -> Row:
    """L18-theorem: whether they come nearer to the symmetries that Theorem 1 makes one expect."""
    parts = []
    for variant in arms.VARIANTS:
        before = results.sample("covariance", variant, "covariance", [0])
        samples = [before, results.last("covariance", variant, "covariance")]
        parts.append(part(f"{variant}: before - after", "", samples, above(), decimals=3))
    return claim(results, "L18-theorem", parts, "covariance", ours=True)


def _penalized(results: Results) -> Iterator[Row]:
    """L19: penalties bring the generators nearer to an orthogonal algebra; L19-cost: at little cost."""
    parts = []
    for metric, label in (("closure", "commutators outside"), ("killing", "Killing form")):
        samples = [results.last("penalty", arm, metric) for arm in ("none", "both_strong")]
        parts.append(part(f"{label}: none - both, weight 1", "", samples, above(), decimals=3))
    yield claim(results, "L19", parts, "penalty", ours=True)
    pair = ("accuracy: both, weight 1 - none", ("penalty", "both_strong"), ("penalty", "none"), "")
    parts = compare(results, BEST, above(-COST), [pair])
    yield claim(results, "L19-cost", parts, "penalty", ours=True, at_lite=False, cost=f"{COST:g}")


def _cost(results: Results) -> Row:
    """L22: a training step with penalties beside one without."""
    parts = []
    for arm, label in (("closure", "closure"), ("killing", "Killing form"), ("both", "both")):
        samples = (Quantity("step_seconds").of(results, ("penalty", one)) for one in (arm, "none"))
        ratios = per_seed(operator.truediv, *samples)
        found = part(label, "expensive", [ratios.map(partial(operator.add, -EXPENSIVE))], above())
        if ratios.n > 1:
            shown = f"{ratios.summary.mean:.2f} times {text.interval(*ratios.summary.interval(), 2)}"
            found = replace(found, ours=shown)
        parts.append(found)
    return claim(results, "L22", parts, "penalty", at_lite=True, expensive=f"{EXPENSIVE:g}")


def _upright(results: Results) -> Row:
    """L23: pixels that were moved suffice, images need not be turned."""
    pairs = [
        (f"L-conv - {arms.MODELS[model]}", ("upright", "lconv"), ("upright", model), "")
        for model in ("cnn", "random", "fc")
    ]
    return claim(results, "L23", compare(results, BEST, above(), pairs), "upright", ours=True)


def _rescaled(results: Results) -> Row:
    """L24: learned generators beat random ones of the size of the identity, which beat those as drawn."""
    pairs = [
        ("learned - random, rescaled", ("scale", "lconv"), ("scale", "random_unit"), ""),
        ("random, rescaled - as drawn", ("scale", "random_unit"), ("scale", "random"), ""),
    ]
    return claim(results, "L24", compare(results, BEST, above(), pairs), "scale", ours=True)
