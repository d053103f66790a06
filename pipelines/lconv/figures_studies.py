"""Figures of the studies (symmetries in generators, hidden ones, penalties) and of the theory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipelines.lconv import arms
from pipelines.lconv.quantities import BEST
from shared.report import plots
from shared.report.build import Quantity, Where, declared
from shared.report.figures import Axes, Canvas, Figure, canvas
from shared.report.plots import DASHED, Look, Series
from shared.report.results import Results
from shared.report.theme import INK, MUTED, SERIES

DEMO = (
    f"{plots.DEMO}Embedded digits stand for MNIST and Fashion-MNIST, drawn shapes for CIFAR-10 and "
    "CIFAR-100. "
)
#: Generators before and after training, and random ones.
MOMENTS = (
    Look("before training", SERIES[4], "o", ""),
    Look("after training", SERIES[0], "s", ""),
    Look("random generators", MUTED, "^", ""),
)
#: Pictures of hidden and learned generators: arm, metric and title.
GENERATORS = (
    ("rotation_8", "true", "hidden rotation"),
    ("rotation_8", "learned", "learned"),
    ("scrambled_8", "learned", "learned from scrambled pairs"),
    ("scrambled_8", "unscrambled", "the same, moved back"),
)
#: Arms whose exponential is drawn.
FLOWS = {
    "rotation_1": Look("rotation 1", SERIES[4], "s"),
    "rotation_8": Look("rotation 8", SERIES[0], "o"),
    "scrambled_8": Look("scrambled 8", SERIES[1], "^", DASHED),
    "rotation_8_rank16": Look("rotation 8 rank16", SERIES[3], "D"),
}
WITH_HIDDEN = Look("with the hidden generator", SERIES[0], "o", "")
WITH_ROTATION = Look("with plain rotation", SERIES[1], "s", "")
PENALIZED = {
    Quantity("closure", last=True): "commutators outside the span",
    Quantity("killing", last=True): "Killing form",
    BEST: "accuracy (%)",
}
#: Metrics of propositions and theorem that are drawn over steps.
LINES = {
    "p1_error": Look("linear f", SERIES[0]),
    "p1_relu_printed": Look("ReLU, as printed", SERIES[1], "s"),
    "p1_relu_layer": Look("ReLU outside", SERIES[2], "^"),
    "p2_error": Look("exponential", SERIES[0]),
    "p2_group_error": Look("six elements", SERIES[1], "s"),
    "p2_haar_error": Look("SO(3)", SERIES[2], "^"),
    "p2_correlation": Look("n layers", SERIES[0]),
    "transfer": Look("mean over seeds", SERIES[0]),
}


def figures(results: Results) -> list[Figure]:
    """The figures of the studies, in reading order."""
    return [symmetries(results), planted(results), penalty(results), propositions(results), theorem1(results)]


def symmetries(results: Results) -> Figure:
    """How much of the rotation generator the learned ones span."""
    experiments = {data: arms.figure4(data) for data in arms.DATASETS}
    shown = {
        data: name
        for data, name in experiments.items()
        if any(len(results.curves(name, arms.arm4("lconv", v), "control_rotation")) for v in arms.VARIANTS)
    }
    return plots.figure(
        results,
        "symmetries",
        lambda: _draw_symmetries(results, shown),
        shown=list(shown),
        experiments=list(experiments.values()),
        demo=DEMO,
    )


def _draw_symmetries(results: Results, experiments: Mapping[str, str]) -> Canvas:
    drawn, panels = canvas(1.0 + 2.1 * len(experiments), 3.0, 1, len(experiments), sharey=True)
    for axes, (data, experiment) in zip(panels, experiments.items()):
        places = [(experiment, arms.arm4("lconv", variant)) for variant in arms.VARIANTS]
        of_moment = (
            [results.sample(*place, "captured_rotation", [0]) for place in places],
            [results.last(*place, "captured_rotation") for place in places],
            [results.sample(*place, "control_rotation") for place in places],
        )
        for offset, samples, look in zip((-0.22, 0.0, 0.22), of_moment, MOMENTS):
            plots.dots(axes, {place + offset: sample for place, sample in enumerate(samples)}, look)
        plots.categories(axes, list(arms.VARIANTS))
        axes.set(title=arms.DATASETS[data], ylim=(0, None))
    panels[0].set_ylabel("part of the rotation")
    plots.legend(drawn, MOMENTS)
    return drawn


def planted(results: Results) -> Figure:
    """Hidden and learned generators as pictures, and how near they are."""
    shown = [results.frame("planted")]
    return plots.figure(results, "planted", lambda: _draw_planted(results), shown=shown, demo="")


def _draw_planted(results: Results) -> Canvas:
    drawn, _ = canvas(9.4, 5.6)
    drawn.clear()
    upper, lower = drawn.subfigures(2, 1, height_ratios=[1, 1.15])
    for axes, (arm, metric, title) in zip(upper.subplots(1, len(GENERATORS)), GENERATORS):
        plots.picture(axes, results.picture("planted", arm, metric), title, signed=True)
    left, right = lower.subplots(1, 2, width_ratios=[1.5, 1])
    names = list(results.declared.experiment("planted").arms)
    for place, arm in enumerate(names):
        plots.dots(left, {place - 0.13: results.sample("planted", arm, "similarity")}, WITH_HIDDEN)
        plots.dots(left, {place + 0.13: results.sample("planted", arm, "rotation_similarity")}, WITH_ROTATION)
        chance = results.sample("planted", arm, "random_similarity")
        if chance.n:
            left.hlines(chance.summary.mean, place - 0.35, place + 0.35, color=MUTED, linewidth=1)
    plots.categories(left, [name.replace("_", "\n") for name in names], fontsize=6.5)
    left.set(ylabel="cosine", ylim=(-0.03, 1.05))
    plots.legend(left, [WITH_HIDDEN, WITH_ROTATION], loc="lower center", bbox_to_anchor=(0.5, 1.0))
    flows = plots.series(results, "flow_error", {arm: ("planted", arm) for arm in FLOWS}, FLOWS)
    how = {"xlabel": "times the trained angle", "ylabel": "error of the exponential", "xticks": [2, 10]}
    looks = plots.curves(right, flows, plots.band, errorbar=None)
    right.set(**how, ylim=(0, None))
    plots.legend(right, looks, loc="best", ncols=1)
    return drawn


def penalty(results: Results) -> Figure:
    """What penalties on the generators do."""
    shown = [results.frame("penalty")]
    return plots.figure(results, "penalty", lambda: _draw_penalty(results), shown=shown, demo=DEMO)


def _draw_penalty(results: Results) -> Canvas:
    drawn, panels = canvas(9.4, 3.0, 1, 3)
    lines = declared(results, "penalty")
    for axes, (what, title) in zip(panels, PENALIZED.items()):
        samples = [what.of(results, ("penalty", line.key)) for line in lines]
        plots.dots(axes, dict(enumerate(samples)), Look("", SERIES[0]))
        words = [line.title.replace(", weight ", "\n").replace(" form", "\nform") for line in lines]
        plots.categories(axes, [word.replace("no ", "no\n") for word in words], fontsize=7)
        axes.set(title=title, ylim=(None if what is BEST else 0, None))
    return drawn


def _of(results: Results, where: Where, *metrics: str) -> list[Series]:
    """Metrics of one arm."""
    shown = (plots.series(results, metric, {metric: where}, LINES) for metric in metrics)
    return [one for series in shown for one in series]


def _rates(axes: Axes, shown: Sequence[Series], start: float, order: float, **how: object) -> None:
    """Lines by seed and their means on logarithmic axes; dashed, the order that is expected of the first."""
    looks = plots.curves(axes, shown, plots.each_seed)
    axes.set(xscale="log", yscale="log", **how)
    means = shown[0].values.mean()
    steps = means.index.to_numpy(float)
    expected = Look(f"order {order:g}", INK, "", DASHED)
    line = start * means.iloc[0] * (steps / steps[0]) ** order
    axes.plot(steps, line, color=INK, linewidth=0.9, linestyle=DASHED)
    plots.legend(axes, [*looks[:1], expected, *looks[1:]], loc="best", ncols=1)


def _steps_as_ticks(axes: Axes, one: Series) -> None:
    """Name each step of a series on the horizontal axis, and nothing between."""
    steps = [*one.values.columns]
    axes.set_xticks(steps, [f"{step:g}" for step in steps])
    axes.minorticks_off()


def propositions(results: Results) -> Figure:
    """The rates of Propositions 1 and 2."""
    near = _of(results, ("propositions", "all"), "p1_error")
    near += _of(results, ("propositions", "stated"), "p1_relu_printed", "p1_relu_layer")
    deep = _of(results, ("propositions", "all"), "p2_error", "p2_group_error")
    deep += _of(results, ("propositions", "stated"), "p2_haar_error")
    (correlation,) = _of(results, ("propositions", "all"), "p2_correlation")

    def draw() -> Canvas:
        drawn, (first, second, third) = canvas(9.4, 3.2, 1, 3)
        _rates(first, near, 1.3, 2, xlabel="half width η", ylabel="relative error")
        _steps_as_ticks(first, near[0])
        _rates(second, deep, 1.4, -1, xlabel="layers n", ylabel="relative error")
        rising = correlation.at([step for step in correlation.values if step > 0])
        looks = plots.curves(third, [rising], plots.band, errorbar=None)
        third.set(xscale="log", xlabel="layers n", ylabel="correlation with the shift")
        _steps_as_ticks(third, rising)
        third.axhline(np.sqrt(19 / 20), color=INK, linewidth=0.9, linestyle=DASHED)
        plots.legend(third, [*looks, Look("limit", INK, "", DASHED)], loc="best", ncols=1)
        return drawn

    return plots.figure(results, "propositions", draw, shown=[*near, *deep, correlation], demo="")


def theorem1(results: Results) -> Figure:
    """Symmetries of regression: exact where the theorem says so, and how they transfer to new samples."""
    shown = _of(results, ("theorem1", "all"), "transfer")

    def draw() -> Canvas:
        import seaborn as sns

        drawn, (left, right) = canvas(7.6, 3.1, 1, 2)
        for place, color in enumerate(SERIES[:2]):
            sample = results.sample("theorem1", "all", ("t2_intertwining", "t4_intertwining")[place])
            beside = place + (np.linspace(-0.15, 0.15, sample.n) if sample.n > 1 else np.zeros(sample.n))
            sns.scatterplot(x=beside, y=np.array(sample.numbers), color=color, s=12, linewidth=0, ax=left)
        plots.categories(left, ["as constructed", "random u"])
        left.set(yscale="log", ylabel="relative residual of A u = u_c A")
        _rates(right, shown, 1.0, -0.5, xlabel="samples n", ylabel="error on other samples")
        return drawn

    return plots.figure(results, "theorem1", draw, shown=shown, demo="")
