"""Table 1, its other averages, and Figures 3 and 5 in numbers."""

from __future__ import annotations

import math

import numpy as np

from pipelines.subsampling import claims_digits as claims
from pipelines.subsampling.arms import EQUIVARIANCE, NETWORKS, QUARTERS, TITLES, TURNED, arm
from pipelines.subsampling.tables_common import (
    FEWER_IMAGES,
    accuracy_cell,
    before_after,
    protocol,
    seed_spread,
)
from shared.report import text
from shared.report.results import Results
from shared.report.tables import Cell, Column, Row, Table


def table1(results: Results) -> Table:
    """Table 1 in both readings of its RotMNIST column."""
    columns = (
        Column("network", "Network"),
        Column("equivariance", "Equivariance"),
        Column("mnist", "MNIST: accuracy in %"),
        Column("rotmnist", "RotMNIST as printed: accuracy in % at 0 degrees only"),
        Column("rotmnist_mean36", "RotMNIST as meant: accuracy in %, mean over all test angles"),
        Column("invariance", "Invariance error, before → after training"),
        Column("parameters", "Parameters"),
    )
    return Table(
        "table1",
        "Table 1: accuracy on MNIST and RotMNIST",
        columns,
        tuple(_table1_row(results, network) for network in NETWORKS),
        caption=(
            "Trained on upright digits (MNIST) or on digits that were each turned once by a random angle "
            "(RotMNIST). The paper's RotMNIST column is the accuracy on *upright* test images, as the "
            "authors' logs show; the mean over all test angles is what the column is meant to say (claim "
            f"S13). {protocol(results, 'table1')}"
        ),
        commands=(results.command("table1"),),
        notes=(
            "Invariance error: size of the change of the logits under quarter turns, relative to the "
            "logits, in float32; mean over seeds; first line trained upright, second line trained on turned "
            "digits.",
            FEWER_IMAGES,
        ),
    )


def _table1_row(results: Results, network: str) -> Row:
    upright, uniform = arm(network, "upright"), arm(network, "uniform")
    cells = (
        accuracy_cell(results, "table1", network, "mnist", "table1", upright, [0]),
        accuracy_cell(results, "table1", network, "rotmnist", "table1", uniform, [0]),
        accuracy_cell(results, "table1", network, "rotmnist_mean36", "table1", uniform, None),
    )
    parameters = results.sample("table1", upright, "parameters")
    place = ("table1", network, "parameters", parameters)
    count = results.cell(*place, experiment="table1", decimals=0, form=text.thousands, counted=True)
    errors = [before_after(results, "table1", name) for name in (upright, uniform)]
    return Row(
        network,
        TITLES[network],
        (EQUIVARIANCE[network], *cells, "\n".join(filter(None, errors)) or "-", count),
    )


def averages(results: Results) -> Table:
    """Two averages over the quarter turns: with the upright images, as in Table 2, and without."""
    columns = (
        Column("network", "Network"),
        Column("quarters", "Accuracy in %, mean over 0, 90, 180 and 270 degrees"),
        Column("turned", "Accuracy in %, mean over 90, 180 and 270 degrees"),
    )
    words = {"upright": "trained upright", "uniform": "trained on turned digits"}
    rows = []
    for training in words:
        for network in NETWORKS:
            name = arm(network, training)
            cells = [
                accuracy_cell(results, "averages", name, key, "table1", name, angles)
                for key, angles in (("quarters", QUARTERS), ("turned", TURNED))
            ]
            rows.append(Row(name, f"{TITLES[network]}, {words[training]}", tuple(cells)))
    return Table(
        "averages",
        "Table 1's networks at the quarter turns: unseen rotations with and without 0 degrees",
        columns,
        tuple(rows),
        caption=(
            "The paper's *unseen rotations* (its Table 2) average over 0, 90, 180 and 270 degrees, so a "
            "quarter of the images is upright. Both averages stand here, for the networks of Table 1. "
            f"{protocol(results, 'table1')}"
        ),
        commands=(results.command("table1"),),
        notes=("The paper's values are recomputed from the authors' logs, 100 seeds.",),
    )


def figure5(results: Results) -> Table:
    """Figure 5 in numbers: quarter turns, the mean over all angles, and the spread between seeds."""
    turns = tuple(Column(str(angle), f"{angle} degrees") for angle in QUARTERS)
    columns = (
        Column("network", "Network"),
        *turns,
        Column("mean36", "Mean over all angles"),
        Column("spread", "Seed spread"),
    )
    rows = []
    for network in NETWORKS:
        name = arm(network, "upright")
        steps: list[list[float] | None] = [[angle] for angle in QUARTERS]
        cells = [
            accuracy_cell(results, "figure5", network, column.key, "figure5", name, angles)
            for column, angles in zip(columns[1:-1], [*steps, None])
        ]
        rows.append(Row(network, TITLES[network], (*cells, _spread(results, network, name))))
    return Table(
        "figure5",
        "Figure 5 in numbers: accuracy (%) of networks trained upright, by the rotation of the test images",
        columns,
        tuple(rows),
        caption=(
            "Exactly equivariant networks answer the same at every quarter turn; approximate ones have "
            f"learned to tell orientations apart. {protocol(results, 'figure5')}"
        ),
        commands=(results.command("figure5"),),
        notes=(
            "The paper's values are read from the authors' logs, 10 seeds per angle and 100 for the mean.",
            FEWER_IMAGES,
        ),
    )


def _spread(results: Results, network: str, name: str) -> Cell:
    """Standard deviation between seeds, averaged over angles, ours and the paper's."""
    ours = seed_spread(results, "figure5", name)
    theirs = claims.paper_spread(results, network)
    return Cell(f"{ours}\npaper: {text.fixed(theirs, 2)}" if not math.isnan(theirs) else ours)


def figure3(results: Results) -> Table:
    """Figure 3 in numbers: what the toy network learns at 32 and at 33 pixels."""
    columns = (
        Column("input", "Input"),
        Column("loss", "Final loss (ln 2 = 0.6931 means: cannot tell)"),
        Column("accuracy", "Accuracy in %"),
        Column("logit_gap", "Largest gap between the logits of x and its turn, over all steps"),
    )
    rows = []
    for name, title in (("toy_32", "32 pixels, remainder 1"), ("toy_33", "33 pixels, remainder 0")):
        gaps = results.sample("figure3", name, "logit_gap", reduce=np.max)
        samples = (results.last("figure3", name, "loss"), results.sample("figure3", name, "accuracy"), gaps)
        cells = [
            results.cell(
                "figure3", name, column.key, sample, experiment="figure3", decimals=decimals, form=form
            )
            for column, sample, decimals, form in zip(
                columns[1:], samples, (4, 0, 2), (None, None, text.scientific)
            )
        ]
        rows.append(Row(name, title, tuple(cells)))
    return Table(
        "figure3",
        "Figure 3 in numbers: can one p4 filter with stride 2 tell an image from its quarter turn?",
        columns,
        tuple(rows),
        caption=(
            "Two samples, an image x and its quarter turn T x, with different labels. The paper shows "
            "pictures only; its statement is claim S2. The gap is the mean over seeds of the largest one."
        ),
        commands=(results.command("figure3"),),
    )
