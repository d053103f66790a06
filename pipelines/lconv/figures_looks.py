"""What the figures of this paper share: colors, dots, axes of parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.ticker import FuncFormatter

from shared.report.palette import SERIES
from shared.report.results import Results
from shared.report.tables import Sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

#: The paper's colors, as far as they can be told apart.
COLORS = {
    "lconv": SERIES[0],
    "cnn": SERIES[4],
    "cnn_pool": SERIES[2],
    "fc": SERIES[1],
    "fc_shallow": SERIES[3],
    "random": SERIES[5],
}
HATCHES = {"lconv": "", "cnn": "//", "cnn_pool": "xx", "fc": "..", "fc_shallow": "--", "random": "\\\\"}
MARKERS = {"lconv": "o", "cnn": "s", "fc": "^", "random": "o"}
#: Of lines that are a reference.
DASHED = (0, (4, 2))


def origin(results: Results) -> str:
    """A first sentence for demo figures."""
    if not results.demo:
        return ""
    return (
        "Demo: small networks, not comparable with the paper; embedded digits stand for MNIST and "
        "Fashion-MNIST, drawn shapes for CIFAR-10 and CIFAR-100. "
    )


def thousands(axis: Axis) -> None:
    """Label an axis of parameters in thousands or millions."""

    def label(value: float, _: int) -> str:
        return f"{value / 1e6:g} M" if value >= 1e6 else f"{value / 1e3:g} k" if value else "0"

    axis.set_major_formatter(FuncFormatter(label))


def dots(axes: Axes, x: float, sample: Sample, marker: str, color: str) -> None:
    """A sample as dots, with a line at its mean."""
    if sample.n:
        axes.plot([x] * sample.n, sample.numbers, marker, color=color, markersize=4, alpha=0.8)
        axes.hlines(sample.summary.mean, x - 0.1, x + 0.1, color=color, linewidth=1.4)
