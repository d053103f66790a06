"""Equivariance error before and after training, beside accuracy and what turning costs of it."""

from __future__ import annotations

from pipelines.subsampling.arms import BIASES, EQUIVARIANCE, NETWORKS, REDUCED, TABLE2, TITLES, arm, biased
from pipelines.subsampling.tables_common import lost, plain_cell
from shared.report import text
from shared.report.results import Results
from shared.report.tables import Cell, Column, Row, Table, measured


def invariance(results: Results) -> Table:
    """One row for each trained network of the main experiments."""
    columns = (
        Column("network", "Network and training"),
        Column("equivariance", "Equivariance"),
        Column("before", "Invariance error before training"),
        Column("after", "Invariance error after training"),
        Column("accuracy", "Accuracy in % at 0 degrees"),
        Column("lost", "Points lost at 90, 180 and 270 degrees (mean)"),
    )
    listed = list(_listed())
    return Table(
        "invariance",
        "Equivariance error before and after training, beside accuracy",
        columns,
        tuple(_row(results, *place) for place in listed),
        caption=(
            "What training does to invariance, and what turned images pay for it. Invariance error: size of "
            "the change of the logits under quarter turns, relative to the logits, in float32. The paper "
            "follows errors through training for two networks (Figure 4); these are ours alone."
        ),
        commands=tuple(dict.fromkeys(results.command(experiment) for _, experiment, *_ in listed)),
    )


def _listed() -> list[tuple[str, str, str, str]]:
    """Key, experiment, arm and title of each row."""
    words = {"upright": "digits, upright", "uniform": "digits, turned"}
    rows = [
        (arm(network, training), "table1", arm(network, training), f"{TITLES[network]} ({words[training]})")
        for training in words
        for network in NETWORKS
    ]
    rows += [
        (biased(network, std), "figure6", biased(network, std), f"{TITLES[network]} (digits, N(45, {std}²))")
        for std in BIASES
        for network in NETWORKS
    ]
    rows += [
        (f"cifar10_{name}", "table2_cifar10", name, f"{TITLES[name]} (CIFAR-10, upright)")
        for name in TABLE2["cifar10"]
    ]
    return rows + [
        (f"cifar10_{name}", "table2_reduced", name, f"{TITLES[name]} (CIFAR-10, upright)") for name in REDUCED
    ]


def _row(results: Results, key: str, experiment: str, name: str, title: str) -> Row:
    command = results.command(experiment)
    before = results.sample(experiment, name, "invariance_error", [0])
    after = results.last(experiment, name, "invariance_error")
    cells: tuple[Cell | str, ...] = (
        EQUIVARIANCE[_network(name)],
        measured(before, form=text.scientific, command=command),
        measured(after, form=text.scientific, command=command),
        plain_cell(results, experiment, name, "accuracy", [0]),
        measured(lost(results, experiment, name), command=command),
    )
    return Row(key, title, cells)


def _network(name: str) -> str:
    """``p4cnn_28`` for the arm ``p4cnn_28_upright``."""
    return "_".join(name.split("_")[:2])
