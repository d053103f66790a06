"""Tables of the subsampling paper: its claims, Table 1 in both readings of its RotMNIST column, Figure 5 in
numbers.

The claims are those of section 8 of the fact sheet on the paper; their numbers (S2, S3, ...) are its.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from pipelines.subsampling import claims
from pipelines.subsampling.arms import EQUIVARIANCE, NETWORKS, QUARTERS, TITLES, arm
from shared.report import text
from shared.report.claims import COLUMNS as CLAIM_COLUMNS
from shared.report.results import Results
from shared.report.tables import Cell, Column, Row, Sample, Table

#: Images that the paper's numbers are tested on.
PAPER_TEST_IMAGES = 60_000


def tables(results: Results) -> list[Table]:
    """All tables, in reading order."""
    return [claims_table(results), table1(results), figure5(results), figure3(results)]


def claims_table(results: Results) -> Table:
    """The paper's claims, and our one finding about its Table 1."""
    return Table(
        "claims",
        "Claims",
        CLAIM_COLUMNS,
        tuple(claims.rows(results)),
        caption=(
            "What the paper says, as statements that runs can contradict. *Exact* is P4CNN at 28 pixels, "
            "*approximate* is P4CNN at 27 or 29 pixels, where the one 2x2 pool leaves a column over. "
            "Differences are in percentage points of accuracy."
        ),
        commands=tuple(dict.fromkeys(results.command(name) for name in ("table1", "figure5", "figure3"))),
        notes=(
            "Reference effects are recomputed from the authors' published training logs, Welch standard "
            "errors over 100 seeds unless stated. S3 follows from S18: our sweep tests an exact network in "
            "the first quadrant only.",
            f"Intervals generalize over seeds, not over test images. {protocol(results, 'table1')}",
        ),
        claims=True,
    )


def table1(results: Results) -> Table:
    """Table 1, with the reading of its RotMNIST column that was printed and the one that was meant."""
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
            (
                "The interval of a difference includes the error of testing on fewer images than the paper's "
                "60,000."
            ),
        ),
    )


def _table1_row(results: Results, network: str) -> Row:
    upright, uniform = arm(network, "upright"), arm(network, "uniform")
    measured = (
        accuracy_cell(results, "table1", network, "mnist", "table1", upright, [0]),
        accuracy_cell(results, "table1", network, "rotmnist", "table1", uniform, [0]),
        accuracy_cell(results, "table1", network, "rotmnist_mean36", "table1", uniform, None),
    )
    parameters = results.sample("table1", upright, "parameters")
    count = results.cell(
        "table1", network, "parameters", parameters, experiment="table1", decimals=0, form=text.thousands
    )
    errors = "\n".join(filter(None, (_before_after(results, name) for name in (upright, uniform)))) or "-"
    return Row(network, TITLES[network], (EQUIVARIANCE[network], *measured, errors, count))


def _before_after(results: Results, name: str) -> str:
    before = results.sample("table1", name, "invariance_error", [0])
    after = results.last("table1", name, "invariance_error")
    if not before.n or not after.n:
        return ""
    return f"{text.scientific(before.summary.mean)} → {text.scientific(after.summary.mean)}"


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
        ),
    )


def _spread(results: Results, network: str, name: str) -> Cell:
    """Standard deviation between seeds, averaged over angles, ours and the paper's."""
    curves = results.curves("figure5", name, "accuracy").dropna()
    ours = text.fixed(float(curves.std(ddof=1).mean()), 2) if len(curves) > 1 else "-"
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
        gap = results.sample("figure3", name, "logit_gap", reduce=np.max)
        samples = (results.last("figure3", name, "loss"), results.sample("figure3", name, "accuracy"), gap)
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


def accuracy_cell(
    results: Results,
    table: str,
    network: str,
    column: str,
    experiment: str,
    name: str,
    angles: Iterable[float] | None,
) -> Cell:
    """Accuracy of an arm at some test angles (all if None), beside the paper's number."""
    steps = None if angles is None else list(angles)
    sample = results.sample(experiment, name, "accuracy", steps)
    shared = test_error(results, experiment, name, sample, steps)
    return results.cell(table, network, column, sample, experiment=experiment, shared_se=shared)


def test_error(
    results: Results, experiment: str, name: str, sample: Sample, angles: list[float] | None
) -> float:
    """Standard error (points) of an accuracy because it is tested on a part of the paper's test images.

    All seeds are tested on the same part, so their scatter does not show it. Binomial, with the finite
    population correction; the angles are taken as fully dependent, since each turns the same images.
    """
    if not sample.n:
        return 0.0
    quarters_only = angles is not None and all(angle % 90 == 0 for angle in angles)
    key = "test_images" if quarters_only else "sweep_images"
    counts = [count for count in results.settings(experiment, key, name) if count < PAPER_TEST_IMAGES]
    if not counts:
        return 0.0
    rate, count = sample.summary.mean / 100, min(counts)
    return 100 * math.sqrt(max(0.0, rate * (1 - rate)) / count * (1 - count / PAPER_TEST_IMAGES))


def protocol(results: Results, experiment: str) -> str:
    """Our protocol in one sentence, read from what the runs recorded; "" if there are none."""

    def values(key: str) -> str:
        return text.join(
            [f"{v:,}" if isinstance(v, int) else str(v) for v in results.settings(experiment, key)]
        )

    if not values("epochs"):
        return ""
    tests, sweep = values("test_images"), values("sweep_images")
    tested = (
        f"{tests} test images"
        if tests == sweep
        else f"{tests} test images at quarter turns, {sweep} elsewhere"
    )
    return (
        f"Ours: {values('dataset')}, {values('epochs')} epochs, {values('train_images')} training images, "
        f"{tested}, {values('precision')}."
    )
