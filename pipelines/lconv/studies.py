"""Tables of learned generators, hidden symmetries and penalties."""

from __future__ import annotations

from pipelines.lconv import arms
from pipelines.lconv.quantities import BEST, COUNT, PARAMETERS, through_training, training
from shared.report import text
from shared.report.build import Filled, Line, Quantity, compared, declared, plain, table
from shared.report.results import Results
from shared.report.tables import Column, Table

# -- learned generators ------------------------------------------------------------------------------------

ROTATION = through_training("rotation", "Part of the rotation generator that they span", "captured_rotation")
CLOSURE = through_training("closure", "Commutators outside the span", "closure")
KILLING = through_training("killing", "Killing form between two", "killing")


def symmetries(results: Results) -> Table:
    """What the generators of trained L-conv networks are."""
    both = [f"captured_translation_{axis}" for axis in "xy"]
    columns = (
        Column("data", "Data"),
        ROTATION,
        through_training("translation", "Of a translation (mean of x and y)", *both),
        plain("control", "Rotation: random generators", Quantity("control_rotation", decimals=3)),
        CLOSURE,
        KILLING,
    )
    lines = [
        Line(f"{data}_{variant}", f"{title}, {kind.lower()}", (arms.figure4(data), f"lconv_{variant}"))
        for data, title in arms.DATASETS.items()
        for variant, kind in arms.VARIANTS.items()
    ]
    return table(results, "symmetries", columns, lines)


def planted(results: Results) -> Table:
    """Whether learned generators approach hidden ones."""

    def metric(key: str, title: str, name: str, *steps: float) -> Filled:
        return plain(key, title, Quantity(name, steps or None, decimals=3))

    notebook = Quantity("notebook_correlation", decimals=3)
    columns = (
        Column("pairs", "What relates the images of a pair"),
        metric("similarity", "Cosine with the hidden generator", "similarity"),
        metric("rotation", "With plain rotation", "rotation_similarity"),
        metric("random", "95 % of random generators are below", "random_similarity"),
        compared("notebook", "With plain rotation, as in the authors' notebook", notebook),
        metric("flow_2", "Error of its exponential at twice the angle", "flow_error", 2),
        metric("flow_10", "At ten times the angle", "flow_error", 10),
        plain("loss", "Squared error per image", Quantity("loss", last=True, form=text.scientific)),
        compared("parameters", "Parameters", PARAMETERS),
    )
    return table(results, "planted", columns, declared(results, "planted"))


def covariance(results: Results) -> Table:
    """Whether learned generators are symmetries of linear regression, as Theorem 1 lets one expect."""
    columns = (
        Column("variant", "MNIST"),
        compared("accuracy", "Accuracy, %", BEST),
        through_training("covariance", "Violation of L H + H L^T = 0", "covariance"),
        ROTATION,
    )
    lines = [Line(variant, title) for variant, title in arms.VARIANTS.items()]
    return table(results, "covariance", columns, lines, protocol=training(results, "covariance"))


def penalty(results: Results) -> Table:
    """What the penalties on the generators change."""
    columns = (
        Column("penalty", "Penalty"),
        compared("accuracy", "Accuracy, %", BEST),
        *(CLOSURE, KILLING, ROTATION, COUNT),
    )
    rows = declared(results, "penalty")
    return table(results, "penalty", columns, rows, protocol=training(results, "penalty"))
