"""The claims of the L-conv paper as tests over seeds (fact sheet, section 8)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from pipelines.lconv import arms
from pipelines.lconv.quantities import BEST, PARAMETERS
from pipelines.lconv.studies import PROPOSITIONS, THEOREM, Statement
from shared.report import claims, text, verdicts
from shared.report.build import Quantity, Where
from shared.report.claims import Pair, Part, Rule, above, bound, compare, part, within
from shared.report.results import Results
from shared.report.tables import Row, Sample, per_seed

#: Each row is judged also by runs of a shorter protocol; to be decided row by row.
claim = partial(claims.claim, at_lite=True)
#: The rule "the first is better than the second".
BETTER = above()
#: Points below which two accuracies count as the same (L7, L14), as close (L3) and as similar (L10).
SAME, CLOSE, SIMILAR = 1.0, 2.0, 1.0
#: Times by which FC (~L-conv) is larger (L3, L16), and by which a step of L-conv may take longer (L13).
LARGER, SLOWER = 5.0, 1.5
TURNED = ("rotated", "scrambled")
#: L11: with 188,362 parameters, amid the CNN kernels of `arms.MATCHED` (175,090 to 224,874).
MATCHED = "m16_K6_r8"
#: Cosine with the hidden generator from which it counts as found, and up to which it does not.
FOUND, NOT_FOUND = 0.95, 0.25


def rows(results: Results) -> Iterator[Row]:
    """One row per claim and data set, in the order of the fact sheet."""
    for data in arms.DATASETS:
        yield from _one_layer(results, data)
    for experiment, data in arms.FIGURE3_EXPERIMENTS.items():
        yield from _two_layers(results, experiment, data)
    yield from _sizes(results)
    rates = [("P1", "p1_error", 2.0), ("P2", "p2_error", -1.0)]
    yield _identities(results, "L15", "propositions", PROPOSITIONS, rates)
    yield _identities(results, "L15-T", "theorem1", THEOREM, [("T9", "transfer", -0.5)])
    yield _hidden(results)
    for data in arms.DATASETS:
        yield _extracted(results, data)
    yield _penalized(results)


def _on(results: Results, key: str, data: str, parts: Sequence[Part], **options: Any) -> Row:
    """A claim on one of the data sets of Figure 4: "L14-cnn" becomes "L14-mnist-cnn" on MNIST."""
    head, _, tail = key.partition("-")
    name = "-".join(filter(None, (head, data.replace("_mnist", ""), tail)))
    return claim(results, name, parts, arms.figure4(data), said=key, data=arms.DATASETS[data], **options)


def _pairs(
    place: Callable[[str, str], Where],
    first: str,
    others: Sequence[str],
    variants: Iterable[str],
    known: str,
) -> list[Pair]:
    """One network beside others on variants of the images; ``place`` finds a network on a variant."""
    names = arms.MODELS
    return [
        (f"{kind}: {names[first]} - {names[other]}", place(first, kind), place(other, kind), known)
        for kind in variants
        for other in others
    ]


# -- accuracies of one layer: Figures 2 and 4 --------------------------------------------------------------


def _one_layer(results: Results, data: str) -> Iterator[Row]:
    """L1 to L4, L13, L14 and L16 on one data set."""

    def four(model: str, variant: str) -> Where:
        return arms.figure4(data), arms.arm4(model, variant)

    def judged(key: str, pairs: list[Pair], rule: Rule = BETTER, **options: Any) -> Row:
        return _on(results, key, data, compare(results, BEST, rule, pairs), **options)

    pairs = _pairs(four, "lconv", ("cnn", "random", "fc"), TURNED, "figure 2, all panels")
    yield judged("L1", pairs, headline=data == "mnist")
    best = _pairs(four, "cnn", ("lconv",), ("default",), "figure 4")
    yield judged("L2", best + _pairs(four, "lconv", ("random", "fc"), ("default",), "figure 4"))
    if data == "mnist":
        parts = compare(results, BEST, above(-CLOSE), _pairs(four, "fc", ("lconv",), TURNED, "close"))
        parts = [replace(one, label=one.label.replace(arms.MODELS["fc"], "FC")) for one in parts]
        parts.append(_ratio(results, four, "parameters"))
        fields = {"close": f"{CLOSE:g}", "larger": f"{LARGER:g}"}
        yield claim(results, "L3", parts, arms.figure4(data), **fields)
    yield judged("L4", _pairs(four, "lconv", ("random",), arms.VARIANTS, "text"))
    yield _on(results, "L13", data, [_step_time(results, four)], slower=f"{SLOWER:g}")
    pairs = [
        (arms.MODELS[model], four(model, "scrambled"), four(model, "rotated"), "exactly none")
        for model in ("lconv", "random", "fc")
    ]
    yield judged("L14", pairs, within(SAME), same=f"{SAME:g}")
    yield judged("L14-cnn", [("CNN", four("cnn", "rotated"), four("cnn", "scrambled"), "figure 2")])
    if data in ("mnist", "cifar10"):
        yield _on(results, "L16", data, [_ratio(results, four)], larger=f"{LARGER:g}")


def _ratio(results: Results, place: Callable[[str, str], Where], label: str = "") -> Part:
    """Parameters of FC (~L-conv) over those of L-conv."""
    samples = (PARAMETERS.of(results, place(model, "rotated")) for model in ("fc", "lconv"))
    ratios = per_seed(operator.truediv, *samples)
    shown = f"{ratios.numbers[0]:.2f} times" if ratios.n else ""
    return bound(label, "5.1 to 9.3 times", ratios, least=LARGER, form=lambda _: shown)


def _step_time(results: Results, place: Callable[[str, str], Where]) -> Part:
    """How much longer a training step of L-conv takes than one of the CNN."""
    samples = (Quantity("step_seconds").of(results, place(model, "rotated")) for model in ("lconv", "cnn"))
    ratios = per_seed(operator.truediv, *samples)
    found = part("", "7 s to 6 s an epoch", [ratios.map(lambda ratio: SLOWER - ratio)], BETTER)
    if not ratios.n:
        return found
    interval = f" {text.interval(*ratios.summary.interval(), 2)}" if ratios.n > 1 else ""
    return replace(found, ours=f"{ratios.summary.mean:.2f} times{interval}")


# -- accuracies of two layers and of sizes: Figures 3 and 5 ------------------------------------------------


def _two_layers(results: Results, experiment: str, data: str) -> Iterator[Row]:
    """L5 to L9, on CIFAR-100 as in the paper and on CIFAR-10."""

    def one(model: str, variant: str) -> Where:
        return experiment, arms.arm3(model, 1, variant)

    def judged(key: str, pairs: list[Pair], rule: Rule = BETTER, **options: Any) -> Row:
        name = key if data == "cifar100" else f"{key}-{data}"
        parts = compare(results, BEST, rule, pairs)
        return claim(results, name, parts, experiment, said=key, data=arms.DATASETS[data], **options)

    both, said = ("default", "scrambled"), "text, on CIFAR-100"
    yield judged("L5", _pairs(one, "lconv", ("fc", "fc_shallow"), both, said))
    others = ("cnn", "cnn_pool", "fc", "fc_shallow")
    yield judged("L6", _pairs(one, "lconv", others, ("scrambled",), said))
    known = "text; but its 2-layer CNN has one (D3)"
    pairs = [
        (f"{kind}: {arms.MODELS[m]}", (experiment, arms.arm3(m, 2, kind)), one(m, kind), known)
        for m in ("lconv", "cnn")
        for kind in both
    ]
    yield judged("L7", pairs, within(SAME), same=f"{SAME:g}")
    yield judged("L8", _pairs(one, "cnn_pool", ("cnn", "lconv"), ("default",), said))
    yield judged("L9", _pairs(one, "cnn", ("cnn_pool",), ("scrambled",), said))


def _sizes(results: Results) -> Iterator[Row]:
    """L10 to L12, from Figure 5."""

    def pair(label: str, first: str, second: str) -> Pair:
        printed = [results.published("figure5", arm, "accuracy") for arm in (first, second)]
        known = f"{printed[0].value - printed[1].value:+.2f}" if all(printed) else "-"
        return label, ("figure5", first), ("figure5", second), known

    ranks = [("k = 6 - k = 16", *(("figure5", f"lconv_m32_K9_r{rank}") for rank in (6, 16)), "similar")]
    parts = compare(results, BEST, within(SIMILAR), ranks)
    yield claim(results, "L10", parts, "figure5", similar=f"{SIMILAR:g}")
    kernels = [(f"CNN, {arms.long_label(s)}", f"lconv_{MATCHED}", f"cnn_{s}") for s in arms.MATCHED["cnn"]]
    steps = [(f"{b} - {a}", f"cnn_m32_{b}", f"cnn_m32_{a}") for a, b in pairwise(arms.KERNELS)]
    for key, found in (("L11", kernels), ("L12", steps)):
        yield claim(results, key, compare(results, BEST, BETTER, [pair(*one) for one in found]), "figure5")


# -- propositions and studies ------------------------------------------------------------------------------


def _identities(
    results: Results,
    key: str,
    experiment: str,
    statements: Sequence[Statement],
    rates: Sequence[tuple[str, str, float]],
) -> Row:
    """Every statement of a table keeps its bounds with every seed, and errors fall at the known rates."""
    where, parts = (experiment, "all"), []
    for group in dict.fromkeys(one.title.split()[0] for one in statements):
        members = [one for one in statements if one.title.split()[0] == group]
        bounds = [bound("", "", s.quantity.of(results, where), least=s.least, most=s.most) for s in members]
        joined = verdicts.every([one.verdict for one in bounds])
        shown = f"{text.lines(len(members), 'statement')}, bounds as in the table"
        parts.append(Part(group, "holds", "" if joined.status == verdicts.NOT_RUN else shown, joined))
    for group, metric, order in rates:
        found = _slopes(results, where, metric)
        off = found.map(partial(operator.add, -order))
        rate = part(f"{group}, rate", f"order {order:g}", [off], within(0.15))
        parts.append(replace(rate, ours=f"order {found.summary.mean:.2f}" if found.n else ""))
    return claim(results, key, parts, experiment)


def _slopes(results: Results, where: Where, metric: str) -> Sample:
    """By seed the slope of a metric over its steps, both as logarithms: the order of convergence."""
    curves = results.curves(*where, metric)
    steps = np.log(curves.columns.to_numpy(float))
    values = {
        int(seed): float(np.polyfit(steps, np.log(curve.to_numpy(float)), 1)[0])
        for seed, curve in curves.iterrows()
    }
    return Sample(values, results.tier(*where) if values else "")


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
        part("8 applications - 1", "more", samples, BETTER, decimals=3),
    ]
    return claim(results, "L17", parts, "planted")


def _extracted(results: Results, data: str) -> Row:
    """L18: whether a classifier's generators are nearer to rotation than random ones."""
    parts = []
    for variant in TURNED:
        where = (arms.figure4(data), arms.arm4("lconv", variant))
        samples = [results.last(*where, "captured_rotation"), results.sample(*where, "control_rotation")]
        parts.append(part(variant, "title: extracted", samples, BETTER, decimals=3))
    return _on(results, "L18", data, parts)


def _penalized(results: Results) -> Row:
    """L19: penalties bring the generators nearer to an orthogonal algebra, at no cost."""
    parts = []
    for metric, label in (("closure", "commutators outside"), ("killing", "Killing form")):
        samples = [results.last("penalty", arm, metric) for arm in ("none", "both_strong")]
        parts.append(part(f"{label}: none - both, weight 1", "less", samples, BETTER, decimals=3))
    pair = ("accuracy: both - none", ("penalty", "both_strong"), ("penalty", "none"), "no loss")
    return claim(results, "L19", [*parts, *compare(results, BEST, above(-1.0), [pair])], "penalty")
