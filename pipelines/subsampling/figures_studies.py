"""Figures of our own studies: the size atlas, accuracy at quarter turns, errors before and after training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import pandas as pd

from pipelines.subsampling import arms
from pipelines.subsampling.arms import QUARTERS, name_of
from shared.report import plots, text
from shared.report.figures import Axes, Canvas, Figure, canvas
from shared.report.plots import Look, Series
from shared.report.results import Results
from shared.report.theme import GRID, INK, MUTED, SERIES

#: The atlas: networks that see images of similar size, and the sizes that the paper uses, by what they see.
FAMILIES = {
    "digits": (("z2cnn", "p4cnn", "p4mcnn"), (27, 28, 29)),
    "two samples": (("toy",), (32, 33)),
    "CIFAR-10 and CIFAR-100": ([name for name in arms.INVENTORY if "_cifar" in name], (32, 33)),
    "PCam": (("resnet44_pcam", "p4resnet44_pcam"), (96, 97)),
    "Flowers102 and ImageNet": ([name for name in arms.INVENTORY if "resnet18" in name], (224, 225)),
}
#: Columns before the first size that the paper uses, and after the last; no family has more than `COLUMNS`.
BEFORE, AFTER, COLUMNS = 8, 7, 18
#: Fills by verdict, whether a network is plain, and so pale.
FILLS = {
    ("exact", False): (SERIES[0], 0.85),
    ("approximate", False): (SERIES[1], 0.3),
    ("exact", True): (SERIES[0], 0.34),
    ("approximate", True): (SERIES[1], 0.12),
    ("does not fit", False): (GRID, 0.0),
    ("does not fit", True): (GRID, 0.0),
}

#: By verdict, as `arms.EQUIVARIANCE` has it.
LOOKS = {
    "exact": Look("exact", SERIES[0], "o"),
    "approximate": Look("approximate", SERIES[1], "s"),
    "none": Look("not equivariant", SERIES[3], "D"),
}
#: Below the name of a network, how it was repaired.
REPAIRS = {"": "as published", "resize": "resized", "pool": "exact pool"}

#: Where trained networks are found, with the kind of training images.
TRAINED = {
    **dict.fromkeys(
        ("table1", "figure6", "figure6_images", "sizes", "padding", "repair", "mirrors"), "digits"
    ),
    **dict.fromkeys((f"table2_{dataset}" for dataset in arms.TABLE2), "images"),
    **dict.fromkeys(("table2_reduced", "controls_cifar10"), "images"),
}
#: Marker by kind of training images.
MARKERS = {"upright digits": "o", "turned digits": "^", "upright color images": "s"}
POINT = ["run", "seed", "arm", "tier", "verdict", "trained", "before", "after", "lost"]


def figures(results: Results) -> list[Figure]:
    """The figures of our own studies, in reading order."""
    return [
        atlas(results),
        sizes(results),
        padding(results),
        repair(results),
        mirrors(results),
        invariance(results),
    ]


# -- the size atlas ----------------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """A network at a size: "exact", "approximate" or "does not fit", and the stage that breaks (0: none)."""

    word: str
    stage: int


def atlas(results: Results) -> Figure:
    """Verdicts of all networks over a range of input sizes."""
    found = {name: verdicts(results, name) for names, _ in FAMILIES.values() for name in names}
    return plots.figure(
        results,
        "atlas",
        lambda: _draw_atlas(found),
        shown=list(found.values()),
        experiments=("networks",),
        demo="",
    )


def verdicts(results: Results, name: str) -> dict[int, Verdict]:
    """What the atlas says of a network, by input size; empty if it has not been asked."""
    columns = {}
    for metric in ("exact", "fits", "breaks_stage"):
        curves = results.curves("networks", name, metric)
        columns[metric] = curves.iloc[0] if len(curves) else pd.Series(dtype=float)
    table = pd.DataFrame(columns).dropna(subset=["fits"]).fillna(0.0)
    words = {
        size: "does not fit" if not row["fits"] else "exact" if row["exact"] else "approximate"
        for size, row in table.iterrows()
    }
    return {
        int(size): Verdict(word, int(table["breaks_stage"][size] * table["fits"][size]))
        for size, word in words.items()
    }


def used(name: str) -> tuple[int, ...]:
    """The input sizes at which the paper uses a network."""
    if name == "toy":
        return (32, 33)
    model, _, dataset = name.removesuffix("_standard").partition("_")
    named = arms.TABLE2[dataset] if dataset else arms.NETWORKS
    return tuple(arms.PIXELS[arm] for arm in named if arm.rpartition("_")[0] == model)


def period(found: Mapping[int, Verdict]) -> int:
    """Pixels from one exact size to the next; 0 if fewer than two are known."""
    exact = [size for size in sorted(found) if found[size].word == "exact"]
    return exact[1] - exact[0] if len(exact) > 1 else 0


def near(found: Iterable[int], centers: Iterable[int]) -> list[int]:
    """The sizes that are drawn: those near the ones that the paper uses."""
    centers = tuple(centers)
    return [size for size in sorted(found) if min(centers) - BEFORE <= size <= max(centers) + AFTER]


def breaker(name: str, number: int) -> str:
    """What breaks: ``S`` for the stem of a residual network, else its stage; of others ``P`` or ``C``."""
    if "resnet" in name:
        return "S" if number == 1 else str(number - 1)
    return "C" if name == "toy" else "P"


def _draw_atlas(found: Mapping[str, Mapping[int, Verdict]]) -> Canvas:
    """A panel for each family, with as much room for a row as in the others."""
    from matplotlib.patches import Patch

    shown = {title: [name for name in names if found[name]] for title, (names, _) in FAMILIES.items()}
    rows = {title: len(names) for title, names in shown.items() if names}
    height = 0.27 * sum(rows.values()) + 0.52 * len(rows) + 0.4
    drawn, panels = canvas(7.7, height, len(rows), 1, height_ratios=[*rows.values()])
    for axes, title in zip(panels, rows):
        _draw_family(axes, {name: found[name] for name in shown[title]}, FAMILIES[title][1])
        axes.set_title(title, loc="left", color=MUTED)
    fills = {word: fill for (word, pale), fill in FILLS.items() if fill[1] and not pale}
    words = [Patch(facecolor=color, alpha=alpha, label=word) for word, (color, alpha) in fills.items()]
    words += [Patch(fill=False, edgecolor=INK, lw=1.5, label="used by the paper")]
    words += [Patch(facecolor=GRID, label="pale: plain network, sampling only")]
    plots.legend(drawn, words, handlelength=1.0, handleheight=1.0)
    return drawn


def _draw_family(axes: Axes, found: Mapping[str, Mapping[int, Verdict]], centers: Iterable[int]) -> None:
    """Squares by network and size, with what breaks there, and frames around the paper's sizes."""
    from matplotlib.patches import Rectangle

    columns = near({size for of_size in found.values() for size in of_size}, centers)
    keys = pd.DataFrame(index=[*found], columns=columns, dtype=object)
    words = pd.DataFrame("", [*found], columns)
    for name, of_size in found.items():
        for size in set(columns) & set(of_size):
            word, stage = of_size[size]
            keys.at[name, size] = (word, not name.startswith(("p4", "toy")))
            words.at[name, size] = "x" if word == "does not fit" else breaker(name, stage) if stage else ""
    labels = {"xticklabels": True, "yticklabels": [name_of(name) for name in found]}
    plots.squares(axes, keys, FILLS, words.to_numpy(), linewidths=1.2, linecolor=GRID, **labels)
    axes.tick_params(axis="x", labelsize=6.5, labelcolor=MUTED)
    axes.set_xlim(0, COLUMNS)
    for line, (name, of_size) in enumerate(found.items()):
        if period(of_size):
            place = {"ha": "left", "va": "center", "fontsize": 7.5, "color": MUTED}
            axes.text(len(columns) + 0.3, line + 0.5, f"every {period(of_size)}", **place)
        for size in set(used(name)) & set(columns) & set(of_size):
            frame = {"fill": False, "edgecolor": INK, "lw": 1.5, "zorder": 3, "clip_on": False}
            axes.add_patch(Rectangle((columns.index(size), line), 1, 1, **frame))


# -- accuracy at the four quarter turns --------------------------------------------------------------------
# A flat profile is what an exact network has; an approximate one falls from 0 degrees to the other three.


def quarters(
    results: Results, experiment: str, verdict_of_arm: Mapping[str, str], metric: str = "accuracy"
) -> list[Series]:
    """A metric of an experiment's arms at quarter turns, drawn by verdict."""
    looks = {name: LOOKS[word] for name, word in verdict_of_arm.items()}
    shown = plots.series(results, metric, {name: (experiment, name) for name in looks}, looks)
    return [one.at(QUARTERS) for one in shown]


def sizes(results: Results) -> Figure:
    """Accuracy at quarter turns against the input size: the comb of even and odd sizes."""
    words = {name: arms.EQUIVARIANCE[name] for name in arms.SIZES}
    shown = quarters(results, "sizes", words)

    def draw() -> Canvas:
        drawn, (axes,) = canvas(8.0, 3.6)
        plots.profiles(axes, shown, QUARTERS)
        plots.categories(axes, [str(side) for side in arms.SIDES])
        plots.shade(axes, [place for place, word in enumerate(words.values()) if word == "exact"])
        axes.set(xlabel="side of the input (pixels)", ylabel="accuracy (%)")
        plots.legend(drawn, [LOOKS["exact"], LOOKS["approximate"]])
        return drawn

    return plots.figure(
        results,
        "sizes",
        draw,
        shown=shown,
    )


def padding(results: Results) -> Figure:
    """Accuracy at quarter turns for each way of padding, at an approximate and at the exact size."""
    found = {
        network: quarters(
            results, "padding", {arms.arm(network, mode): arms.EQUIVARIANCE[network] for mode in modes}
        )
        for network, modes in arms.PADDED.items()
    }

    def draw() -> Canvas:
        ratios = [len(modes) for modes in arms.PADDED.values()]
        drawn, panels = canvas(8.6, 3.4, 1, 2, sharey=True, width_ratios=ratios)
        for axes, (network, modes) in zip(panels, arms.PADDED.items()):
            plots.profiles(axes, found[network], QUARTERS)
            plots.categories(axes, [arms.PARTLY_ZEROS.get(mode, ("", mode))[1] for mode in modes])
            axes.set(title=f"{arms.SHORT[network]}: {arms.EQUIVARIANCE[network]}", xlabel="padding")
        panels[0].set_ylabel("accuracy (%)")
        plots.legend(drawn, [LOOKS["approximate"], LOOKS["exact"]])
        return drawn

    return plots.figure(
        results,
        "padding",
        draw,
        shown=[one for shown in found.values() for one in shown],
    )


def repair(results: Results) -> Figure:
    """Accuracy at quarter turns and invariance error, before and after a repair of the network."""
    words = {arms.repaired(*both): "exact" if both[1] else arms.EQUIVARIANCE[both[0]] for both in repairs()}
    shown = quarters(results, "repair", words)
    looks = {name: LOOKS[word] for name, word in words.items()}
    errors = plots.series(results, "invariance_error", {name: ("repair", name) for name in words}, looks)

    def draw() -> Canvas:
        drawn, (above, below) = canvas(8.0, 5.0, 2, 1, sharex=True, height_ratios=(3, 2))
        decades = plots.Decades.around(errors)
        plots.profiles(above, shown, QUARTERS)
        for place, one in enumerate(errors):
            _before_after(below, place, one, decades)
        decades.apply(below)
        for axes in (above, below):
            plots.categories(
                axes, [f"{arms.PIXELS[network]} pixels\n{REPAIRS[kind]}" for network, kind in repairs()]
            )
            plots.shade(axes, [repairs().index((arms.EXACT, ""))])
        above.set_ylabel("accuracy (%)")
        below.set_ylabel("invariance error")
        marks = [
            Look("before training", MUTED, style="", filled=False),
            Look("after training", MUTED, style=""),
        ]
        plots.legend(drawn, [LOOKS["exact"], LOOKS["approximate"], *marks])
        return drawn

    return plots.figure(
        results,
        "repair",
        draw,
        shown=shown,
    )


def repairs() -> list[tuple[str, str]]:
    """Network and repair of each arm of the experiment, the exact one between the two that are repaired."""
    below, above = ([(network, kind) for kind in arms.REPAIRS] for network in arms.REPAIRED)
    return [*below, (arms.EXACT, ""), *above]


def _before_after(axes: Axes, place: float, one: Series, decades: plots.Decades) -> None:
    """Error at the first step (open, left) and at the last (filled, right), a seed a mark, joined."""
    if not len(one):
        return
    first, last = place - 0.15, place + 0.15
    both = one.at([one.values.columns[0], one.values.columns[-1]], [first, last])
    both = replace(both, values=both.values.apply(decades.place))
    plots.each_seed(axes, both, False, marker="", linewidth=0.7, alpha=0.5)
    plots.each_seed(axes, both.at([first]), False, linestyle="", markerfacecolor="none")
    plots.each_seed(axes, both.at([last]), False, linestyle="")


def mirrors(results: Results) -> Figure:
    """Accuracy under the eight elements of p4m, of p4m networks and of a p4 one."""
    words = {name: arms.EQUIVARIANCE[name] for name in arms.MIRRORS}
    shown = quarters(results, "mirrors", words)
    mirrored = {name: word if name.startswith("p4m") else "none" for name, word in words.items()}
    others = [
        replace(one, look=replace(one.look, filled=False))
        for one in quarters(results, "mirrors", mirrored, "mirrored_accuracy")
    ]

    def draw() -> Canvas:
        drawn, (axes,) = canvas(8.0, 3.6)
        places = [2.0 * place for place in range(len(shown))]
        plots.profiles(axes, [*shown, *others], QUARTERS, [*places, *(place + 0.75 for place in places)])
        plots.categories(axes, [arms.SHORT[name] for name in words], [place + 0.375 for place in places])
        axes.set(xlim=(-0.6, places[-1] + 1.375), ylabel="accuracy (%)")
        marks = [
            Look("turned", MUTED, style=""),
            Look("mirrored, then turned", MUTED, style="", filled=False),
        ]
        plots.legend(drawn, [*LOOKS.values(), *marks])
        return drawn

    return plots.figure(
        results,
        "mirrors",
        draw,
        shown=shown,
    )


# -- what the invariance error foretells -------------------------------------------------------------------


def invariance(results: Results) -> Figure:
    """Invariance error before and after training against the accuracy lost at quarter turns."""
    points = lost_by_error(results)
    tiers = text.join(sorted(set(points["tier"])))
    shown = [name for name in TRAINED if len(results.frame(name))]
    counts = f"{len(points)} trainings ({tiers})" if len(points) else "trainings"
    return plots.figure(
        results,
        "invariance",
        lambda: _draw_invariance(points),
        shown=[points],
        experiments=shown or ("table1", "sizes", "table2_reduced"),
        counts=counts,
    )


def lost_by_error(results: Results) -> pd.DataFrame:
    """One row per training with the columns `POINT`; runs that experiments share appear once.

    ``before`` and ``after`` are the invariance error at the first and the last step, ``lost`` is in points.
    """
    found: dict[str, tuple[object, ...]] = {}
    for experiment, kind in TRAINED.items():
        frame = results.frame(experiment)
        runs = frame.drop_duplicates(["arm", "seed"]).set_index(["arm", "seed"])["run"].to_dict()
        for arm in filter(verdict_of, dict.fromkeys(frame["arm"])):
            errors = results.curves(experiment, arm, "invariance_error").T
            fallen = results.sample(experiment, arm, "accuracy", QUARTERS, lambda at: at[0] - at[1:].mean())
            turned = "turned" if "_uniform" in arm or "_biased" in arm else "upright"
            trained = "upright color images" if kind == "images" else f"{turned} digits"
            for seed, lost in fallen.values.items():
                steps = errors[seed].dropna() if seed in errors else ()
                if runs[arm, seed] not in found and len(steps) > 1:
                    known = (runs[arm, seed], seed, arm, fallen.tier, verdict_of(arm), trained)
                    found[runs[arm, seed]] = (*known, steps.iloc[0], steps.iloc[-1], lost)
    return pd.DataFrame(found.values(), columns=POINT)


def verdict_of(arm: str) -> str | None:
    """The word of `arms.EQUIVARIANCE` for an arm of any experiment; None if it is not known."""
    network, variant = "_".join(arm.split("_")[:2]), arm.split("_")[2:]
    repaired = any(repair in variant for repair in arms.REPAIRS if repair)
    return "exact" if repaired else arms.EQUIVARIANCE.get(network)


def _draw_invariance(points: pd.DataFrame) -> Canvas:
    import seaborn as sns

    drawn, panels = canvas(8.6, 3.9, 1, 2, sharey=True)
    decades = plots.Decades.of([*points["before"], *points["after"]])
    colors = {verdict: look.color for verdict, look in LOOKS.items()}
    for axes, column in zip(panels, ("before", "after")):
        placed = points.assign(**{column: decades.place(points[column])})
        look = {"hue": "verdict", "palette": colors, "legend": False, "s": 26, "linewidth": 0, "alpha": 0.65}
        for word, marker in MARKERS.items():
            mine = placed[placed["trained"] == word]
            sns.scatterplot(mine, x=column, y="lost", marker=marker, ax=axes, **look)
        decades.apply(axes, "x")
        axes.axhline(0, color=INK, linewidth=0.8, zorder=1)
        axes.set(title=f"{column} training", xlabel=f"invariance error {column} training", ylabel="")
    panels[0].set_ylabel("accuracy lost at quarter turns (points)")
    verdicts = [
        replace(look, style="", marker="o") for word, look in LOOKS.items() if word in set(points["verdict"])
    ]
    trained = [
        Look(word, MUTED, MARKERS[word], "", filled=False)
        for word in MARKERS
        if word in set(points["trained"])
    ]
    plots.legend(drawn, [*verdicts, *trained], columnspacing=1.2)
    return drawn
