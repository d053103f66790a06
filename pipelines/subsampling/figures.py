"""Figures of the paper (Edixhoven et al.), in reading order; our own studies are in `figures_studies`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from pipelines.subsampling import arms, figures_studies
from pipelines.subsampling.arms import APPROXIMATE, EXACT, QUARTERS, arm
from pipelines.subsampling.quantities import figure4_paper, figure4_source, swept
from shared.report import captions, plots, stats, text
from shared.report.figures import Axes, Canvas, Figure, canvas
from shared.report.plots import Look, Series
from shared.report.results import Results
from shared.report.theme import GRID, INK, MUTED, SERIES

#: The networks of Figures 5 and 6, in the order of the legend.
LOOKS = {
    "p4cnn_28": Look("P4CNN exact (28)", SERIES[0], "o"),
    "p4cnn_27": Look("P4CNN approximate (27)", SERIES[1], "s"),
    "p4cnn_29": Look("P4CNN approximate (29)", SERIES[2], "^"),
    "z2cnn_28": Look("Z2CNN (28)", SERIES[3], "D"),
}
ANGLES = {
    "xlabel": "rotation of the test images (degrees)",
    "xlim": (-5, 365),
    "xticks": range(0, 361, 45),
    "ylabel": "accuracy (%)",
}
KERNEL, STRIDE = 2, 2  # of the pooling in Figure 1
#: Fills of its windows, of which those of one color differ in opacity, and of pixels that are not read.
WINDOWS = {number: (SERIES[number % 6], (0.55, 0.25)[number // 6]) for number in range(9)} | {-1: (GRID, 0.6)}
#: Figure 2: arm and metric of each picture, and its title.
CROPS = (
    ("plain", "original", "x"),
    ("plain", "picture", "turned by 30 degrees"),
    ("cropped", "picture", "turned, circle crop"),
)
#: Figure 3: metrics and what they show.
PANELS = {
    "input": "input x",
    "filter": "learned 3x3 filter",
    "map": "f(x)",
    "map_of_rotated": "T$^{-1}$ f(T x)",
}
#: Figure 4, by stage.
STAGES = {
    stage: Look(f"after {title}", SERIES[number], "os^Dv"[number])
    for number, (stage, title) in enumerate(arms.STAGE_TITLES.items())
}
ACCURACY = Look("accuracy (right axis)", INK, "", ":")
#: Readings of Eq. 14, with what the axis says: the recommended one and the one without a scale come first.
PARTS = {
    "figure4": {"mse": "A: mean of D²", "energy": "E: sum of D² / sum of f(x)²"},
    "figure4_readings": {"root": "B: √(sum of D²) / N", "l1": "C: mean of |D|, 3 turns"},
}
REPLACED = {"figure4": "a p4 ResNet-44", "table2_reduced": "a reduced p4 ResNet of one block a stage"}
BROKEN = 1e-3  # a stage is, if its error comes within this factor of the largest


def figures(results: Results) -> list[Figure]:
    """All figures, in reading order."""
    return [
        figure1(results),
        figure2(results),
        figure3(results),
        figure4(results),
        figure4(results, "figure4_readings"),
        *(figure4(results, name.replace("table2", "figure4")) for name in arms.FIGURE4_PANELS),
        figure5(results),
        rotmnist(results),
        figure6(results),
        figure6(results, "figure6_images"),
        *figures_studies.figures(results),
    ]


# -- Figure 1: what a pooling reads, from the rule alone ---------------------------------------------------
# A pooling with kernel k and stride s (no padding) reads, for output cell (a, b), the pixels [s a, s a + k) x
# [s b, s b + k). Both orders of pooling and turning are pulled back to the pixels of the image, so that they
# can be compared as sets: these are equal for all cells if and only if (size - k) mod s = 0 (Eq. 3).


def windows(size: int, kernel: int, stride: int) -> np.ndarray:
    """Pixels that each cell of a pooling without padding reads, counted row by row.

    Shape:
        (cells, cells, kernel * kernel) with cells = floor((size - kernel) / stride) + 1.

    Raises:
        ValueError: if the kernel does not fit.
    """
    if kernel > size:
        raise ValueError(f"a kernel of {kernel} does not fit into {size} pixels; choose a larger size")
    axis = stride * np.arange((size - kernel) // stride + 1)[:, None] + np.arange(kernel)
    pixels = axis[:, None, :, None] * size + axis[None, :, None, :]
    return pixels.reshape(len(axis), len(axis), kernel * kernel)


def pool_then_turn(size: int, kernel: int, stride: int) -> np.ndarray:
    """Pixels of x behind each cell of T pool(x), sorted; T turns by 90 degrees, counter-clockwise."""
    return np.sort(np.rot90(windows(size, kernel, stride)), axis=-1)


def turn_then_pool(size: int, kernel: int, stride: int) -> np.ndarray:
    """Pixels of x behind each cell of pool(T x), sorted."""
    turned = np.rot90(np.arange(size * size).reshape(size, size))
    return np.sort(turned.reshape(-1)[windows(size, kernel, stride)], axis=-1)


def owners(size: int, sets: np.ndarray) -> np.ndarray:
    """For each pixel the number of the cell that reads it, -1 if none does.

    Shape:
        sets: (cells, cells, n); result: (size, size).
    """
    found = np.full(size * size, -1)
    cells = sets.shape[0] * sets.shape[1]
    found[sets] = np.arange(cells).reshape(*sets.shape[:2], 1)
    return found.reshape(size, size)


def figure1(results: Results) -> Figure:
    """How subsampling breaks equivariance: 2x2 max pooling with stride 2 of 5x5 and of 6x6 pixels."""

    def draw() -> Canvas:
        drawn, panels = canvas(10.4, 4.1, 2, 7, gridspec_kw={"width_ratios": (1, 1, 1, 0.25, 1, 1, 1)})
        for size, first in ((5, 0), (6, 4)):
            _draw_orders(size, panels[first : first + 3], panels[7 + first : 7 + first + 3])
        for spacer in (panels[3], panels[10]):
            spacer.set_axis_off()
        return drawn

    words = captions.words(results, f"figure1{captions.FIGURE}", {})
    return Figure("figure1", words.title, words.caption, words.alt, draw)


def _draw_orders(size: int, upper: list[Axes], lower: list[Axes]) -> None:
    """Both orders for one size: x, the step between, and the result."""
    image = np.arange(1, size * size + 1)
    square = image.reshape(size, size)
    sets = [of(size, KERNEL, STRIDE) for of in (pool_then_turn, turn_then_pool)]
    pooled, turned = (image[pixels].max(-1) for pixels in sets)
    cells = np.arange(pooled.size).reshape(pooled.shape)
    remainder = (size - KERNEL) % STRIDE
    head = f"{size} x {size} pixels, remainder {remainder}\n\n"
    _numbers(upper[0], "x", square, owners(size, sets[0]), "pool")
    _numbers(upper[1], f"{head}pool(x)", np.rot90(pooled, -1), np.rot90(cells, -1), "turn", size / 1.4)
    _numbers(upper[2], "T pool(x)", pooled, cells, "", size / 1.4)
    _numbers(lower[0], "x", square, owners(size, sets[1]), "turn")
    _numbers(lower[1], "T x", np.rot90(square), owners(size, windows(size, KERNEL, STRIDE)), "pool")
    _numbers(lower[2], "pool(T x)", turned, cells, "", size / 1.4)
    sign, color = ("=", SERIES[0]) if (pooled == turned).all() else ("≠", SERIES[1])
    place = {"transform": upper[2].transAxes, "ha": "center", "va": "center"}
    upper[2].text(0.5, -0.12, sign, fontsize=20, color=color, **place)


def _numbers(
    axes: Axes, title: str, values: np.ndarray, of_window: np.ndarray, then: str, side: float = 0
) -> None:
    """Numbered squares colored by window, amid a panel with room for ``side``, and what is done next."""
    options = {"square": True, "xticklabels": False, "yticklabels": False, "annot_kws": {"fontsize": 7}}
    plots.squares(axes, pd.DataFrame(of_window), WINDOWS, values, **options)
    for number, window in zip(axes.texts, of_window.flat):
        number.set_color(MUTED if window < 0 else INK)
        number.set_in_layout(False)
    margin = (max(side, len(values)) - len(values)) / 2 + 0.05
    axes.set(xlim=(-margin, len(values) + margin), ylim=(len(values) + margin, -margin), title=title)
    if then:
        arrow = {"arrowstyle": "->", "color": MUTED, "lw": 1.0}
        options = {"xycoords": "axes fraction", "annotation_clip": False, "arrowprops": arrow}
        axes.annotate("", (1.22, 0.5), (1.02, 0.5), **options)
        place = {"transform": axes.transAxes, "ha": "center", "va": "bottom"}
        axes.text(1.12, 0.53, then, fontsize=7.5, color=MUTED, **place)


# -- Figures 2 and 3: recorded pictures --------------------------------------------------------------------


def figure2(results: Results) -> Figure:
    """A digit, its turn by 30 degrees, and the same with the circle crop."""
    found = [results.picture("figure2", name, metric) for name, metric, _ in CROPS]
    tiers = text.join(sorted({results.tier("figure2", name) for name, _, _ in CROPS} - {""}))

    def draw() -> Canvas:
        drawn, panels = canvas(6.6, 2.35, 1, len(CROPS))
        turn = np.linspace(0, 2 * np.pi, 181)
        for axes, values, (_, _, title) in zip(panels, found, CROPS):
            plots.picture(axes, values, title, like=found)
            if values is not None:
                middle, radius = (len(values) - 1) / 2, len(values) / 2
                circle = (middle + radius * np.cos(turn), middle + radius * np.sin(turn))
                axes.plot(*circle, color=SERIES[4], linewidth=1.1, linestyle=(0, (3, 2)))
        return drawn

    return plots.figure(
        results,
        "figure2",
        draw,
        shown=[shown for shown in found if shown is not None],
        demo="",
        whose="scikit-learn's digits" if results.demo else "MNIST",
        tiers=f", {tiers}" if tiers else "",
    )


def figure3(results: Results) -> Figure:
    """What the toy network sees at 32 and at 33 pixels."""
    found = {
        name: {metric: results.picture("figure3", name, metric) for metric in PANELS}
        for name in ("toy_32", "toy_33")
    }
    complete = [name for name, by_metric in found.items() if all(v is not None for v in by_metric.values())]

    def draw() -> Canvas:
        drawn, panels = canvas(7.4, 4.1, 2, 4)
        for line, (name, by_metric) in enumerate(found.items()):
            row = panels[4 * line : 4 * line + 4]
            maps = [by_metric["map"], by_metric["map_of_rotated"]]
            for axes, (metric, title) in zip(row, PANELS.items()):
                like = maps if metric.startswith("map") else ()
                plots.picture(axes, by_metric[metric], "" if line else title, like=like)
            row[0].set_ylabel(f"{name.rpartition('_')[2]} pixels", color=INK)
            loss = results.last("figure3", name, "loss")
            if loss.n:
                row[3].set_xlabel(f"loss {text.fixed(loss.numbers[0], 4)}")
        return drawn

    return plots.figure(results, "figure3", draw, shown=complete, demo="")


# -- Figure 4: errors of each stage through training -------------------------------------------------------


def figure4(results: Results, name: str = "figure4") -> Figure:
    """Errors by epoch of an approximate and an exact network.

    Args:
        results: where the numbers come from.
        name: one of `PARTS`: which readings of Eq. 14, of networks that stand in for the paper's; or
            ``figure4_`` and a data set, for the paper's own panel of it.
    """
    if name in PARTS:
        said, title = name, ""
        experiment, networks = figure4_source(results)
        network, dataset = REPLACED[experiment], "CIFAR-10"
    else:
        experiment = name.replace("figure4", "table2")
        networks, dataset = figure4_paper(experiment), arms.DATASETS[name.removeprefix("figure4_")]
        network = f"a {arms.SHORT[networks[0]].rpartition(' ')[0]}"
        said, title = "figure4_panel", f"Figure {arms.FIGURE4_PANELS[experiment]}, {dataset}"
    parts = PARTS.get(name, PARTS["figure4"])
    places = {arm: (experiment, arm) for arm in networks}
    stages = {arm: dict.fromkeys(arms.stages(arm), place) for arm, place in places.items()}
    found = [
        {arm: plots.series(results, f"{reading}_{{name}}", stages[arm], STAGES) for arm in networks}
        for reading in parts
    ]
    accuracy = plots.series(results, "tracked_accuracy", places, dict.fromkeys(networks, ACCURACY))
    network += "" if results.demo else f" on {dataset}"
    readings = text.join([arms.READING_TITLES[reading] for reading in parts])
    return plots.figure(
        results,
        name,
        lambda: _draw_figure4(list(parts.values()), found, accuracy),
        shown=[one for by_arm in found for by_stage in by_arm.values() for one in by_stage],
        said=said,
        experiments=(experiment,),
        title=title,
        network=network,
        readings=readings,
    )


def broken(stages: Sequence[Series]) -> list[Series]:
    """The stages whose error is not rounding beside the largest one."""
    largest = [float(one.values.max(axis=None)) if len(one) else 0.0 for one in stages]
    limit = BROKEN * max(largest, default=0.0)
    return [one for one, value in zip(stages, largest) if value > 0 and value >= limit]


def _draw_figure4(
    labels: Sequence[str], found: Sequence[Mapping[str, list[Series]]], accuracy: Sequence[Series]
) -> Canvas:
    drawn, panels = canvas(10.2, 2.4 * len(found) + 0.6, len(found), 3, sharex=True)
    for row, (label, by_arm) in enumerate(zip(labels, found)):
        approximate, exact = by_arm.values()
        whole, enlarged = plots.Decades.around([*approximate, *exact]), broken(approximate)
        three = ((approximate, whole), (enlarged, plots.Decades.around(enlarged)), (exact, whole))
        for column, (axes, (stages, decades)) in enumerate(zip(panels[3 * row :], three)):
            for one in stages:
                decades.band(axes, one, markevery=max(1, one.values.shape[1] // 10))
            decades.apply(axes)
            right = axes.twinx()
            plots.band(right, accuracy[column // 2], errorbar=None, linewidth=1.2)
            right.set(ylim=(0, 104), yticks=range(0, 101, 25), ylabel="accuracy (%)" if column == 2 else "")
            right.tick_params(labelright=column == 2, length=3.5 if column == 2 else 0)
            right.grid(False)
        panels[3 * row].set_ylabel(label)
    for number, word in enumerate(("approximate", "enlarged", "exact")):
        panels[number].set_title(f"{accuracy[number // 2].name.rpartition('_')[2]} pixels: {word}")
        panels[number - 3].set_xlabel("epoch (0: before training)")
    plots.legend(drawn, [*(one.look for stages in found[0].values() for one in stages), ACCURACY])
    return drawn


# -- Figures 5 and 6, and Table 1's RotMNIST column: accuracy by angle -------------------------------------


def by_angle(
    results: Results, experiment: str, names: Mapping[str, str], table: str, rows: Mapping[str, str]
) -> list[Series]:
    """Accuracy over the rotation of the test images, of arms by network; that at 0 degrees again at 360."""
    places = {network: (experiment, name) for network, name in names.items()}
    return plots.series(results, "accuracy", places, LOOKS, table=table, rows=rows, period=360)


def apart(results: Results, experiment: str, names: Iterable[str]) -> tuple[tuple[float, ...], str | None]:
    """The angles of these arms that were tested on other images than the rest.

    With them what captions get as ``{marks}``: None, which leaves a paragraph out, if there are none.
    """
    shown = [name for name in names if results.tier(experiment, name)]
    if set(QUARTERS) <= set(swept(results, experiment, shown)):
        return (), None
    return (*QUARTERS, 360), ""


def figure5(results: Results) -> Figure:
    """Accuracy over the rotation of the test images, trained upright."""
    names = {network: arm(network, "upright") for network in LOOKS}
    shown = by_angle(results, "figure5", names, "figure5", {})
    alone, marks = apart(results, "figure5", names.values())

    return plots.figure(
        results,
        "figure5",
        lambda: plots.chart(shown, (7.4, 4.2), apart=alone, axes=ANGLES | {"ylim": (0, 102)}),
        shown=shown,
        marks=marks,
    )


def rotmnist(results: Results) -> Figure:
    """Accuracy by angle of networks trained on turned digits, and how much better the exact one is."""
    names = {network: arm(network, "uniform") for network in LOOKS}
    shown = by_angle(results, "table1", names, "table1_angles", {})
    alone, marks = apart(results, "table1", names.values())

    def draw() -> Canvas:
        drawn, (left, right) = canvas(9.0, 3.7, 1, 2)
        plots.legend(drawn, plots.curves(left, shown, apart=alone, through=False))
        left.set(**ANGLES)
        gaps = exact_minus_approximate(shown)
        for one in gaps:
            if len(one) > 1:
                plots.band(right, one, ("se", stats.t_quantile(0.975, len(one) - 1)))
        plots.references(right, gaps)
        right.axhline(0, color=INK, linewidth=0.8)
        right.set(**ANGLES | {"ylabel": "exact - approximate (points)"})
        return drawn

    return plots.figure(
        results,
        "table1_angles",
        draw,
        shown=shown,
        experiments=("table1",),
        marks=marks,
    )


def exact_minus_approximate(shown: Sequence[Series]) -> list[Series]:
    """How much better the exact network is than each approximate one, seed by seed; ours and the paper's."""
    found = {one.name: one for one in shown}
    exact, gaps = found[EXACT], []
    for one in (found[name] for name in APPROXIMATE):
        values = (exact.values - one.values).dropna(how="all").dropna(axis=1)
        both = len(one.paper) == len(exact.paper)
        paper = np.column_stack([one.paper[:, 0], exact.paper[:, 1] - one.paper[:, 1]]) if both else ()
        gaps.append(replace(one, values=values, paper=paper))
    return gaps


def figure6(results: Results, experiment: str = "figure6") -> Figure:
    """Accuracy by angle after training on digits turned by N(45, 20^2) and N(45, 40^2) degrees.

    Args:
        results: where the numbers come from.
        experiment: one of `arms.BIAS_EXPERIMENTS`: one angle per batch, as released, or per image.
    """
    found = {}
    for std in arms.BIASES:
        names = {network: arms.biased(network, std, experiment) for network in LOOKS}
        rows = {network: arms.biased(network, std) for network in LOOKS}
        found[std] = by_angle(results, experiment, names, "figure6", rows)
    names = [arms.biased(network, std, experiment) for network in LOOKS for std in arms.BIASES]
    alone, marks = apart(results, experiment, names)

    def draw() -> Canvas:
        heights = {"height_ratios": (4.2, 1)}
        drawn, panels = canvas(9.0, 4.6, 2, 2, sharex="col", sharey="row", gridspec_kw=heights)
        looks = []
        for (std, shown), above, below in zip(found.items(), panels, panels[2:]):
            looks += plots.curves(above, shown, apart=alone, through=False)
            above.set(**ANGLES | {"title": f"training angles N(45, {std}²)", "xlabel": ""})
            angles = np.arange(0, 361, 2.0)
            density = 100 * wrapped_normal(angles, 45.0, std)
            below.fill_between(angles, density, color=MUTED, alpha=0.25, lw=0)
            below.plot(angles, density, color=MUTED, linewidth=1.0)
            below.set(**ANGLES | {"ylim": (0, None), "ylabel": ""})
            corner = {"transform": below.transAxes, "ha": "right", "va": "top", "color": MUTED}
            below.text(0.985, 0.9, "training angles", **corner)
        panels[1].set_ylabel("")
        panels[2].set_ylabel("% / degree")
        plots.legend(drawn, looks)
        return drawn

    return plots.figure(
        results,
        experiment,
        draw,
        shown=[one for shown in found.values() for one in shown],
        marks=marks,
    )


def wrapped_normal(angles: np.ndarray, mean: float, std: float) -> np.ndarray:
    """Density per degree, on the circle, of N(mean, std^2) degrees, at angles of any shape."""
    turns = 360.0 * np.arange(-3, 4)
    distance = np.asarray(angles, dtype=float)[..., None] - mean + turns
    return np.exp(-0.5 * (distance / std) ** 2).sum(-1) / (std * np.sqrt(2 * np.pi))
