"""The verdict rule: each branch, its symmetries, and by simulation how often it errs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.report import stats, verdicts
from shared.report.tables import Sample
from shared.report.verdicts import DIFFERS, NOT_RUN, REPRODUCED, TOO_FEW

SIMULATIONS = 1500
#: Three standard errors of a simulated rate of 5 %.
SLACK = 3 * math.sqrt(0.05 * 0.95 / SIMULATIONS)


def rates(one, count=SIMULATIONS):
    """Share of each status over simulated experiments."""
    found = [one(np.random.default_rng([2308, number])).status for number in range(count)]
    return {status: found.count(status) / count for status in verdicts.STATUSES}


# -- cells -------------------------------------------------------------------------------------------------


def test_few_or_no_runs_decide_nothing():
    assert verdicts.cell([], 97.7, 0.2, 100).status == NOT_RUN
    assert verdicts.cell([90.0], 97.7, 0.2, 100).status == TOO_FEW
    assert verdicts.cell([90.0, 90.1], 97.7, 0.2, 100).status == TOO_FEW
    assert verdicts.cell([90.0, 90.1, 89.9], 97.7, 0.2, 100).status == DIFFERS


def test_near_values_are_reproduced_and_far_ones_differ():
    near = verdicts.cell([97.5, 97.8, 97.7, 97.6, 97.9], 97.69, 0.17, 100, spread_kind="std0")
    assert near.status == REPRODUCED
    assert near.low < 0 < near.high
    assert near.difference == pytest.approx(0.01)
    far = verdicts.cell([96.5, 96.8, 96.7, 96.6, 96.9], 97.69, 0.17, 100, spread_kind="std0")
    assert far.status == DIFFERS
    assert far.high < 0
    assert far.p < 1e-3


@pytest.mark.parametrize("tier", ["demo", "smoke"])
def test_other_data_never_get_a_verdict(tier):
    for call in (
        verdicts.cell([97.7] * 5, 97.7, tier=tier),
        verdicts.beats(stats.one_sample([1.0, 1.1, 0.9]), tier=tier),
        verdicts.same(stats.one_sample([0.0, 0.1, -0.1]), margin=1, tier=tier),
        verdicts.within([0.0] * 5, most=1, tier=tier),
    ):
        assert call.status is None
        assert call.text == f"no verdict ({tier})"


def test_the_shorter_protocol_shows_in_the_text():
    assert verdicts.cell([1.0, 1.1, 0.9], 1.0, 0.1, 3, tier="lite").text == "reproduced (lite)"
    assert verdicts.cell([1.0, 1.1, 0.9], 1.0, 0.1, 3, tier="paper").text == "reproduced"
    assert verdicts.cell([], 1.0).text == "not run"


def test_runs_that_scatter_wildly_reproduce_nothing():
    wild = verdicts.cell([60.0, 97.0, 80.0, 99.0], 90.0, 0.2, 100)
    assert wild.status == TOO_FEW
    assert "wider" in wild.reason


def test_an_interval_too_wide_to_disagree_decides_nothing_with_and_without_a_printed_spread():
    """Three runs against one number: their own scatter must not make it "reproduced"."""
    for ours in ([10.0, 50.0, 97.0], [91.2, 91.9, 92.4]):
        assert verdicts.cell(ours, 94.45, rounding=0.005).status == TOO_FEW
    narrow = [91.2, 91.9, 92.4, 91.6, 91.8, 92.1, 92.0]
    assert verdicts.cell(narrow, 91.5).status == REPRODUCED
    assert verdicts.cell(narrow[:4], 91.5, n=100).status == REPRODUCED, "a mean of many, of unknown spread"
    assert verdicts.cell(narrow, 94.45).status == DIFFERS
    assert verdicts.cell([10.0, 50.0, 97.0], 500.0).status == DIFFERS, "wide, and still too far away"


def test_rounding_of_the_printed_number_is_forgiven():
    exact = [97.6949, 97.6948, 97.6947]
    assert verdicts.cell(exact, 97.69).status == DIFFERS
    assert verdicts.cell(exact, 97.69).p < 0.001
    assert verdicts.cell(exact, 97.69, rounding=0.005).p == 1.0
    assert verdicts.cell(exact, 97.69, rounding=0.005).score == 0.0
    assert verdicts.cell([1.0, 1.0, 1.0], 1.0).score is None, "no chance in it"
    assert verdicts.cell(exact, 97.69, rounding=0.005).status == REPRODUCED
    assert verdicts.cell([97.7049, 97.7048, 97.7047], 97.69, rounding=0.005).status == DIFFERS


def test_counts_without_scatter_must_agree_exactly():
    assert verdicts.cell([25570.0] * 3, 25570, rounding=0.5).status == REPRODUCED
    assert verdicts.cell([25571.0] * 3, 25570, rounding=0.5).status == DIFFERS


def test_spread_kinds_are_converted():
    ours, n, sd = [97.5, 97.8, 97.7, 97.6, 97.9], 10, 0.2
    base = verdicts.cell(ours, 97.3, sd, n, spread_kind="std")
    quantile = stats.t_quantile(0.975, n - 1)
    for kind, spread in (
        ("std0", sd * math.sqrt((n - 1) / n)),
        ("se", sd / math.sqrt(n)),
        ("se0", sd * math.sqrt((n - 1) / n) / math.sqrt(n)),
        ("ci95", quantile * sd / math.sqrt(n)),
    ):
        other = verdicts.cell(ours, 97.3, spread, n, spread_kind=kind)
        assert (other.low, other.high) == pytest.approx((base.low, base.high)), kind
        assert other.status == base.status


def test_a_spread_without_n_counts_in_full():
    known = verdicts.cell([97.5, 97.8, 97.7, 97.6], 97.0, 0.4, 100)
    unknown = verdicts.cell([97.5, 97.8, 97.7, 97.6], 97.0, 0.4, None)
    assert unknown.high - unknown.low > known.high - known.low
    assert known.status == DIFFERS
    assert unknown.status == REPRODUCED


def test_no_spread_gives_a_prediction_interval():
    ours = [97.5, 97.8, 97.7, 97.6]
    found = verdicts.cell(ours, 97.0)
    half = stats.t_quantile(0.975, 3) * np.std(ours, ddof=1) * math.sqrt(1 + 1 / 4)
    assert (found.high - found.low) / 2 == pytest.approx(half)


def test_an_error_that_runs_share_widens_the_interval():
    ours = [97.5, 97.6, 97.55, 97.52]
    assert verdicts.cell(ours, 97.9, 0.2, 100).status == DIFFERS
    assert verdicts.cell(ours, 97.9, 0.2, 100, shared_se=0.2).status == REPRODUCED
    wide = verdicts.cell(ours, 97.9, 0.2, 100, shared_se=0.4)
    assert (wide.status, wide.reason) == (TOO_FEW, verdicts.SHARED)
    scattered = verdicts.cell([96.0, 99.0, 98.0], 97.9, 0.2, 100, shared_se=0.4)
    assert (scattered.status, scattered.reason) != (TOO_FEW, verdicts.SHARED)
    assert scattered.status == TOO_FEW


def test_a_count_is_the_same_number_or_not_and_one_run_is_enough():
    same, other = verdicts.exactly([24_990.0], 24_990), verdicts.exactly([24_990.0, 24_991.0], 24_990)
    assert (same.status, same.difference, same.n) == (REPRODUCED, 0, 1)
    assert (other.status, other.difference) == (DIFFERS, 1)
    assert verdicts.exactly([], 1).status == NOT_RUN
    assert verdicts.exactly([1.0], 1, tier="demo").status is None


def test_unknown_spread_kind_is_refused():
    with pytest.raises(ValueError, match="unknown spread kind 'sd'"):
        verdicts.cell([1.0, 2.0, 3.0], 2.0, 1.0, 5, spread_kind="sd")


@given(
    st.lists(st.floats(-3, 3), min_size=3, max_size=8), st.floats(-5, 5), st.sampled_from([0.5, 2.0, 10.0])
)
def test_verdicts_do_not_depend_on_origin_sign_or_unit(values, value, unit):
    base = verdicts.cell(values, value, 1.0, 20)
    if base.low is None or min(abs(base.low), abs(base.high)) < 1e-6:
        return
    for scale in (unit, -unit):
        moved = verdicts.cell([scale * v + 7 for v in values], scale * value + 7, unit, 20)
        assert moved.status == base.status


# -- how often the rule errs -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "paper_n", "kind"),
    [(3, 100, "std0"), (5, 100, "std0"), (5, 10, "std"), (10, 10, "se"), (5, 3, "ci95"), (5, None, "")],
)
def test_same_distribution_rarely_differs(n, paper_n, kind):
    def one(rng):
        theirs = rng.normal(size=paper_n or 1)
        sd = theirs.std(ddof=1) if paper_n else math.nan
        se = sd / math.sqrt(paper_n or 1)
        width = stats.t_quantile(0.975, paper_n - 1) * se if kind == "ci95" else None
        spread = {"std0": theirs.std(), "std": sd, "se": se, "ci95": width, "": None}[kind]
        value = round(float(theirs.mean()), 2)
        return verdicts.cell(rng.normal(size=n), value, spread, paper_n, spread_kind=kind, rounding=0.005)

    found = rates(one)
    nominal = 0.08 if n == 3 else 0.06 if n == 5 else 0.05
    assert found[DIFFERS] <= nominal + SLACK
    assert found[DIFFERS] >= 0.02, "a rule that never differs would pass the first check"


def test_unequal_spread_does_not_raise_false_alarms():
    def one(rng):
        theirs = rng.normal(scale=0.2, size=100)
        return verdicts.cell(
            rng.normal(scale=2, size=4), theirs.mean(), theirs.std(), 100, spread_kind="std0"
        )

    assert rates(one)[DIFFERS] <= 0.05 + SLACK


def test_a_shift_of_three_deviations_is_seen_with_five_seeds():
    found = rates(lambda rng: verdicts.cell(rng.normal(3, size=5), 0.0, 1.0, 100), 500)
    assert found[DIFFERS] > 0.95


def test_a_wrong_value_is_never_confirmed_by_noise():
    def one(rng):
        return verdicts.cell(rng.normal(5, 10, size=4), 0.0, 1.0, 100)

    assert rates(one, 500)[REPRODUCED] < 0.05


@pytest.mark.parametrize("same_seeds", [True, False])
def test_equal_arms_are_rarely_ordered(same_seeds):
    def one(rng):
        first = dict(enumerate(rng.normal(size=5)))
        second = {seed + (0 if same_seeds else 10): v for seed, v in enumerate(rng.normal(scale=2, size=5))}
        return verdicts.beats(stats.compare(first, second))

    found = rates(one)
    assert found[REPRODUCED] <= 0.025 + SLACK
    assert found[DIFFERS] <= 0.025 + SLACK
    assert found[TOO_FEW] > 0.9


def test_arms_a_margin_apart_are_rarely_called_the_same():
    def one(rng):
        return verdicts.same(stats.one_sample(rng.normal(0.5, 0.2, size=6)), margin=0.5)

    assert rates(one)[REPRODUCED] <= 0.05 + SLACK


def test_a_claim_with_one_false_part_rarely_passes():
    def one(rng):
        true = verdicts.beats(stats.one_sample(rng.normal(5, 1, size=5)))
        false = verdicts.beats(stats.one_sample(rng.normal(0, 1, size=5)))
        return verdicts.every([true, false])

    assert rates(one)[REPRODUCED] <= 0.025 + SLACK


# -- claims ------------------------------------------------------------------------------------------------


def test_beats_has_three_outcomes():
    up = stats.one_sample([1.0, 1.2, 0.9, 1.1])
    assert verdicts.beats(up).status == REPRODUCED
    assert verdicts.beats(up, threshold=0.5).status == REPRODUCED
    assert verdicts.beats(up, threshold=2).status == DIFFERS
    open_question = verdicts.beats(up, threshold=1.0)
    assert open_question.status == TOO_FEW
    assert "; about 53 seeds would decide" in open_question.reason
    hopeless = verdicts.beats(stats.one_sample([1.0, 1.2, -2.1, 0.0]))
    assert "; more than 1000 seeds would decide" in hopeless.reason
    assert verdicts.beats(None).status == NOT_RUN
    assert verdicts.beats(stats.one_sample([1.0, 1.1])).status == TOO_FEW
    assert verdicts.beats(stats.one_sample([1.0, 1.0, 1.0]), threshold=1.0).status == DIFFERS


def test_same_has_three_outcomes():
    small = stats.one_sample([0.02, -0.03, 0.01, 0.02, -0.01])
    assert verdicts.same(small, margin=0.1).status == REPRODUCED
    assert verdicts.same(small, margin=0.001).status == TOO_FEW
    large = stats.one_sample([0.5, 0.52, 0.49, 0.51])
    assert verdicts.same(large, margin=0.1).status == DIFFERS
    # different from zero, and yet within the margin: the claim says "smaller than the margin", so it holds
    assert verdicts.same(large, margin=0.7).status == REPRODUCED


def test_within_looks_at_every_run():
    assert verdicts.within([1e-7, 2e-7, 9e-6], most=1e-5).status == REPRODUCED
    assert verdicts.within([1e-7, 2e-7, 2e-5], most=1e-5).status == DIFFERS
    assert verdicts.within([1.0, 1.0, math.nan], least=0).status == DIFFERS
    assert verdicts.within([1e-7], most=1).status == TOO_FEW
    assert verdicts.within([], most=1).status == NOT_RUN


def test_every_takes_the_weakest_part():
    yes = verdicts.beats(stats.one_sample([1.0, 1.2, 0.9, 1.1]))
    weaker = verdicts.beats(stats.one_sample([1.0, 1.6, 0.5, 1.1]), tier="lite")
    assert weaker.status == REPRODUCED
    joined = verdicts.every([yes, weaker])
    assert (joined.status, joined.p, joined.tier) == (REPRODUCED, weaker.p, "lite")
    no = verdicts.beats(stats.one_sample([-1.0, -1.2, -0.9]))
    open_question = verdicts.beats(stats.one_sample([-1.0, 1.2, 0.1]))
    assert verdicts.every([yes, open_question]).status == TOO_FEW
    assert verdicts.every([yes, open_question, no]).status == DIFFERS
    assert verdicts.every([yes, no, verdicts.Verdict(NOT_RUN)]).status == NOT_RUN
    with pytest.raises(ValueError, match="one part at least"):
        verdicts.every([])


def test_few_refuses_what_could_be_tested():
    assert verdicts.few(1, "lite").status == TOO_FEW
    assert verdicts.few(0, "lite").status == NOT_RUN
    with pytest.raises(ValueError, match="enough"):
        verdicts.few(3, "paper")


SAMPLE = Sample({7: 0.1, 8: 0.2, 9: 0.3}, "lite")


def test_a_sample_is_judged_by_its_values_and_its_tier():
    """Its seeds lie far beyond the bound, its values within."""
    assert verdicts.within(SAMPLE, most=1).text == "reproduced (lite)"
    assert verdicts.within(SAMPLE, most=0.25).text == "differs (lite)"
    assert verdicts.cell(SAMPLE, 0.2).text == verdicts.cell(SAMPLE.numbers, 0.2, tier="lite").text
    assert verdicts.cell(SAMPLE, 8.0).text == "differs (lite)"
    assert verdicts.exactly(SAMPLE.map(lambda value: 3.0), 3).text == "equal", "at any protocol"
    assert verdicts.exactly(SAMPLE.map(lambda value: 3.0), 4).text == "not equal"
    assert verdicts.exactly([0.29574], 0.2957, rounding=0.00005).text == "equal", "as far as it is printed"
    assert verdicts.exactly([0.29574, math.nan], 0.2957, rounding=0.00005).text == "not equal"
    assert verdicts.exactly([452_171], 452_170, rounding=0.5).text == "not equal"
    assert verdicts.within(SAMPLE, most=1, tier="paper").text == "reproduced"
    assert verdicts.within(Sample(), most=1).status == NOT_RUN


@pytest.mark.parametrize(
    "data", [SAMPLE.values, SAMPLE.values.keys(), {0.1, 0.2}, "0.1", SAMPLE.values.items()]
)
@pytest.mark.parametrize(
    "judge",
    [
        lambda data: verdicts.within(data, most=9),
        lambda data: verdicts.cell(data, 8.0),
        lambda data: verdicts.exactly(data, 8.0),
        stats.summary,
        stats.one_sample,
        lambda data: stats.welch(data, [1.0, 2.0]),
        lambda data: stats.welch([1.0, 2.0], data),
    ],
)
def test_seeds_are_not_taken_for_values(judge, data):
    with pytest.raises(TypeError, match="give the numbers of the sample in a list"):
        judge(data)


@pytest.mark.parametrize("data", [[0, 1, 2], SAMPLE, SAMPLE.values.keys()])
def test_values_are_not_taken_for_seeds(data):
    for pair in ((data, {0: 1.0, 1: 2.0}), ({0: 1.0, 1: 2.0}, data)):
        for test in (stats.paired, stats.compare):
            with pytest.raises(TypeError, match="give the values by seed"):
                test(*pair)
    with pytest.raises(TypeError, match="give the values by seed"):
        Sample(data)
