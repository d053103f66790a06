"""How trustworthy is the whole? As many numbers should differ from the paper's as chance makes differ.

Each measured number that the paper prints or logs, and that three runs or more of ours were tested against,
has a standardized difference (`Verdict.score`). If our runs and the paper's come from the same distributions,
these follow the standard normal one, and one in twenty leaves out 0. One measurement counts once
(`shared.report.counts.judged`), curves and facts are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from shared.report import stats, text
from shared.report.counts import Judged
from shared.report.figures import Canvas, Figure, canvas
from shared.report.theme import INK, MUTED, SERIES
from shared.report.verdicts import DIFFERS, TOO_FEW
from shared.runs.config import AGREEMENT

#: How often a test at 95 % leaves out 0 where nothing differs, and beyond how many deviations that is.
LEVEL, BEYOND = 0.05, -stats.normal_quantile(0.025)
#: Edges of the bars: four on either side up to the limit, and as wide beyond it.
EDGES = BEYOND / 4 * np.arange(-10, 11)
NAMES = {"printed": "printed in the paper", "logged": "in its authors' logs"}


def _tested(judged: Sequence[Judged], of: str) -> list[Judged]:
    """The measured numbers of a class that our runs were tested against."""
    return [one for one in judged if one.of == of and one.verdict.status and one.verdict.score is not None]


def scores(judged: Sequence[Judged]) -> dict[str, list[float]]:
    """Standardized differences (ours minus the paper's) of the measured numbers tested, by class."""
    return {of: [one.verdict.score or 0.0 for one in _tested(judged, of)] for of in NAMES}


def sentence(judged: Sequence[Judged]) -> str:
    """How many differ and how many would by chance: ``Of 59 measured numbers tested 21 differ; ...``."""
    tested = [one for of in NAMES for one in _tested(judged, of)]
    if not tested:
        return "No measured number of this paper has been tested yet."
    differ, wide = (sum(one.verdict.status == status for one in tested) for status in (DIFFERS, TOO_FEW))
    count = len(tested)
    expected, most = LEVEL * count, stats.binomial_quantile(0.95, count, LEVEL)
    about = "fewer than 1" if expected < 1 else f"about {expected:.0f}"
    said = (
        f"Of {text.lines(count, 'measured number')} tested {differ or 'none'} "
        f"differ{'' if differ > 1 else 's'}; by chance alone {about} would, and rarely more than {most}."
    )
    return f"{said} For {wide} of them the interval is too wide to tell." if wide else said


def figure(judged: Sequence[Judged]) -> Figure:
    """The standardized differences of all measured numbers against what they should be."""
    caption = (
        f"{sentence(judged)} Bars: our means minus the paper's, each in standard errors, as a deviate of "
        "the normal distribution whatever the number of runs; one measurement counts once. Line: as many as "
        "chance would put there if nothing differed. Outside the dotted lines a number differs. What is "
        "further away stands in the outermost bars. Numbers of one network go together, so chance alone "
        "varies more than the sentence says."
    )
    alt = f"Histogram of standardized differences with the normal distribution. {sentence(judged)}"
    title = "Do the numbers differ by more than chance?"
    found = scores(judged)
    return Figure(AGREEMENT, title, caption, alt, partial(_draw, found) if any(found.values()) else None)


def _draw(found: dict[str, list[float]]) -> Canvas:
    drawn, (axes,) = canvas(6.0, 2.6)
    total = sum(map(len, found.values()))
    middles, below = (EDGES[1:] + EDGES[:-1]) / 2, np.zeros(len(EDGES) - 1)
    for color, (of, values) in zip(SERIES, found.items()):
        inside = np.clip(values, middles[0], middles[-1]) if values else np.empty(0)
        heights = np.histogram(inside, EDGES)[0].astype(float)
        label = f"{len(values)} {NAMES[of]}"
        axes.bar(
            middles,
            heights,
            0.9 * (EDGES[1] - EDGES[0]),
            below,
            color=color,
            linewidth=0,
            label=label if values else None,
        )
        below += heights
    places = np.linspace(EDGES[0], EDGES[-1], 201)
    chance = total * (EDGES[1] - EDGES[0]) * np.exp(-(places**2) / 2) / math.sqrt(2 * math.pi)
    axes.plot(places, chance, color=INK, linewidth=1.2, label="by chance alone")
    for side in (-BEYOND, BEYOND):
        axes.axvline(side, color=MUTED, linewidth=0.8, linestyle=":")
    axes.set(
        xlabel="ours minus the paper's, in standard errors", ylabel="numbers", xlim=(EDGES[0], EDGES[-1])
    )
    axes.set_ylim(0, max(float(below.max()), float(chance.max())) * 1.08)
    axes.legend(loc="upper left", fontsize=7.5)
    return drawn
