"""The numbers in the subsampling paper's paper.csv against each other.

What can be computed from other numbers of the same source must come out as written: means over angles,
differences with their errors and tests, derived averages, parameter counts. Sums over the curves of the
authors' logs stand here as a check against a changed or lost line.
"""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest
from invented_subsampling import ANGLES, PAPER

from pipelines.subsampling.arms import APPROXIMATE, BIASES, DATASETS, EXACT, NETWORKS, PLAIN, ROLES, TURNED
from shared.report import stats

#: Sums of the means and of the spreads over 36 angles, by row.
SUMS = {
    ("figure5", "z2cnn_28"): ("1537.07", "53.11"),
    ("figure5", "p4cnn_27"): ("2388.30", "91.45"),
    ("figure5", "p4cnn_28"): ("3119.28", "48.72"),
    ("figure5", "p4cnn_29"): ("2399.88", "138.77"),
    ("figure6", "z2cnn_28_biased20"): ("2215.41", "56.51"),
    ("figure6", "p4cnn_27_biased20"): ("2823.90", "68.28"),
    ("figure6", "p4cnn_28_biased20"): ("3472.68", "17.44"),
    ("figure6", "p4cnn_29_biased20"): ("2816.77", "78.40"),
    ("figure6", "z2cnn_28_biased40"): ("2606.60", "58.40"),
    ("figure6", "p4cnn_27_biased40"): ("3245.56", "54.03"),
    ("figure6", "p4cnn_28_biased40"): ("3477.36", "7.20"),
    ("figure6", "p4cnn_29_biased40"): ("3200.18", "55.52"),
    ("table1_angles", "z2cnn_28"): ("3218.15", "73.30"),
    ("table1_angles", "p4cnn_27"): ("3475.65", "12.10"),
    ("table1_angles", "p4cnn_28"): ("3480.44", "7.96"),
    ("table1_angles", "p4cnn_29"): ("3474.30", "11.38"),
}
#: Sums of all numbers and of all spreads of Table 2 as printed.
TABLE2_SUM = ("2300.09", "15.46")
#: Half a unit of the second decimal: how far rounding moves a printed mean.
ROUNDED = 0.005


def value(*place):
    return PAPER[place].value


def curve(table, row):
    return [PAPER[table, row, str(angle)] for angle in ANGLES]


@pytest.mark.parametrize("place", SUMS, ids="/".join)
def test_curves_are_whole(place):
    printed = curve(*place)
    sums = (sum(Decimal(v.printed) for v in printed), sum(Decimal(v.printed_spread) for v in printed))
    assert tuple(map(str, sums)) == SUMS[place]
    assert {v.spread_kind for v in printed} == {"std0"}
    assert {v.n for v in printed} == {100 if place[0] == "table1_angles" else 10}


@pytest.mark.parametrize("std", BIASES)
@pytest.mark.parametrize("network", NETWORKS)
def test_averages_of_figure_6_follow_from_its_curves(network, std):
    row = f"{network}_biased{std}"
    values = [v.value for v in curve("figure6", row)]
    assert value("figure6", row, "mean36") == pytest.approx(np.mean(values), abs=2 * ROUNDED)
    turned = [value("figure6", row, str(angle)) for angle in TURNED]
    assert value("figure6", row, "turned") == pytest.approx(np.mean(turned), abs=2 * ROUNDED)
    assert {PAPER["figure6", row, column].n for column in ("mean36", "turned")} == {10}


@pytest.mark.parametrize("row", [EXACT, *(f"{EXACT}_biased{std}" for std in BIASES)])
def test_the_exact_networks_curves_repeat_every_quarter(row):
    values = [v.printed for v in curve("figure5" if row == EXACT else "figure6", row)]
    assert values[:9] * 4 == values


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("training", "column"), [("upright", "mnist"), ("uniform", "rotmnist")])
def test_averages_of_table_1_fit_each_other(network, training, column):
    quarters, turned = (value("averages", f"{network}_{training}", key) for key in ("quarters", "turned"))
    assert quarters == pytest.approx((value("table1", network, column) + 3 * turned) / 4, abs=2 * ROUNDED)
    if training == "uniform":
        measured = [value("table1_angles", network, str(angle)) for angle in TURNED]
        assert turned == pytest.approx(np.mean(measured), abs=2 * ROUNDED)


# -- significance ------------------------------------------------------------------------------------------


def source(training, quantity, network):
    """The printed mean and spread that a significance test compares."""
    if training.startswith("biased"):
        return PAPER["figure6", f"{network}_{training}", "0" if quantity == "angle0" else "mean36"]
    if quantity == "angle0":
        return PAPER["table1", network, "mnist" if training == "upright" else "rotmnist"]
    if training == "upright":
        return PAPER["averages", f"{network}_upright", "mean36"]
    return PAPER["table1", network, "rotmnist_mean36"]


TESTED = [row for table, row, column in PAPER if table == "significance" and column == "difference"]


@pytest.mark.parametrize("row", TESTED)
def test_significance_follows_from_means_and_spreads(row):
    training, quantity, other = row.split("_", 2)
    first, second = (source(training, quantity, network) for network in (EXACT, other))
    printed = PAPER["significance", row, "difference"]
    assert printed.value == pytest.approx(first.value - second.value, abs=2.2 * ROUNDED)
    assert (printed.n, printed.spread_kind) == (first.n, "se")
    errors = [v.spread / math.sqrt(v.n - 1) for v in (first, second)]  # spreads have n in the denominator
    error, df = stats.welch_error(errors[0], first.n - 1, errors[1], second.n - 1)
    assert printed.spread == pytest.approx(error, rel=0.03, abs=0.001)
    t = value("significance", row, "t")
    assert t == pytest.approx(printed.value / error, abs=0.06 + 0.02 * abs(t) + 1.1 * ROUNDED / error)
    # the logs' spreads are known to two digits only, so t to some 2 %
    least, most = (2 * stats.t_cdf(-max(0.0, abs(t) + way * (0.02 * abs(t) + 0.05)), df) for way in (1, -1))
    assert least <= value("significance", row, "p") <= most


def test_every_pair_of_the_logs_is_there():
    assert len(TESTED) == 19
    wanted = {
        f"{t}_{q}_{n}" for t in ("upright", "uniform") for q in ("angle0", "mean36") for n in APPROXIMATE
    }
    assert wanted | {
        f"biased{std}_mean36_{network}" for std in BIASES for network in (*APPROXIMATE, PLAIN)
    } <= set(TESTED)


def test_the_authors_p_values_are_of_the_same_size():
    """Pooled and Welch tests hardly differ at 100 runs each."""
    printed = [row for table, row, column in PAPER if table == "significance" and column == "p_authors"]
    rows = [row for row in printed if PAPER["significance", row, "p_authors"].n == 100]
    assert (len(printed), len(rows)) == (12, 10)
    both = [row for row in rows if row in TESTED]
    for row in both:
        welch, pooled = (math.log(value("significance", row, column)) for column in ("p", "p_authors"))
        assert pooled == pytest.approx(welch, rel=0.1)
    assert len(both) == 5


@pytest.mark.parametrize(
    ("claim", "row", "sign"),
    [
        ("S11", "upright_angle0", -1),
        ("S12", "uniform_angle0", 1),
        ("S13", "uniform_mean36", 1),
    ],
)
def test_claims_and_significance_agree(claim, row, sign):
    networks = (*APPROXIMATE, PLAIN) if claim == "S11" else APPROXIMATE
    for network in networks:
        here, there = PAPER["claims", claim, network], PAPER["significance", f"{row}_{network}", "difference"]
        assert (here.value, here.spread) == (sign * there.value, there.spread)


@pytest.mark.parametrize("claim", ["S5", "S6", "S14", "S14-mean"])
def test_effects_of_claims_follow_from_the_means(claim):
    """Up to the rounding of both; 10 seeds where the figure has 10."""
    for network in NETWORKS:
        known = PAPER.get(("claims", claim, network))
        if known is None:
            continue
        first, second = (EXACT, network) if claim == "S5" else (network, PLAIN)
        table, column = {"S14": ("table1", "rotmnist"), "S14-mean": ("table1", "rotmnist_mean36")}.get(
            claim, ("figure5", "mean36")
        )
        means = [PAPER[table, name, column] for name in (first, second)]
        assert known.value == pytest.approx(means[0].value - means[1].value, abs=2.2 * ROUNDED)
        error = math.hypot(*(mean.spread / math.sqrt(mean.n - 1) for mean in means))
        assert known.spread == pytest.approx(error, rel=0.03)
        assert {known.n} == {mean.n for mean in means}


@pytest.mark.parametrize("network", APPROXIMATE)
def test_the_authors_notebook_contradicts_identical(network):
    """Its means over the first 10 seeds give its p-values by Welch's test."""
    exact, other = (PAPER["claims", "S13-logs", name] for name in (EXACT, network))
    errors = [value.spread / math.sqrt(value.n - 1) for value in (exact, other)]
    error, df = stats.welch_error(errors[0], 9, errors[1], 9)
    p = 2 * stats.t_cdf(-(exact.value - other.value) / error, df)
    assert p == pytest.approx(value("significance", f"uniform_mean36_{network}", "p_authors"), rel=0.15)
    assert p < 0.05


@pytest.mark.parametrize("network", NETWORKS)
def test_figure_5_has_the_means_of_its_own_seeds(network):
    mean = PAPER["figure5", network, "mean36"]
    assert mean.n == 10
    assert mean.value == pytest.approx(np.mean([v.value for v in curve("figure5", network)]), abs=2 * ROUNDED)


def test_the_drop_on_mnist_is_printed_as_a_range_that_holds_both_means():
    low, high = (value("claims", "S11-drop", end) for end in ("low", "high"))
    assert low < min(value("claims", "S11", n) for n in APPROXIMATE)
    assert high > max(value("claims", "S11", n) for n in APPROXIMATE)


def test_origins():
    """Printed is what the paper prints; logged what its authors' files do; the rest follows from them."""
    found = {}
    for (table, _, column), paper in PAPER.items():
        found.setdefault(paper.origin, set()).add((table, column))
    assert set(found) == {"printed", "logged", "derived"}
    assert {table for table, _ in found["printed"]} == {"table1", "table2", "claims"}
    assert {("table2", "turned"), ("networks", "parameters"), ("figure5", "mean36")} <= found["derived"]
    assert {("significance", column) for column in ("difference", "t", "p")} <= found["derived"]
    assert ("significance", "p_authors") in found["logged"]
    for table in ("figure5", "figure6", "table1_angles"):
        assert {(table, str(angle)) for angle in ANGLES} <= found["logged"]
    assert {v.n for k, v in PAPER.items() if k[0] == "validation"} == {10, 100}


# -- Table 2 and counts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", DATASETS)
def test_table_2_fits_itself(dataset):
    for role in ROLES:
        row = f"{dataset}_{role}"
        seen, unseen, turned = (value("table2", row, column) for column in ("seen", "unseen", "turned"))
        assert turned == pytest.approx((4 * unseen - seen) / 3, abs=0.0051)
        assert (seen == unseen) == (role == "exact")
        spreads = [PAPER["table2", row, column].printed_spread for column in ("seen", "unseen")]
        assert all(spreads) != (dataset == "imagenet")


def test_table_2_is_whole():
    printed = [v for (table, _, column), v in PAPER.items() if table == "table2" and column != "turned"]
    assert len(printed) == 2 * len(ROLES) * len(DATASETS)
    spreads = [Decimal(v.printed_spread) for v in printed if v.printed_spread]
    assert (str(sum(Decimal(v.printed) for v in printed)), str(sum(spreads))) == TABLE2_SUM


@pytest.mark.parametrize(
    ("larger", "smaller", "classes", "features"),
    [
        ("resnet44_cifar100", "resnet44_cifar10", 90, 128),
        ("p4resnet44_cifar100", "p4resnet44_cifar10", 90, 64),
        ("resnet18_imagenet", "resnet18_flowers102", 898, 512),
        ("p4resnet18_imagenet", "p4resnet18_flowers102", 898, 256),
    ],
)
def test_networks_of_other_classes_differ_by_their_last_layer(larger, smaller, classes, features):
    counts = [value("networks", name, "parameters") for name in (larger, smaller)]
    assert counts[0] - counts[1] == classes * (features + 1)


def test_counts_of_the_digit_networks_are_those_of_table_1():
    assert value("networks", "z2cnn", "parameters") == value("table1", PLAIN, "parameters")
    for network in (EXACT, *APPROXIMATE):
        assert value("networks", "p4cnn", "parameters") == value("table1", network, "parameters")
