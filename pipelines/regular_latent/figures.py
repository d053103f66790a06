"""Figures 1 to 7 of the paper, in reading order, and after them ours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipelines.regular_latent import figures_studies
from pipelines.regular_latent.tables_exploration import LEARNED, NULL
from shared.report import captions, plots
from shared.report.figures import Axes, Canvas, Figure, canvas
from shared.report.results import Results
from shared.report.theme import GRID, INK, MUTED, SERIES

#: Spaces of Figure 1 with their places, and what acts on each.
SPACES = {
    "X": (0.8, "input", r"$\rho_X(g)$"),
    "Z": (2.7, "latent", r"$\rho_Z(g)$"),
    "Y": (4.6, "output", r"$\rho_Y(g)$"),
}
MAPS = (("X", "Z", "E"), ("Z", "Y", "D"))
#: Figure 2: the side of the inflow, by panel.
SIDES = ("from below", "from the right", "from above", "from the left")
#: Figure 3: what a panel shows of a glyph, and its title.
GLYPHS = {"input": "x", "rebuilt": "D(E x)", "acted": "D(W E x)", "moved": "g x"}
#: Figure 4: training steps, as far as they were kept; the last ones stand for the end.
STEPS = (0, 300, 1000, 2000, np.inf)
#: Figure 5: metric of each panel and its title.
AUGMENTED = {
    "glyph_0_input": "(i)",
    "glyph_0_moved": "(ii): (i) moved by g",
    "glyph_1_input": "(iii)",
    "glyph_1_moved": "(iv): (iii) moved by g",
}
#: Figure 7: metric of each panel and its title.
FRAMES = {
    "plain": "a frame",
    "pixels": "turned, vectors as they were",
    "vectors": "turned, vectors as well",
}


def figures(results: Results) -> list[Figure]:
    """All figures, in reading order."""
    return [
        diagram(results),
        plumes(results),
        eigenvalues(results),
        paths(results),
        glyphs(results),
        two_digits(results),
        frames(results),
        *figures_studies.figures(results),
    ]


# -- Figure 1: what moves with what ------------------------------------------------------------------------


def diagram(results: Results) -> Figure:
    """Encoder and head between three spaces, on each of which the group acts."""
    words = captions.words(results, f"figure1{captions.FIGURE}", {})
    return Figure("figure1", words.title, words.caption, words.alt, _draw_diagram)


def _draw_diagram() -> Canvas:
    drawn, (axes,) = canvas(5.6, 2.1)
    axes.set(xlim=(0.4, 5.2), ylim=(0.1, 2.2))
    axes.set_axis_off()
    for name, (x, meaning, action) in SPACES.items():
        for y in (1.6, 0.3):
            axes.text(x, y, name, fontsize=15, ha="center", va="center", color=INK)
        axes.text(x, 2.05, meaning, ha="center", va="center", color=MUTED)
        _arrow(axes, (x, 1.35), (x, 0.55), action, SERIES[1] if name == "Z" else MUTED, (0.1, 0.0))
    for first, second, label in MAPS:
        for y in (1.6, 0.3):
            ends = ((SPACES[first][0] + 0.25, y), (SPACES[second][0] - 0.25, y))
            _arrow(axes, *ends, label, SERIES[0], (0.0, 0.13))
        middle = (SPACES[first][0] + SPACES[second][0]) / 2
        axes.text(middle + 0.15, 0.95, "≈", fontsize=14, ha="center", va="center")
    return drawn


def _arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    label: str,
    color: str,
    offset: tuple[float, float],
) -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 1.2})
    x, y = (start[0] + end[0]) / 2 + offset[0], (start[1] + end[1]) / 2 + offset[1]
    axes.text(x, y, label, color=color, ha="left" if offset[0] else "center", va="center")


# -- Figures 2 and 7: smoke --------------------------------------------------------------------------------


def plumes(results: Results) -> Figure:
    """Smoke of one simulation for each side of the inflow."""
    shown = [results.picture("smoke_data", "simulations", f"figure2_{n}") for n in range(1, 5)]

    def draw() -> Canvas:
        drawn, panels = canvas(7.6, 2.2, 1, 4)
        for axes, picture, title in zip(panels, shown, SIDES):
            plots.picture(axes, picture, title, like=shown)
        return drawn

    return _pictured(results, "figure2", shown, draw, ["smoke_data"], demo="")


def frames(results: Results) -> Figure:
    """A velocity frame, turned without and with its vectors."""
    shown = {
        key: [results.picture("smoke_data", "simulations", f"figure7_{key}_{axis}") for axis in "xy"]
        for key in FRAMES
    }

    def draw() -> Canvas:
        drawn, panels = canvas(7.6, 2.8, 1, 3)
        for axes, (key, title) in zip(panels, FRAMES.items()):
            axes.set(xticks=[], yticks=[], title=title, aspect="equal")
            axes.grid(visible=False)
            axes.spines[:].set_visible(True)
            x, y = shown[key]
            if x is None or y is None:
                continue
            rows, columns = np.mgrid[: len(x), : x.shape[1]]
            # rows count downwards
            axes.quiver(columns, -rows, x, y, color=SERIES[0], scale_units="xy", scale=1.2 * _longest(x, y))
        return drawn

    return _pictured(
        results, "figure7", [one for pair in shown.values() for one in pair], draw, ["smoke_data"], demo=""
    )


def _longest(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.hypot(x, y).max()) / 1.6 or 1.0


def _pictured(
    results: Results,
    name: str,
    shown: Sequence[np.ndarray | None],
    draw: object,
    experiments: Sequence[str],
    **options: str,
) -> Figure:
    """A figure of pictures, some of which may be lacking."""
    there = [picture for picture in shown if picture is not None]
    return plots.figure(results, name, draw, shown=there, experiments=experiments, **options)  # type: ignore[arg-type]


# -- Figures 3 to 5: what is learned -----------------------------------------------------------------------


def eigenvalues(results: Results) -> Figure:
    """Table 1 as a picture: eigenvalues of each run, and what the first run makes of two glyphs."""
    where = ("table1", LEARNED)
    parts = [results.curves(*where, f"eigenvalue_{part}") for part in ("real", "imag")]

    def draw() -> Canvas:
        seeds = list(parts[0].index)[:5]  # as many panels as there are runs
        drawn, _ = canvas(7.6, 4.6)
        drawn.clear()
        upper, lower = drawn.subfigures(2, 1, height_ratios=[1, 1.35])
        panels = upper.subplots(1, max(len(seeds), 1), squeeze=False, sharex=True, sharey=True)[0]
        for axes, seed in zip(panels, seeds):
            _plane(axes, parts[0].loc[seed], parts[1].loc[seed], 2, f"run {seed + 1}")
        for row, poses in enumerate(lower.subplots(2, 4)):
            for axes, (key, title) in zip(poses, GLYPHS.items()):
                picture = results.picture(*where, f"glyph_{row}_{key}")
                plots.picture(axes, picture, "" if row else title, like=[np.array([0.0, 1.0])])
        return drawn

    return plots.figure(results, "figure3", draw, shown=parts[:1], experiments=["table1"])


def _plane(axes: Axes, real: pd.Series, imaginary: pd.Series, order: int, title: str) -> None:
    """Eigenvalues in the complex plane, with the unit circle and its roots of unity of this order."""
    angles = np.linspace(0, 2 * np.pi, 121)
    axes.plot(np.cos(angles), np.sin(angles), color=GRID, linewidth=1)
    roots = 2 * np.pi * np.arange(order) / order
    axes.plot(np.cos(roots), np.sin(roots), "x", color=SERIES[1], markersize=6)
    axes.plot(
        real.clip(-1.7, 1.7), imaginary.clip(-1.7, 1.7), "o", color=SERIES[0], markersize=2.6, alpha=0.6
    )
    axes.set(xlim=(-1.75, 1.75), ylim=(-1.75, 1.75), aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    axes.set_title(title, fontsize=8.5)


def paths(results: Results) -> Figure:
    """Eigenvalues of the rotation's matrix while it is learned, and under the algebra loss alone."""
    rows = {"learned": ("table2", LEARNED), "algebra loss alone": ("table2_null", NULL)}
    shown = {title: _path(results, *where) for title, where in rows.items()}

    def draw() -> Canvas:
        there = {title: path for title, path in shown.items() if path}
        drawn, panels = canvas(
            8.4, 1.95 * max(len(there), 1), max(len(there), 1), len(STEPS), sharex=True, sharey=True
        )
        for row, (title, path) in enumerate(there.items()):
            panels_of_row = panels[row * len(STEPS) :][: len(STEPS)]
            steps = dict.fromkeys(min(path, key=lambda one: abs(one - min(s, max(path)))) for s in STEPS)
            for axes, step in zip(panels_of_row, steps):
                _plane(axes, *path[step], 3, f"step {step:,.0f}")
            for axes in panels_of_row[len(steps) :]:
                axes.set_axis_off()
            panels_of_row[0].set_ylabel(title)
        return drawn

    return plots.figure(
        results, "figure4", draw, shown=list(shown.values()), experiments=["table2", "table2_null"]
    )


def _path(results: Results, experiment: str, arm: str) -> dict[float, tuple[pd.Series, pd.Series]]:
    """Real and imaginary parts of the first seed's eigenvalues, by training step."""
    parts = []
    for part in ("real", "imag"):
        found = [results.curves(experiment, arm, f"path_{part}_{number}") for number in range(30)]
        parts.append(pd.DataFrame([one.iloc[0] for one in found if len(one)]))
    return {step: (parts[0][step], parts[1][step]) for step in parts[0].columns}


def glyphs(results: Results) -> Figure:
    """Two poses of a digit, in both typefaces."""
    shown = [results.picture("table1", LEARNED, metric) for metric in AUGMENTED]

    def draw() -> Canvas:
        drawn, panels = canvas(7.6, 2.2, 1, 4)
        for axes, picture, title in zip(panels, shown, AUGMENTED.values()):
            plots.picture(axes, picture, title)
        return drawn

    return _pictured(results, "figure5", shown, draw, ["table1"], demo="")


# -- Figure 6: DDMNIST -------------------------------------------------------------------------------------


def two_digits(results: Results) -> Figure:
    """An image of DDMNIST for each group."""
    shown = {group: results.picture("pictures", group, "image") for group in ("C4", "D1", "D4")}

    def draw() -> Canvas:
        drawn, panels = canvas(5.8, 2.2, 1, 3)
        for axes, (group, picture) in zip(panels, shown.items()):
            plots.picture(axes, picture, group)
        return drawn

    return _pictured(results, "figure6", list(shown.values()), draw, ["pictures"])
