"""The claims of the L-conv paper as tests over seeds, sentence by sentence; those of its theory are in
`claims_theory`.

Which of two networks is better is judged at a shorter protocol too, and says so ("lite"): in the authors'
logs by epoch the order is the same from the first epoch to the last. How much better (considerably, closely,
similar, no gain), and which rank is best, is judged at the paper's alone: networks differ in how far they are
after a few epochs. The paper gives no numbers for that: the margins are ours and stand in the statements.
Counts of parameters and times of a step do not hang on the number of epochs.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

from pipelines.lconv import arms, claims_theory, counts
from pipelines.lconv.quantities import BEST, PARAMETERS
from pipelines.lconv.settings import Settings
from shared.data import catalogue
from shared.report import claims, text
from shared.report.build import Quantity, Where
from shared.report.claims import Pair, Part, Rule, above, bound, claim, compare, part, within
from shared.report.results import Results
from shared.report.tables import Row, Sample, per_seed

#: A claim about an order, a count or a time.
ordered = partial(claims.claim, at_lite=True)
#: The rule "the first is better than the second".
BETTER = above()
#: Points below which two accuracies count as the same, and from which one is considerably better (L1, L7, L9,
#: L14); as close (L2, L3); as similar (L10).
SAME, CLOSE, SIMILAR = 1.0, 2.0, 1.0
#: Times by which a fully connected network is larger: the paper's factor (L3, L16), and "much" (L21).
LARGER, MUCH = 5.0, 2.0
#: Times up to which a training step is slightly slower (L13), and from which it is expensive (L22).
SLOWER = 1.5
TURNED = ("rotated", "scrambled")
#: L11: with 188,362 parameters, amid the CNN kernels of `arms.MATCHED` (175,090 to 224,874).
MATCHED = "m16_K6_r8"


def rows(results: Results) -> Iterator[Row]:
    """One row per claim, in the order of the fact sheet."""
    yield from _one_layer(results)
    for experiment in arms.FIGURE3_EXPERIMENTS:
        yield from _two_layers(results, experiment)
    yield from _sizes(results)
    yield from claims_theory.rows(results)


# -- one layer: Figures 2 and 4 ----------------------------------------------------------------------------


def _pairs(first: str, others: Sequence[str], variants: Iterable[str], known: str) -> list[Pair]:
    """One network beside others on variants of the images of all four data sets."""
    return [
        (
            f"{title}, {kind}: {arms.MODELS[first]} - {arms.MODELS[other]}",
            _four(data, first, kind),
            _four(data, other, kind),
            known,
        )
        for data, title in arms.DATASETS.items()
        for kind in variants
        for other in others
    ]


def _four(data: str, model: str, variant: str) -> Where:
    return arms.figure4(data), arms.arm4(model, variant)


def _one_layer(results: Results) -> Iterator[Row]:
    """L1 to L3, L13, L14 and L16; each over all data sets that the paper names."""

    def better(key: str, pairs: list[Pair], **options: Any) -> Row:
        parts = compare(results, BEST, BETTER, pairs)
        return ordered(results, key, parts, arms.figure4("mnist"), **options)

    def by(key: str, pairs: list[Pair], rule: Rule, **options: Any) -> Row:
        return claim(results, key, compare(results, BEST, rule, pairs), arms.figure4("mnist"), **options)

    pairs = _pairs("lconv", ("cnn", "random", "fc"), TURNED, "figure 2")
    yield better("L1", pairs, headline=True)
    yield by("L1-considerably", pairs, above(SAME), same=f"{SAME:g}")
    best = _pairs("cnn", ("lconv",), ("default",), "figure 4")
    yield better("L2", best + _pairs("lconv", ("random", "fc"), ("default",), "figure 4"))
    trailing = _pairs("lconv", ("cnn",), ("default",), "closely")
    yield by("L2-closely", trailing, above(-CLOSE), close=f"{CLOSE:g}")
    near = [
        (f"{kind}: {arms.MODELS[model]} - L-conv", _four("mnist", model, kind), _four("mnist", "lconv", kind))
        for kind in TURNED
        for model in ("cnn", "fc")
    ]
    yield by("L3", [(*one, "close") for one in near], above(-CLOSE), close=f"{CLOSE:g}")
    parts = [_size(results, "mnist", model, f"{LARGER:g} times") for model in ("cnn", "fc")]
    yield ordered(results, "L3-parameters", parts, arms.figure4("mnist"), larger=f"{LARGER:g}")
    parts = [_step_time(results, data) for data in arms.DATASETS]
    yield ordered(results, "L13", parts, arms.figure4("mnist"), slower=f"{SLOWER:g}")
    pairs = [
        (f"{title}: {arms.MODELS[model]}", _four(data, model, "scrambled"), _four(data, model, "rotated"), "")
        for data, title in arms.DATASETS.items()
        for model in ("lconv", "random", "fc")
    ]
    yield by("L14", pairs, within(SAME), same=f"{SAME:g}", ours=True)
    pairs = [
        (title, _four(data, "cnn", "rotated"), _four(data, "cnn", "scrambled"), "")
        for data, title in arms.DATASETS.items()
    ]
    yield better("L14-cnn", pairs, ours=True)
    parts = [_layer_size(results, data) for data in arms.DATASETS]
    yield ordered(results, "L16", parts, arms.figure4("mnist"), larger=f"{LARGER:g}")


def _times(label: str, known: str, ratios: Sample, least: float) -> Part:
    """A part "so many times as large at least" in which there is no chance."""
    shown = f"{ratios.numbers[0]:.2f} times" if ratios.n else ""
    return bound(label, known, ratios, least=least, form=lambda _: shown)


def _size(results: Results, data: str, model: str, known: str) -> Part:
    """Parameters of a network over those of L-conv."""
    samples = (PARAMETERS.of(results, _four(data, one, "rotated")) for one in (model, "lconv"))
    return _times(arms.MODELS[model], known, per_seed(operator.truediv, *samples), LARGER)


def _layer_size(results: Results, data: str) -> Part:
    """Parameters of FC (~L-conv) over those of L-conv, both without the classifier."""
    samples = [PARAMETERS.of(results, _four(data, model, "rotated")) for model in ("fc", "lconv")]
    classifier = _classifier(results, data)
    layers = [sample.map(lambda count: count - classifier) for sample in samples]
    return _times(arms.DATASETS[data], "far fewer", per_seed(operator.truediv, *layers), LARGER)


def _classifier(results: Results, data: str) -> int:
    """Parameters behind the features of L-conv, as it was run."""

    def setting(name: str) -> Any:
        found = results.settings(arms.figure4(data), name, arms.arm4("lconv", "rotated"))
        return found[0] if found else getattr(Settings(dataset=data), name)

    known = catalogue.find(setting("dataset"))
    side = setting("size") or known.shape[1]
    return counts.dense(side * side * setting("width"), len(known.classes))


def _step_time(results: Results, data: str) -> Part:
    """How much longer a training step of L-conv takes than one of the CNN."""
    samples = (Quantity("step_seconds").of(results, _four(data, m, "rotated")) for m in ("lconv", "cnn"))
    ratios = per_seed(operator.truediv, *samples)
    known = "7 s to 6 s an epoch" if data == "mnist" else "slightly"
    found = part(arms.DATASETS[data], known, [ratios.map(lambda ratio: SLOWER - ratio)], BETTER)
    return replace(found, ours=_ratio(ratios))


def _ratio(ratios: Sample) -> str:
    """``1.61 times [1.18, 2.04]``."""
    if not ratios.n:
        return ""
    interval = f" {text.interval(*ratios.summary.interval(), 2)}" if ratios.n > 1 else ""
    return f"{ratios.summary.mean:.2f} times{interval}"


# -- two layers: Figure 3 ----------------------------------------------------------------------------------


def _two_layers(results: Results, experiment: str) -> Iterator[Row]:
    """L5 to L9, on CIFAR-100 as in the paper, and on CIFAR-10, which is ours."""
    data = arms.FIGURE3_EXPERIMENTS[experiment]
    names, both = arms.MODELS, ("default", "scrambled")

    ours = data != "cifar100"

    def judged(key: str, pairs: list[Pair], rule: Rule = BETTER, **options: Any) -> Row:
        name, parts = f"{key}-{data}" if ours else key, compare(results, BEST, rule, pairs)
        options = {"at_lite": True, "said": key, "ours": ours, "data": arms.DATASETS[data]} | options
        return claim(results, name, parts, experiment, **options)

    def pair(variant: str, first: str, m: int, second: str, n: int) -> Pair:
        label = f"{variant}: {m} {names[first]} - {n} {names[second]}"
        places = [(experiment, arms.arm3(*one, variant)) for one in ((first, m), (second, n))]
        return label, places[0], places[1], "figure 3"

    fc = ("fc", "fc_shallow")
    yield judged("L5", [pair(v, "lconv", n, other, n) for v in both for n in (1, 2) for other in fc])
    others = ("cnn", "cnn_pool", *fc)
    yield judged("L6", [pair("scrambled", "lconv", 1, other, n) for other in others for n in (1, 2)])
    no_gain: dict[str, Any] = {"rule": above(-SAME), "same": f"{SAME:g}", "at_lite": ours}
    yield judged("L7", [pair(v, m, 1, m, 2) for m in ("lconv", "cnn") for v in both], **no_gain)
    yield judged("L8", [pair("default", "cnn_pool", n, m, n) for n in (1, 2) for m in ("cnn", "lconv")])
    yield judged("L9", [pair("scrambled", "cnn", n, "cnn_pool", n) for n in (1, 2)], **no_gain)


# -- many sizes: Figure 5 ----------------------------------------------------------------------------------


def _sizes(results: Results) -> Iterator[Row]:
    """L4, L10 to L12, L20 and L21."""

    def better(key: str, pairs: list[Pair], **options: Any) -> Row:
        return ordered(results, key, compare(results, BEST, BETTER, pairs), "figure5", **options)

    def pair(label: str, first: str, second: str, known: str = "") -> Pair:
        return label, ("figure5", first), ("figure5", second), known

    def logged(label: str, first: str, second: str) -> Pair:
        printed = [results.published("logs", arm, "accuracy") for arm in (first, second)]
        return pair(
            label, first, second, f"{printed[0].value - printed[1].value:+.2f}" if all(printed) else ""
        )

    shapes = {shape: arms.long_label(shape) for shape in arms.SHAPES}
    learned = [pair(shapes[s], f"lconv_{s}", f"random_{s}", "significantly") for s in shapes]
    yield better("L4", learned)
    ranks = [pair("k = 6 - k = 16", "lconv_m32_K9_r6", "lconv_m32_K9_r16", "similar")]
    similar = compare(results, BEST, within(SIMILAR), ranks)
    yield claim(results, "L10", similar, "figure5", similar=f"{SIMILAR:g}")
    best = [pair(f"k = 6 - k = {k}", "lconv_m32_K9_r6", f"lconv_m32_K9_r{k}", "best") for k in (4, 8, 16)]
    yield claim(results, "L10-best", compare(results, BEST, BETTER, best), "figure5")
    yield ordered(results, "L20", [_most(results)], "figure5")
    worse = [pair(f"{shapes[s]}: L-conv - FC", f"lconv_{s}", f"fc_{s}", "FC worse") for s in arms.FC_SHAPES]
    larger = [_larger(results, s, f"{shapes[s]}: parameters") for s in arms.FC_SHAPES]
    parts = compare(results, BEST, BETTER, worse) + larger
    yield ordered(results, "L21", parts, "figure5", much=f"{MUCH:g}")
    kernels = [(f"CNN, {arms.long_label(s)}", f"lconv_{MATCHED}", f"cnn_{s}") for s in arms.MATCHED["cnn"]]
    steps = [(f"{b} - {a}", f"cnn_m32_{b}", f"cnn_m32_{a}") for a, b in pairwise(arms.KERNELS)]
    for key, found in (("L11", kernels), ("L12", steps)):
        yield better(key, [logged(*one) for one in found], ours=True)


def _most(results: Results) -> Part:
    """By seed the share of L-conv networks above every CNN and FC."""

    def share(*accuracies: float) -> float:
        others = max(accuracies[len(arms.SHAPES) :])
        return 100 * sum(one > others for one in accuracies[: len(arms.SHAPES)]) / len(arms.SHAPES)

    networks = [f"{kind}_{shape}" for kind, found in arms.FIGURE5.items() for shape in found]
    shares = per_seed(share, *(BEST.of(results, ("figure5", name)) for name in networks))
    found = part("L-conv above all CNN and FC", "most", [shares.map(partial(operator.add, -50))], BETTER)
    shown = f"{shares.summary.mean:.0f} % of {len(arms.SHAPES)} networks" if shares.n else ""
    return replace(found, ours=shown)


def _larger(results: Results, shape: str, label: str) -> Part:
    """Parameters of FC over those of the L-conv whose structure it has."""
    samples = (PARAMETERS.of(results, ("figure5", f"{kind}_{shape}")) for kind in ("fc", "lconv"))
    return _times(label, "much higher", per_seed(operator.truediv, *samples), MUCH)
