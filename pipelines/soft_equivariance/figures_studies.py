"""Figures of ours: steps from strict to relaxed, draws of angles, learned omega', equivariance error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from pipelines.soft_equivariance import arms
from pipelines.soft_equivariance.quantities import ACCURACY
from pipelines.soft_equivariance.studies import STEPS, SUMS, TURNS, WHOLE, drawn
from shared.report import plots
from shared.report.build import declared
from shared.report.figures import Canvas, Figure, canvas
from shared.report.plots import DASHED, Decades, Look, Series
from shared.report.results import Results
from shared.report.tables import Sample
from shared.report.theme import INK, MUTED, SERIES

DEMO = f"{plots.DEMO}Drawn shapes stand for CIFAR-10 and CIFAR-100. "
TURN_LOOKS = {
    90: Look("turned by 90°", SERIES[0]),
    180: Look("180°", SERIES[1], "s"),
    270: Look("270°", SERIES[2], "^", DASHED),
}
#: omega' as it is learned with these penalties.
STRENGTHS = {
    "0": Look("λ = 0", SERIES[0]),
    "0.01": Look("λ = 0.01", SERIES[1], "s"),
    "1": Look("λ = 1", SERIES[2], "^"),
    "50": Look("λ = 50", SERIES[3], "D"),
}
OF_DRAWS = Look("one draw of the angles", SERIES[0], "o", "")


def figures(results: Results) -> list[Figure]:
    """The figures that are ours, in reading order."""
    return [steps(results), draws(results), learned(results), errors(results)]


# -- steps -------------------------------------------------------------------------------------------------


def steps(results: Results) -> Figure:
    """Each step's paired difference with its interval, and what they add up to."""
    found = {data: _differences(results, data) for data in arms.DATASETS}
    there = {data: gaps for data, gaps in found.items() if any(gap.n for gap in gaps.values())}
    of_soft = {data: (STEPS[data], "soft") for data in there}
    series = plots.series(results, "test_accuracy", of_soft, dict.fromkeys(there, OF_DRAWS))
    return plots.figure(
        results,
        "steps",
        lambda: _draw_steps(there),
        shown=series,
        experiments=list(STEPS.values()),
        demo=DEMO,
    )


def _differences(results: Results, data: str) -> dict[str, Sample]:
    """By title the difference of each seed, steps first; a title without runs has none."""
    experiment = STEPS[data]
    pairs = [
        (_short(line.title), line.arm[1], line.arms["base"][1])
        for line in declared(results, experiment)
        if line.arms
    ]
    pairs += [(title, first, second) for first, second, title in SUMS]
    return {
        title: ACCURACY.of(results, (experiment, first)) - ACCURACY.of(results, (experiment, second))
        for title, first, second in pairs
    }


def _short(title: str) -> str:
    return title.removeprefix("and ").partition(":")[0]


def _draw_steps(found: Mapping[str, Mapping[str, Sample]]) -> Canvas:
    titles = list(next(iter(found.values())))
    drawn, axes = canvas(9.4, 0.9 + 0.34 * len(titles), 1, len(found), sharey=True)
    for panel, (data, gaps) in zip(axes, found.items()):
        for place, gap in enumerate(gaps.values()):
            mark, color = ("o", SERIES[0]) if place < len(titles) - len(SUMS) else ("s", SERIES[1])
            if gap.n:
                panel.plot(gap.summary.mean, place, mark, color=color, markersize=4.5)
            if gap.n > 2:  # that of two seeds is ten times as wide as what they differ by
                panel.plot(gap.summary.interval(), (place, place), color=color, linewidth=1.2)
        panel.axvline(0, color=INK, linewidth=0.8)
        panel.axhline(len(titles) - len(SUMS) - 0.5, color=MUTED, linewidth=0.6)
        panel.set(title=arms.DATA[data], xlabel="points of test accuracy")
        panel.set_yticks(range(len(titles)), titles)
        panel.grid(axis="y", visible=False)
    axes[0].invert_yaxis()
    return drawn


# -- draws, learned frequencies, errors --------------------------------------------------------------------


def draws(results: Results) -> Figure:
    """Test accuracy of each trained network with each draw of its angles, about their mean."""
    shown = [
        Series(title, OF_DRAWS, results.curves(*where, "draw_accuracy"), results.tier(*where))
        for title, where in drawn(results).values()
    ]
    there = [one for one in shown if len(one)]
    return plots.figure(
        results,
        "draws",
        lambda: _draw_draws(there),
        shown=there,
        experiments=list(STEPS.values()),
        demo=DEMO,
    )


def _draw_draws(shown: Sequence[Series]) -> Canvas:
    panel, (axes,) = canvas(9.4, 3.4)
    for place, one in enumerate(shown):
        seeds = one.values.dropna(how="all")
        for column, (_, values) in enumerate(seeds.iterrows()):
            at = place + 0.22 * (column - (len(seeds) - 1) / 2)
            numbers = values.dropna().to_numpy(float)
            look = {"color": SERIES[column % len(SERIES)], "markersize": 3.5, "alpha": 0.7}
            axes.plot(np.full(len(numbers), at), numbers - numbers.mean(), "o", **look)
    labels = [one.name.replace(": ", "\n").replace(", ", ",\n") for one in shown]
    plots.categories(axes, labels, fontsize=7)
    axes.set(ylabel="points from the mean over draws")
    return panel


def learned(results: Results) -> Figure:
    """omega' by layer and lambda, for T(2) and SO(2)."""
    panels = {net: [_layers(results, net, strength) for strength in STRENGTHS] for net in ("t2", "n4")}

    def draw() -> Canvas:
        there = {net: shown for net, shown in panels.items() if any(map(len, shown))}
        whole, axes = canvas(4.3 * max(len(there), 1), 3.4, 1, max(len(there), 1))
        handles: list[Look] = []
        for panel, (net, shown) in zip(axes, there.items()):
            handles += plots.curves(panel, shown)
            started = [
                results.sample("table4_reduced", f"{net}_0", f"omega_{layer}", [0]) for layer in arms.LAYERS
            ]
            if all(sample.n for sample in started):
                start = [sample.summary.mean for sample in started]
                panel.plot(range(len(start)), start, color=INK, linewidth=0.9, linestyle=DASHED)
            labels = [title.replace(", ", ",\n") for title in arms.LAYERS.values()]
            plots.categories(panel, labels, fontsize=6.5)
            panel.set(title=arms.NETWORKS[arms.LEARNED[net][0]], ylabel="ω'")
        plots.legend(whole, [*handles, Look("before training", INK, "", DASHED)])
        return whole

    shown = [one for found in panels.values() for one in found]
    return plots.figure(results, "learned", draw, shown=shown, experiments=("table4_reduced",), demo=DEMO)


def _layers(results: Results, net: str, strength: str) -> Series:
    """Size of the learned omega' of each layer, at 0 to 5."""
    where = ("table4_reduced", f"{net}_{strength}")
    samples = [results.last(*where, f"omega_{layer}") for layer in arms.LAYERS]
    values = pd.DataFrame({float(i): pd.Series(one.values).abs() for i, one in enumerate(samples) if one.n})
    return Series(strength, STRENGTHS[strength], values, results.tier(*where))


def errors(results: Results) -> Figure:
    """What turns change: untrained with frozen whole frequencies, and trained as in Figure 4."""
    exact = [_by_frequency(results, angle) for angle in TURNS]
    trained = [_after_training(results, angle) for angle in TURNS]

    def draw() -> Canvas:
        there = [shown for shown in (exact, trained) if any(map(len, shown))]
        whole, panels = canvas(4.3 * max(len(there), 1), 3.4, 1, max(len(there), 1))
        for panel, shown in zip(panels, there):
            if shown is exact:
                scale = Decades.around(exact)
                for one in filter(len, exact):
                    scale.band(panel, one)
                scale.apply(panel)
                panel.set(title="untrained, whole frequencies frozen", xlabel="ω'")
            else:
                for one in trained:
                    plots.band(panel, one)
                panel.set(title="trained (CIFAR-10)", xlabel="ω'", yscale="log")
        panels[0].set_ylabel("relative change of the logits")
        plots.legend(whole, TURN_LOOKS.values())
        return whole

    shown = [*exact, *trained]
    return plots.figure(results, "errors", draw, shown=shown, experiments=("exact", "figure4"), demo=DEMO)


def _by_frequency(results: Results, angle: int) -> Series:
    samples = {m: results.sample("exact", "all", f"kept_4_{m}", [angle]) for m in WHOLE}
    values = pd.DataFrame({float(m): pd.Series(one.values) for m, one in samples.items() if one.n})
    return Series(str(angle), TURN_LOOKS[angle], values, results.tier("exact", "all"))


def _after_training(results: Results, angle: int) -> Series:
    places = arms.swept(results, "cifar10", "n4")
    samples = {m: results.sample(*where, "turn_error", [angle]) for m, where in places.items()}
    values = pd.DataFrame({float(m): pd.Series(one.values) for m, one in samples.items() if one.n})
    tiers = [one.tier for one in samples.values() if one.n]
    return Series(str(angle), TURN_LOOKS[angle], values, tiers[0] if tiers else "")
