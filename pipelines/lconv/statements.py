"""The propositions and the theorem as statements with bounds, and their tables."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from shared.report import text
from shared.report.build import Filled, Line, Place, Quantity, table, words
from shared.report.results import Results
from shared.report.tables import Cell, Column, Sample, Table


class Statement(NamedTuple):
    """One number of a proposition or of the theorem: where it is, and what it is said to be.

    Bounds are those of whoever says it: where the paper's formula is false as printed, the number breaks
    them.

    Attributes:
        key: of its row.
        claim: that it belongs to, "" for none.
        title: what it is.
        metric, step: where it is; None for a metric without steps.
        least, most: bounds of each seed.
        arm: of the experiment, "all" or "stated".
    """

    key: str
    claim: str
    title: str
    metric: str
    step: float | None = None
    least: float = 0.0
    most: float = 1e-10
    arm: str = "all"

    @property
    def quantity(self) -> Quantity:
        """Its number, by seed; what the notebooks print of such an identity is it, as far as printed."""
        return Quantity(self.metric, None if self.step is None else [self.step], decimals=4, counted=True)

    @property
    def bounds(self) -> str:
        """Its bounds in words."""
        if self.least == self.most:
            return text.significant(self.least)
        if self.most == math.inf:
            return f"more than {self.least:g}"
        return f"up to {self.most:g}" if self.least == 0 else f"{self.least:g} to {self.most:g}"

    def shown(self, sample: Sample) -> str:
        """The value of the seed that is nearest to breaking the bounds."""
        value = (min if self.most == math.inf else max)(sample.numbers)
        return text.scientific(value) if 0 <= self.most < 0.5 else text.significant(value, 4)


def _stated(key: str, claim: str, title: str, metric: str, *how: float | None) -> Statement:
    return Statement(key, claim, title, metric, *how, arm="stated")  # type: ignore[arg-type]


PROPOSITIONS = (
    Statement(
        "p1",
        "L15-P1",
        "one layer near the identity, linear f: error at η = 0.025",
        "p1_error",
        0.025,
        0,
        1e-3,
    ),
    _stated(
        "p1_relu",
        "L15-P1-printed",
        "Equation 4 with ReLU: error at η = 0.025",
        "p1_relu_printed",
        0.025,
        0,
        1e-3,
    ),
    _stated(
        "p1_tanh",
        "L15-P1-printed",
        "Equation 4 with tanh: error at η = 0.025",
        "p1_tanh_printed",
        0.025,
        0,
        1e-3,
    ),
    _stated(
        "p1_relu_layer",
        "L15-P1-layer",
        "Equation 6 with ReLU: error at η = 0.025",
        "p1_relu_layer",
        0.025,
        0,
        2e-3,
    ),
    _stated(
        "p1_tanh_layer",
        "L15-P1-layer",
        "Equation 6 with tanh: error at η = 0.025",
        "p1_tanh_layer",
        0.025,
        0,
        1e-3,
    ),
    Statement("p2", "L15-P2", "n layers are near exp(t L): error at n = 1024", "p2_error", 1024, 0, 1e-2),
    Statement(
        "p2_group", "L15-P2", "six group elements, 1024 layers each: error", "p2_group_error", 1024, 0, 0.1
    ),
    _stated(
        "p2_haar",
        "L15-P2",
        "SO(3), Haar integral, one network of 1026 layers: error",
        "p2_haar_error",
        1024,
        0,
        1e-2,
    ),
    _stated(
        "p2_product",
        "L15-P2",
        "-diag(2, 1/2) of SL(2, R), no exponential, 1024 layers: error",
        "p2_product_error",
        1024,
        0,
        2e-2,
    ),
    Statement(
        "p2_single",
        "",
        "notebook: generator of a shift by 2 of 20 pixels, correlation",
        "p2_correlation",
        0,
        0.29,
        0.3,
    ),
    Statement(
        "p2_8", "", "notebook: eight layers with it, correlation with the shift", "p2_correlation", 8, 0.7, 1
    ),
    Statement("p2_16", "", "notebook: sixteen layers", "p2_correlation", 16, 0.9, 1),
    Statement("p2_64", "", "64 layers (the limit is 0.97468)", "p2_correlation", 64, 0.97, 0.98),
    Statement("p3", "L15-P3", "one-hot generators and a sum, a fully connected layer: error", "p3_error"),
    Statement(
        "p3_printed",
        "L15-proofs",
        "Proposition 3 with the weights of Equation 11: error",
        "p3_printed_error",
    ),
    Statement(
        "p4_circular",
        "L15-P4",
        "circular shifts, a circularly padded convolution: error",
        "p4_circular_error",
    ),
    Statement("p4_zero", "L15-P4", "shifts with rows set to zero, a zero-padded one: error", "p4_zero_error"),
    Statement(
        "p4_flat", "L15-P4", "shifts of the flattened image, an unpadded one, inside: error", "p4_flat_error"
    ),
    _stated("p4_commute_circular", "L15-P4-commute", "commutator of circular shifts", "p4_commute_circular"),
    _stated(
        "p4_commute_printed",
        "L15-P4-commute",
        "commutator of the flattened shifts by 0, 1, q, q + 1",
        "p4_commute_printed",
    ),
    _stated(
        "p4_printed",
        "L15-proofs",
        "Proposition 4, Equation 12 beside the generators printed for it: error",
        "p4_printed_error",
    ),
    _stated(
        "p4_commute_centered",
        "L15-P4-beyond",
        "commutator of a centered 3 x 3 kernel's shifts, zeros around",
        "p4_commute_centered",
        None,
        1,
        1,
    ),
    _stated(
        "p4_fractional_1",
        "L15-P4-beyond",
        "half a pixel by (1 + L) / 2: error on one wave in 64 pixels",
        "p4_fractional_error",
        1,
        0,
        0.01,
    ),
    _stated(
        "p4_fractional_16",
        "L15-P4-beyond",
        "half a pixel by (1 + L) / 2: error on sixteen waves in 64 pixels",
        "p4_fractional_error",
        16,
        0.1,
        math.inf,
    ),
    Statement("p5", "L15-P5", "the generator A - I, a graph convolution: error", "p5_error"),
    Statement("p5_group", "L15-P5", "exp(s L) exp(t L) beside exp((s + t) L): error", "p5_group_law_error"),
    _stated(
        "p5_printed",
        "L15-proofs",
        "Proposition 5, generator λ (A - I) with the same weights, λ = 0.3: error",
        "p5_printed_error",
    ),
    Statement("p5_lambda", "", "the generator λ (A - I) with weights divided by λ: error", "p5_lambda_error"),
    Statement("e1_shift", "L15-E1", "equivariance under circular shifts: error", "e1_shift_error"),
    Statement(
        "e1_plain", "L15-E1", "equivariance under SO(3) with the generators of so(3): error", "e1_plain_error"
    ),
    Statement(
        "e1_adjoint",
        "L15-E1-adjoint",
        "equivariance under SO(3), weights turned along: error",
        "e1_adjoint_error",
    ),
    Statement("e2", "L15-E2", "input, generators and classifier permuted: error", "e2_error"),
    _stated(
        "rotation_entries",
        "L15-rank",
        "rotation of 28 x 28 pixels: nonzero entries of a row",
        "rotation_entries",
        None,
        0,
        4,
    ),
    _stated(
        "rotation_rank",
        "L15-rank",
        "rotation of 28 x 28 pixels: rank, of 784",
        "rotation_rank",
        None,
        756,
        756,
    ),
    _stated(
        "rotation_low_rank",
        "L15-rank",
        "rotation of 28 x 28 pixels: cosine with the nearest matrix of rank 16",
        "rotation_low_rank",
        None,
        0,
        0.4,
    ),
)
THEOREM = (
    Statement("t1_second_moment", "L15-T", "T1 pairs with u H u^T = H", "t1_second_moment"),
    Statement("t1_cross", "L15-T", "T1 and u_c Y X^T u^T = Y X^T", "t1_cross"),
    Statement("t2", "L15-T", "T2 are symmetries of the solution: A u = u_c A", "t2_intertwining"),
    Statement("t3", "L15-T", "T3 fitting the moved data gives the same A", "t3_refit"),
    Statement("t6", "L15-C", "T6 generators H^(1/2) L' H^(-1/2): L H + H L^T = 0", "t6_generators"),
    Statement("t7_closure", "L15-C", "T7 closed under the commutator", "t7_closure"),
    Statement(
        "t7_generators",
        "L15-C",
        "T7 independent ones among them, of 21 = d (d - 1) / 2",
        "t7_dimension",
        None,
        21,
        21,
    ),
    _stated(
        "c1_nullity",
        "L15-C",
        "T7 independent solutions of L H + H L^T = 0 in all",
        "c1_nullity",
        None,
        21,
        21,
    ),
    _stated(
        "c1_determinant",
        "L15-C-SO",
        "determinant of H^(1/2) diag(-1, 1, ...) H^(-1/2)",
        "c1_determinant",
        None,
        1,
        1,
    ),
    _stated("c1_reflection", "", "H^(1/2) diag(-1, 1, ...) H^(-1/2) keeps H: error", "c1_reflection"),
    Statement(
        "t4_second_moment",
        "L15-T-beyond",
        "T4 a random u that keeps the second moments only",
        "t4_second_moment",
    ),
    Statement(
        "t4_residual",
        "L15-T-beyond",
        "T4 has no u_c: smallest residual",
        "t4_intertwining",
        None,
        0.01,
        math.inf,
    ),
    Statement(
        "t4_refit", "L15-T-beyond", "T4 fitting the moved data changes A by", "t4_refit", None, 0.01, math.inf
    ),
    Statement(
        "t5_intertwining", "L15-T-beyond", "T5 the conditions are not necessary: A u = A", "t5_intertwining"
    ),
    Statement(
        "t5_second_moment",
        "L15-T-beyond",
        "T5 although u H u^T differs from H by",
        "t5_second_moment",
        None,
        0.01,
        math.inf,
    ),
    Statement(
        "t8_nullity",
        "L15-T-beyond",
        "T8 dimension of the symmetries: 9 of O(3) x O(4)",
        "t8_nullity",
        None,
        9,
        9,
    ),
    Statement(
        "t9",
        "L15-T-beyond",
        "T9 a symmetry computed from 100,000 samples, on others",
        "transfer",
        100_000,
        0,
        0.1,
    ),
    _stated("bias_row", "L15-bias", "a symmetry moves the row of ones by", "bias_row", None, 0.1, math.inf),
    _stated(
        "bias_dimension",
        "L15-bias",
        "dimension of the symmetries with such a row",
        "bias_dimension",
        None,
        13,
        13,
    ),
    _stated("bias_kept", "L15-bias", "dimension of those that keep it", "bias_kept", None, 7, 7),
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
        words("expected", "Said to be"),
        words("claim", "Claim"),
    )
    lines = [
        Line(s.key, s.title, s.arm, words={"expected": s.bounds, "claim": s.claim or "-"}) for s in statements
    ]
    return table(results, name, columns, lines)


def _value(place: Place, statement: Statement) -> Cell:
    """Beside the paper's number if it has one, else the value nearest to breaking the statement."""
    where, at = place.where(), (place.table, statement.key, place.column)
    if place.results.published(*at) is not None:
        return statement.quantity.cell(place.results, where, at)
    cell = statement.quantity.cell(place.results, where)
    return replace(cell, text=statement.shown(cell.sample)) if cell.sample.n else cell
