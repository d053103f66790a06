"""Checks of our own protocol: exact networks tested at every angle, and how digits are shrunk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipelines.subsampling.arms import FULLY_SWEPT, QUARTERS, SHRUNK, SHRUNK_TITLES, TITLES, TURNED
from pipelines.subsampling.tables_common import (
    FEWER_IMAGES,
    accuracy_cell,
    all_angles,
    before_after,
    gap,
    plain_cell,
    protocol,
)
from shared.report.results import Results
from shared.report.tables import Cell, Column, Row, Sample, Table

#: Angles from which quarter turns are taken between those of the upright images.
BETWEEN = (30, 60)


def quarters(results: Results) -> Table:
    """Accuracy of exact networks in all four quadrants, which other experiments take from the first."""
    return Table(
        "quarters",
        "Exact networks tested at every angle",
        (
            Column("network", "Network"),
            Column("equivariance", "Equivariance"),
            Column("accuracy", "Accuracy in % at 0 degrees"),
            Column("quarters", "Largest difference between quarter turns, in images"),
            Column("between", "The same between 30 and 120 degrees, 60 and 150, and so on"),
            Column("invariance", "Invariance error, before → after training"),
        ),
        tuple(_quarters(results, name, *said) for name, said in FULLY_SWEPT.items()),
        caption=(
            "In all other experiments on digits an exact network is tested from 0 to 80 degrees, and its "
            "accuracy there is taken for those 90, 180 and 270 degrees further. Here it was tested at all; "
            "the difference is the largest over seeds, of the images tested. The last network is not exact, "
            f"to show what the test can see. {protocol(results, 'quarters')}"
        ),
        commands=(results.command("quarters"),),
    )


def _quarters(results: Results, name: str, title: str, word: str) -> Row:
    cells = (
        word,
        plain_cell(results, "quarters", name, "accuracy", [0]),
        *(in_images(spread(results, name, at), tested(results, name, at)) or "-" for at in ((0,), BETWEEN)),
        before_after(results, "quarters", name) or "-",
    )
    return Row(name, title, cells)


def spread(results: Results, name: str, bases: Sequence[int]) -> Sample:
    """By seed the largest difference (points) among an angle and its quarter turns, over the ``bases``."""
    steps = [base + turn for base in bases for turn in QUARTERS]
    return results.sample(
        "quarters", name, "accuracy", steps, lambda v: float(np.ptp(v.reshape(len(bases), -1), axis=1).max())
    )


def tested(results: Results, name: str, bases: Sequence[int]) -> int:
    """The images that `spread` compares at each angle."""
    key = "test_images" if set(bases) <= set(QUARTERS) else "sweep_images"
    return min(results.settings("quarters", key, name), default=0)


def in_images(apart: Sample, count: int) -> str:
    """Points of accuracy in images, the largest over seeds: ``1 of 6,000``; "" without results."""
    return f"{round(max(apart.numbers) * count / 100):,} of {count:,}" if apart.n and count else ""


def shrinking(results: Results) -> Table:
    """P4CNN at 27 pixels on digits that are shrunk in two ways, beside the authors' logs."""
    return Table(
        "shrinking",
        "How digits are shrunk to 27 pixels",
        (
            Column("way", "Each pixel of the shrunk digit"),
            Column("upright", "Accuracy in % at 0 degrees"),
            Column("upright_logs", "The same, minus the logs' [95 % interval]"),
            Column("turned", "Accuracy in %, mean over 90, 180 and 270 degrees"),
            Column("turned_logs", "The same, minus the logs'"),
            Column("turned_change", "The same, minus that of digits interpolated"),
            Column("mean36", "Accuracy in %, mean over all 36 angles"),
        ),
        tuple(_shrinking(results, name) for name in SHRUNK),
        caption=(
            "The authors' logs shrink digits from 28 to 27 pixels with Pillow, which averages; ours are "
            f"interpolated. Does that explain how our {TITLES['p4cnn_27']} differs from theirs (Table 1 and "
            f"its averages)? Trained on upright digits. {protocol(results, 'shrinking')}"
        ),
        commands=(results.command("shrinking"),),
        notes=(FEWER_IMAGES,),
    )


def _shrinking(results: Results, name: str) -> Row:
    places = {"upright": ("table1", "p4cnn_27", "mnist"), "turned": ("averages", SHRUNK[0], "turned")}
    compared = {
        key: accuracy_cell(results, *places[key], "shrinking", name, angles).difference or "-"
        for key, angles in (("upright", [0]), ("turned", TURNED))
    }
    turned = (results.sample("shrinking", which, "accuracy", TURNED) for which in (name, SHRUNK[0]))
    cells: tuple[Cell | str, ...] = (
        plain_cell(results, "shrinking", name, "accuracy", [0]),
        compared["upright"],
        plain_cell(results, "shrinking", name, "accuracy", TURNED),
        compared["turned"],
        "-" if name == SHRUNK[0] else gap(*turned),
        all_angles(results, "shrinking", name),
    )
    return Row(name, SHRUNK_TITLES[name], cells)
