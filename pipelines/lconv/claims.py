"""The claims of the L-conv paper as tests over seeds (fact sheet, section 8)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from pipelines.lconv import arms, cells, claims_studies
from pipelines.lconv.rules import Arm, Pair, above, compare, within
from shared import stats, verdicts
from shared.report import text
from shared.report.claims import Part, effect, judge, row
from shared.report.results import Results, difference
from shared.report.tables import Row

#: Points below which two accuracies count as the same (L7, L14), as close (L3) and as similar (L10).
SAME, CLOSE, SIMILAR = 1.0, 2.0, 1.0
#: Times by which FC (~L-conv) is larger (L3, L16), and by which a step of L-conv may take longer (L13).
LARGER, SLOWER = 5.0, 1.5
TURNED = ("rotated", "scrambled")
#: The CNN kernels of L11; with 175,090 to 224,874 parameters they are as large as that L-conv.
MATCHED = ("m24_2x2", "m32_2x2", "m32_2x3", "m32_3x3", "m32_4x4", "m32_5x5")
MATCHED_LCONV = "m16_K6_r8"


def rows(results: Results) -> Iterator[Row]:
    """One row per claim and data set, in the order of the fact sheet."""
    for data in arms.DATASETS:
        yield from _one_layer(results, data)
    for experiment, data in arms.FIGURE3_EXPERIMENTS.items():
        yield from _two_layers(results, experiment, data)
    yield from _sizes(results)
    yield from claims_studies.rows(results)


def _one_layer(results: Results, data: str) -> Iterator[Row]:
    """L1 to L4, L13, L14 and L16 on one data set."""

    def four(model: str, variant: str) -> Arm:
        return arms.figure4(data), arms.arm4(model, variant)

    def pairs(first: str, others: tuple[str, ...], variants: tuple[str, ...]) -> list[Pair]:
        return [
            (f"{kind}: {arms.MODELS[first]} - {arms.MODELS[other]}", four(first, kind), four(other, kind), "")
            for kind in variants
            for other in others
        ]

    title, ending = arms.DATASETS[data], data.replace("_mnist", "")
    statement = f"{title}, rotated, and rotated and scrambled: L-conv beats CNN, random L and FC"
    found = pairs("lconv", ("cnn", "random", "fc"), TURNED)
    yield compare(
        results, f"L1-{ending}", statement, found, above(), "figure 2, all panels", headline=data == "mnist"
    )
    found = pairs("cnn", ("lconv",), ("default",)) + pairs("lconv", ("random", "fc"), ("default",))
    yield compare(
        results,
        f"L2-{ending}",
        f"{title}, default: the CNN is best, L-conv second",
        found,
        above(),
        "figure 4",
    )
    if data == "mnist":
        yield _close_at_five_times(results)
    statement = f"{title}: learned generators beat random ones, as it is, rotated, rotated and scrambled"
    yield compare(
        results, f"L4-{ending}", statement, pairs("lconv", ("random",), tuple(arms.VARIANTS)), above(), "text"
    )
    yield _step_time(results, data)
    found = [
        (arms.MODELS[m], four(m, "scrambled"), four(m, "rotated"), "") for m in ("lconv", "random", "fc")
    ]
    statement = (
        f"{title}: scrambling the pixels does not matter to L-conv, random L and FC (within {SAME:g} point; "
        "follows from the layer, E2)"
    )
    yield compare(results, f"L14-{ending}", statement, found, within(SAME), "exactly none")
    found = [("CNN", four("cnn", "rotated"), four("cnn", "scrambled"), "")]
    yield compare(results, f"L14-{ending}-cnn", f"{title}: to the CNN it does", found, above(), "figure 2")
    if data in ("mnist", "cifar10"):
        statement = f"{title}: FC with the structure of L-conv has {LARGER:g} times its parameters or more"
        yield row(
            f"L16-{ending}",
            statement,
            [_ratio(results, data, "")],
            command=results.command(arms.figure4(data)),
        )


def _close_at_five_times(results: Results) -> Row:
    """L3: FC comes close to L-conv on MNIST, but is five times larger."""
    parts = []
    for kind in TURNED:
        experiment = arms.figure4("mnist")
        samples = [cells.best(results, experiment, arms.arm4(model, kind)) for model in ("fc", "lconv")]
        found = difference(*samples)
        parts.append(effect(f"{kind}: FC - L-conv", "close", found, judge(found, samples, above(-CLOSE))))
    parts.append(_ratio(results, "mnist", "parameters"))
    statement = (
        f"MNIST: FC comes within {CLOSE:g} points of L-conv, with {LARGER:g} times the parameters or more"
    )
    return row("L3", statement, parts, command=results.command(arms.figure4("mnist")))


def _ratio(results: Results, data: str, label: str) -> Part:
    """Parameters of FC (~L-conv) over those of L-conv."""
    large, small = (
        results.sample(arms.figure4(data), arms.arm4(model, "rotated"), "parameters")
        for model in ("fc", "lconv")
    )
    ratios = [large.values[seed] / small.values[seed] for seed in large.values if seed in small.values]
    ours = f"{ratios[0]:.2f} times" if ratios else ""
    return Part(label, "5.1 to 9.3 times", ours, verdicts.within(ratios, least=LARGER, tier=large.tier))


def _step_time(results: Results, data: str) -> Row:
    """L13: how much longer a training step of L-conv takes."""
    experiment = arms.figure4(data)
    first, second = (
        results.sample(experiment, arms.arm4(model, "rotated"), "step_seconds") for model in ("lconv", "cnn")
    )
    ratios = [first.values[seed] / second.values[seed] for seed in first.values if seed in second.values]
    spare = stats.one_sample([SLOWER - ratio for ratio in ratios]) if len(ratios) > 1 else None
    ours = ""
    if ratios:
        summary = stats.summary(ratios)
        ours = f"{summary.mean:.2f} times"
        ours += f" {text.interval(*summary.interval(), 2)}" if summary.n > 1 else ""
    part = Part("", "7 s to 6 s an epoch", ours, judge(spare, [first, second], above()))
    statement = (
        f"{arms.DATASETS[data]}: a training step of L-conv takes less than {SLOWER:g} times as long as one "
        "of the CNN (batches of 32, one network alone)"
    )
    key = f"L13-{data.replace('_mnist', '')}"
    return row(key, statement, [part], command=results.command(experiment))


def _two_layers(results: Results, experiment: str, data: str) -> Iterator[Row]:
    """L5 to L9, on CIFAR-100 as in the paper and on CIFAR-10."""

    def pairs(first: str, others: tuple[str, ...], variants: tuple[str, ...]) -> list[Pair]:
        return [
            (
                f"{kind}: {arms.MODELS[first]} - {arms.MODELS[other]}",
                (experiment, arms.arm3(first, 1, kind)),
                (experiment, arms.arm3(other, 1, kind)),
                "",
            )
            for kind in variants
            for other in others
        ]

    title, ending = arms.DATASETS[data], "" if data == "cifar100" else f"-{data}"
    both = ("default", "scrambled")
    statement = f"{title}: both FC are below L-conv, on default and on rotated and scrambled images"
    found = pairs("lconv", ("fc", "fc_shallow"), both)
    yield compare(results, f"L5{ending}", statement, found, above(), "text, on CIFAR-100")
    statement = f"{title}, rotated and scrambled: L-conv beats every other network"
    found = pairs("lconv", ("cnn", "cnn_pool", "fc", "fc_shallow"), ("scrambled",))
    yield compare(results, f"L6{ending}", statement, found, above(), "text, on CIFAR-100")
    layers = [
        (f"{kind}: {arms.MODELS[m]}", *((experiment, arms.arm3(m, n, kind)) for n in (2, 1)), "")
        for m in ("lconv", "cnn")
        for kind in both
    ]
    statement = (
        f"{title}: without pooling a second layer changes L-conv and CNN by less than {SAME:g} point (two "
        "layers that are two)"
    )
    yield compare(
        results, f"L7{ending}", statement, layers, within(SAME), "text; but its 2-layer CNN has one (D3)"
    )
    found = pairs("cnn_pool", ("cnn", "lconv"), ("default",))
    statement = f"{title}, default: the CNN with max pooling beats CNN and L-conv"
    yield compare(results, f"L8{ending}", statement, found, above(), "text, on CIFAR-100")
    found = pairs("cnn", ("cnn_pool",), ("scrambled",))
    statement = f"{title}, rotated and scrambled: the CNN beats the one with max pooling"
    yield compare(results, f"L9{ending}", statement, found, above(), "text, on CIFAR-100")


def _sizes(results: Results) -> Iterator[Row]:
    """L10 to L12, from Figure 5."""
    arm = "figure5"
    found: list[Pair] = [("k = 6 - k = 16", (arm, "lconv_m32_K9_r6"), (arm, "lconv_m32_K9_r16"), "")]
    statement = f"Rotated and scrambled MNIST: ranks 6 and 16 do alike, within {SIMILAR:g} point"
    yield compare(results, "L10", statement, found, within(SIMILAR), "similar")

    def printed(key: str) -> float | None:
        value = results.published("figure5", key, "accuracy")
        return value.value if value else None

    def gap(first: str, second: str) -> str:
        values = printed(first), printed(second)
        return "-" if None in values else f"{values[0] - values[1]:+.2f}"  # type: ignore[operator]

    lconv = f"lconv_{MATCHED_LCONV}"
    found = [
        (f"CNN, {arms.long_label(shape)}", (arm, lconv), (arm, f"cnn_{shape}"), gap(lconv, f"cnn_{shape}"))
        for shape in MATCHED
    ]
    statement = (
        "Rotated and scrambled MNIST: L-conv with 188,362 parameters beats all CNN kernels with "
        "175,090 to 224,874"
    )
    yield compare(results, "L11", statement, found, above())
    steps = [(f"cnn_m32_{large}", f"cnn_m32_{small}") for small, large in pairwise(arms.KERNELS)]
    found = [(f"{a[8:]} - {b[8:]}", (arm, a), (arm, b), gap(a, b)) for a, b in steps]
    statement = "Rotated and scrambled MNIST: the CNN gains with its kernel, 2x2 < 2x3 < 3x3 < 4x4 < 5x5"
    yield compare(results, "L12", statement, found, above())
