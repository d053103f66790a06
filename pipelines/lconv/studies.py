"""Tables of learned generators, hidden symmetries and penalties, and of the propositions and the theorem."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from pipelines.lconv import arms
from pipelines.lconv.quantities import BEST, COUNT, PARAMETERS, through_training, training
from shared.report import text
from shared.report.build import Filled, Line, Place, Quantity, compared, declared, plain, table, words
from shared.report.results import Results
from shared.report.tables import Cell, Column, Table

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


def penalty(results: Results) -> Table:
    """What the penalties on the generators change."""
    columns = (
        Column("penalty", "Penalty"),
        compared("accuracy", "Accuracy, %", BEST),
        *(CLOSURE, KILLING, ROTATION, COUNT),
    )
    rows = declared(results, "penalty")
    return table(results, "penalty", columns, rows, protocol=training(results, "penalty"))


# -- propositions and theorem ------------------------------------------------------------------------------


class Statement(NamedTuple):
    """One number of a proposition or of the theorem: where it is, and what it should be.

    ``step`` is None for a metric without steps; ``least`` and ``most`` bound each seed.
    """

    key: str
    title: str
    metric: str
    step: float | None
    least: float
    most: float

    @property
    def quantity(self) -> Quantity:
        """Its number, by seed."""
        return Quantity(self.metric, None if self.step is None else [self.step], decimals=4)

    @property
    def expected(self) -> str:
        """Its bounds in words."""
        if self.least == self.most:
            return text.significant(self.least)
        if self.most == math.inf:
            return f"more than {self.least:g}"
        return f"up to {self.most:g}" if self.least == 0 else f"{self.least:g} to {self.most:g}"


def _exact(key: str, title: str, metric: str, most: float = 1e-10) -> Statement:
    return Statement(key, title, metric, None, 0.0, most)


PROPOSITIONS = (
    Statement(
        "p1", "P1 near the identity a G-conv is an L-conv: error at eta = 0.025", "p1_error", 0.025, 0, 1e-3
    ),
    Statement("p2", "P2 (I + t L / n)^n is near exp(t L): error at n = 1024", "p2_error", 1024, 0, 1e-2),
    Statement(
        "p2_group", "P2 stacks of 1024 layers are near a group sum: error", "p2_group_error", 1024, 0, 0.1
    ),
    Statement(
        "p2_single", "P2 generator of a shift by 2 of 20 pixels: correlation", "p2_correlation", 0, 0.29, 0.3
    ),
    Statement("p2_8", "P2 eight layers with it: correlation with the shift", "p2_correlation", 8, 0.7, 1),
    Statement("p2_16", "P2 sixteen layers", "p2_correlation", 16, 0.9, 1),
    Statement("p2_64", "P2 64 layers (the limit is 0.97468)", "p2_correlation", 64, 0.97, 0.98),
    _exact("p3", "P3 one-hot generators make a fully connected layer, with corrected weights", "p3_error"),
    Statement("p3_printed", "P3 with the weights as printed", "p3_printed_error", None, 0.1, math.inf),
    _exact("p4_circular", "P4 circular shifts are a circularly padded convolution", "p4_circular_error"),
    _exact("p4_zero", "P4 shifts with rows set to zero are a zero-padded convolution", "p4_zero_error"),
    _exact(
        "p4_flat", "P4 shifts of the flattened image are an unpadded convolution, inside", "p4_flat_error"
    ),
    _exact("p5", "P5 the generator A - I makes a graph convolution", "p5_error"),
    _exact("p5_lambda", "P5 and so does lambda (A - I) with W / lambda", "p5_lambda_error"),
    _exact("p5_group", "P5 exp(s L) exp(t L) = exp((s + t) L)", "p5_group_law_error"),
    _exact("e1_shift", "E1 L-conv commutes with what commutes with its generators", "e1_shift_error"),
    Statement(
        "e1_plain",
        "E1 with the generators of so(3) not with rotations",
        "e1_plain_error",
        None,
        0.01,
        math.inf,
    ),
    _exact("e1_adjoint", "E1 but it does if its weights turn along (adjoint action)", "e1_adjoint_error"),
    _exact("e2", "E2 permuting input, generators and classifier changes nothing", "e2_error"),
)
THEOREM = (
    _exact(
        "t1_second_moment", "T1 constructed pairs keep the second moments: u H u^T = H", "t1_second_moment"
    ),
    _exact("t1_cross", "T1 and the cross moments: u_c Y X^T u^T = Y X^T", "t1_cross"),
    _exact("t2", "T2 then they are symmetries of the solution: A u = u_c A", "t2_intertwining"),
    _exact("t3", "T3 fitting the moved data gives the same A", "t3_refit"),
    _exact("t4_second_moment", "T4 a random u that keeps the second moments only", "t4_second_moment"),
    Statement("t4_residual", "T4 has no u_c: smallest residual", "t4_intertwining", None, 0.01, math.inf),
    Statement("t4_refit", "T4 fitting the moved data changes A by", "t4_refit", None, 0.01, math.inf),
    _exact("t5_intertwining", "T5 the conditions are not necessary: A u = A", "t5_intertwining"),
    Statement(
        "t5_second_moment", "T5 although u H u^T differs from H by", "t5_second_moment", None, 0.01, math.inf
    ),
    _exact("t6", "T6 generators H^(1/2) L' H^(-1/2) with L' antisymmetric: L H + H L^T = 0", "t6_generators"),
    Statement("t7_generators", "T7 independent generators, d (d - 1) / 2 = 21", "t7_dimension", None, 21, 21),
    _exact("t7_closure", "T7 closed under the commutator", "t7_closure"),
    Statement("t8_nullity", "T8 dimension of the symmetries: 9 of O(3) x O(4)", "t8_nullity", None, 9, 9),
    Statement("t9", "T9 a symmetry computed from 100,000 samples, on others", "transfer", 100_000, 0, 0.1),
)


def propositions(results: Results) -> Table:
    """Propositions 1 to 5 in numbers."""
    return _statements(results, "propositions", PROPOSITIONS)


def theorem1(results: Results) -> Table:
    """Theorem 1 and Corollary 1 in numbers."""
    return _statements(results, "theorem1", THEOREM)


def _statements(results: Results, name: str, statements: tuple[Statement, ...]) -> Table:
    by_key = {statement.key: statement for statement in statements}
    columns = (
        Column("statement", "Statement"),
        Filled("value", "Ours", lambda place: _value(place, by_key[place.line.key])),
        words("expected", "Expected"),
    )
    lines = [Line(s.key, s.title, "all", words={"expected": s.expected}) for s in statements]
    return table(results, name, columns, lines)


def _value(place: Place, statement: Statement) -> Cell:
    """Beside the paper's number if it has one, else the value nearest to breaking the statement."""
    where, at = place.where(), (place.table, statement.key, place.column)
    if place.results.published(*at) is not None:
        return statement.quantity.cell(place.results, where, at)
    cell = statement.quantity.cell(place.results, where)
    if not cell.sample.n:
        return cell
    value = (min if statement.most == math.inf else max)(cell.sample.numbers)
    shown = text.scientific(value) if statement.most < 0.5 else text.significant(value, 4)
    return replace(cell, text=shown)
