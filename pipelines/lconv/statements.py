"""Propositions and theorem as tables: what each number is and should be."""

from __future__ import annotations

import math
from typing import NamedTuple

from pipelines.lconv import cells
from shared.report import text
from shared.report.results import Results
from shared.report.tables import Cell, Column, Row, Sample, Table


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
    caption = (
        "Worst of all seeds (random matrices; float64). The formulas are those of the paper with slips "
        "corrected: in Proposition 3 the index of the weights, in 4 a sign, in 5 a time step; Proposition 1 "
        "needs a linear f."
    )
    return _statements(results, "propositions", "Propositions 1 to 5 as identities", PROPOSITIONS, caption)


def theorem1(results: Results) -> Table:
    """Theorem 1 and Corollary 1 in numbers."""
    caption = (
        "Worst of all seeds; relative errors in the Frobenius norm. Regression of 3 outputs on 7 correlated "
        "inputs: Y = A X, H = X X^T / n. The symmetries in the sense of the theorem form O(3) x O(4)."
    )
    return _statements(
        results, "theorem1", "Theorem 1 and Corollary 1: symmetries of linear regression", THEOREM, caption
    )


def worst(results: Results, experiment: str, statement: Statement) -> Sample:
    """The values of a statement's metric, by seed."""
    steps = None if statement.step is None else [statement.step]
    return results.sample(experiment, "all", statement.metric, steps)


def _statements(
    results: Results, experiment: str, title: str, statements: tuple[Statement, ...], caption: str
) -> Table:
    columns = (Column("statement", "Statement"), Column("value", "Ours"), Column("expected", "Expected"))
    rows = []
    for statement in statements:
        place = (experiment, statement.key, "value")
        sample = worst(results, experiment, statement)
        published = results.published(*place) is not None
        cell = results.cell(*place, sample, experiment=experiment, decimals=4) if published else None
        rows.append(
            Row(
                statement.key,
                statement.title,
                (cell or _extreme(results, experiment, statement, sample), _bounds(statement)),
            )
        )
    return Table(
        experiment, title, columns, tuple(rows), caption=caption, commands=(results.command(experiment),)
    )


def _extreme(results: Results, experiment: str, statement: Statement, sample: Sample) -> Cell:
    """The value nearest to breaking the statement."""
    if not sample.n:
        return cells.plain(results, experiment, sample)
    value = min(sample.numbers) if statement.most == math.inf else max(sample.numbers)
    shown = text.scientific(value) if statement.most < 0.5 else text.significant(value, 4)
    return Cell(shown, sample=sample, command=results.command(experiment))


def _bounds(statement: Statement) -> str:
    if statement.least == statement.most:
        return text.significant(statement.least)
    if statement.most == math.inf:
        return f"more than {statement.least:g}"
    return (
        f"up to {statement.most:g}" if statement.least == 0 else f"{statement.least:g} to {statement.most:g}"
    )
