"""How the training digits are turned: a search for what the authors' logs of RotMNIST were made with."""

from __future__ import annotations

import math

import numpy as np

from pipelines.subsampling.arms import ANGLES, PLAIN, TITLES, TURNED, WAYS, arm
from pipelines.subsampling.claims_digits import logged, paper_spread
from pipelines.subsampling.tables_common import (
    FEWER_IMAGES,
    accuracy_cell,
    all_angles,
    plain_cell,
    protocol,
    seed_spread,
)
from shared.report import text
from shared.report.results import Results
from shared.report.tables import Cell, Column, Row, Table, measured

HALF_TURN = (0, 180)
COLUMNS = (
    Column("way", "Angles of the training digits"),
    Column("upright", "Accuracy in % at 0 degrees"),
    Column("turned", "Accuracy in %, mean over 90, 180 and 270 degrees"),
    Column("mean36", "Accuracy in %, mean over all 36 angles"),
    Column("against", "The same, minus the logs' [95 % interval]"),
    Column("half_turn", "0 minus 180 degrees"),
    Column("spread", "Between seeds: standard deviation, mean over angles"),
)


def turns(results: Results) -> Table:
    """The plain CNN on digits turned in three ways, beside the authors' logs."""
    rows = [_logs(results), *(_row(results, way) for way in WAYS)]
    return Table(
        "turns",
        "RotMNIST: how the training digits are turned",
        COLUMNS,
        tuple(rows),
        caption=(
            "The authors' training digits cannot have been turned as released (claim S14-angles). "
            f"{TITLES[PLAIN]}, which depends on it most, trained on digits turned by angles that are all "
            "drawn from U(0, 360): once for each image (Table 1); anew for each image in each step; one for "
            "a whole batch and step, as the authors' biased training draws them (Figure 6). Ours alone: the "
            f"paper has no such runs. {protocol(results, 'turns')}"
        ),
        commands=(results.command("turns"),),
        notes=(
            FEWER_IMAGES,
            "However the angles are drawn from U(0, 360), if anew for each seed, over many seeds 0 and 180 "
            "degrees come out alike; one sequence of angles for all seeds may favor some.",
        ),
    )


def _logs(results: Results) -> Row:
    """What the authors' logs have."""
    places = (("table1", PLAIN, "rotmnist"), ("averages", arm(PLAIN, "uniform"), "turned"))
    printed = [results.published(*place) for place in (*places, ("table1", PLAIN, "rotmnist_mean36"))]
    half = logged(results, "table1_angles", PLAIN, HALF_TURN, _lost)
    spread = paper_spread(results, PLAIN, "table1_angles")
    return Row(
        "logs",
        "the authors' logs",
        (
            *(value.text if value else "-" for value in printed),
            "-",
            half,
            "-" if math.isnan(spread) else text.fixed(spread, 2),
        ),
    )


def _lost(accuracies: np.ndarray) -> float:
    return float(accuracies[0] - accuracies[1])


def _row(results: Results, way: str) -> Row:
    name = arm(PLAIN, way)
    compared = accuracy_cell(results, "table1", PLAIN, "rotmnist_mean36", "turns", name, ANGLES)
    cells: tuple[Cell | str, ...] = (
        plain_cell(results, "turns", name, "accuracy", [0]),
        plain_cell(results, "turns", name, "accuracy", TURNED),
        all_angles(results, "turns", name),
        compared.difference or "-",
        measured(
            results.sample("turns", name, "accuracy", HALF_TURN, _lost),
            command=results.command("turns"),
        ),
        seed_spread(results, "turns", name),
    )
    return Row(name, WAYS[way], cells)
