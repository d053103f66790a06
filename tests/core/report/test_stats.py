"""Statistics over seeds against scipy's, and at the edges where scipy gives NaN."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from shared.report import stats

finite = st.floats(-100, 100).map(lambda value: round(value, 3))
samples = st.lists(finite, min_size=2, max_size=12).filter(lambda values: np.std(values) > 1e-2)


@settings(max_examples=40)
@given(samples)
def test_summary_is_numpys_with_n_minus_1(values):
    found = stats.summary(values)
    assert found.n == len(values)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert found.sd == pytest.approx(np.std(values, ddof=1))
    low, high = found.interval(0.9)
    expected = reference.t.interval(0.9, len(values) - 1, loc=np.mean(values), scale=reference.sem(values))
    assert (low, high) == pytest.approx(expected, abs=1e-6)


def test_summary_of_one_value_knows_nothing_of_its_spread():
    found = stats.summary([3.0])
    assert math.isnan(found.sd)
    assert found.interval() == (-math.inf, math.inf)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_summary_refuses_empty_and_not_finite_samples(values):
    with pytest.raises(ValueError, match=r"empty|not finite"):
        stats.summary(values)


@settings(max_examples=40)
@given(samples, samples)
def test_welch_is_scipys(first, second):
    ours = stats.welch(first, second)
    theirs = reference.ttest_ind(first, second, equal_var=False)
    assert ours.p_different() == pytest.approx(theirs.pvalue, rel=1e-6, abs=1e-12)
    assert ours.interval() == pytest.approx(tuple(theirs.confidence_interval(0.95)), rel=1e-6, abs=1e-6)
    greater = reference.ttest_ind(first, second, equal_var=False, alternative="greater")
    assert ours.p_greater() == pytest.approx(greater.pvalue, rel=1e-6, abs=1e-12)
    assert ours.p_less() == pytest.approx(1 - greater.pvalue, rel=1e-6, abs=1e-9)


def test_a_known_error_is_added_in_squares():
    base = stats.one_sample([1.0, 2.0, 3.0, 4.0])
    more = stats.with_known_error(base, 2.0)
    halves = [(high - low) / 2 for low, high in (base.interval(), more.interval())]
    assert halves[1] == pytest.approx(math.hypot(halves[0], 2.0 * 1.959964), rel=1e-6)
    assert more.value == base.value
    assert stats.with_known_error(base, 0.0) == base
    many = stats.with_known_error(stats.Difference(0.0, 1.0, math.inf, 9, 1.0, ""), 2.0)
    assert many.se == pytest.approx(math.hypot(1.0, 2.0))
    flat = stats.with_known_error(stats.one_sample([1.0, 1.0]), 0.5)
    assert flat.interval() == pytest.approx((1 - 0.5 * 1.959964, 1 + 0.5 * 1.959964), abs=1e-6)


@pytest.mark.parametrize("known", [0.1, 0.5, 1.0, 4.0])
def test_a_known_error_never_narrows_an_interval_and_it_errs_as_rarely_as_it_says(known):
    """Welch's degrees of freedom would grow with it: with three seeds the interval became shorter."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        base = stats.one_sample(list(rng.normal(scale=3**0.5, size=3)))
        low, high = stats.with_known_error(base, known).interval()
        assert high - low > base.interval()[1] - base.interval()[0]
        wrong += not low < rng.normal(scale=known) < high
    assert wrong / 400 < 0.08


@settings(max_examples=40)
@given(st.lists(st.tuples(finite, finite), min_size=2, max_size=10))
def test_paired_is_scipys_and_needs_no_order(pairs):
    gaps = [a - b for a, b in pairs]
    if np.std(gaps) < 1e-2:
        return
    first = {seed: a for seed, (a, _) in enumerate(pairs)}
    second = {seed: b for seed, (_, b) in reversed(list(enumerate(pairs)))}
    ours = stats.paired(first, second)
    theirs = reference.ttest_rel(*zip(*pairs))
    assert ours.p_different() == pytest.approx(theirs.pvalue, rel=1e-6, abs=1e-12)
    assert ours.interval(0.9) == pytest.approx(tuple(theirs.confidence_interval(0.9)), rel=1e-6, abs=1e-6)


def test_one_sample_is_scipys():
    values = [10.5, 12.25, 11.0, 9.75]
    ours = stats.one_sample(values)
    theirs = reference.ttest_1samp(values, 10.0, alternative="greater")
    assert ours.p_greater(10.0) == pytest.approx(theirs.pvalue)


def test_tost_is_the_larger_of_two_one_sided_tests():
    values = [0.05, -0.02, 0.04, 0.01, 0.03]
    ours = stats.one_sample(values)
    above = reference.ttest_1samp(values, -0.1, alternative="greater").pvalue
    below = reference.ttest_1samp(values, 0.1, alternative="less").pvalue
    assert ours.p_within(0.1) == pytest.approx(max(above, below))


def test_samples_without_scatter_decide_by_their_values():
    same = stats.welch([2.0, 2.0], [2.0, 2.0])
    assert same.interval() == (0.0, 0.0)
    assert (same.p_greater(), same.p_less(), same.p_different(), same.effect) == (1.0, 1.0, 1.0, 0.0)
    more = stats.welch([3.0, 3.0], [2.0, 2.0])
    assert (more.p_greater(), more.p_greater(1.0), more.p_different()) == (0.0, 1.0, 0.0)
    assert more.effect == math.inf


def test_compare_pairs_equal_seeds_and_nothing_else():
    first = {0: 1.0, 1: 2.0, 2: 4.0}
    assert stats.compare(first, {2: 3.0, 1: 1.0, 0: 0.5}).method == "paired t"
    assert stats.compare(first, {0: 1.0, 1: 1.0, 7: 0.5}).method == "Welch t"
    assert stats.compare(first, {0: 1.0, 1: 1.0}).method == "Welch t"


def test_pairs_remove_what_seeds_share():
    rng = np.random.default_rng(0)
    shared = rng.normal(scale=5, size=8)
    first = dict(enumerate(shared + 1 + rng.normal(scale=0.1, size=8)))
    second = dict(enumerate(shared + rng.normal(scale=0.1, size=8)))
    assert stats.paired(first, second).p_greater() < 1e-6
    assert stats.welch(list(first.values()), list(second.values())).p_greater() > 0.1


@pytest.mark.parametrize(
    "call",
    [
        lambda: stats.welch([1.0], [1.0, 2.0]),
        lambda: stats.paired({0: 1.0, 1: 2.0}, {1: 1.0, 2: 1.0}),
        lambda: stats.one_sample([1.0]),
    ],
)
def test_tests_need_two_seeds(call):
    with pytest.raises(ValueError, match="two seeds or more"):
        call()


def test_runs_to_decide_gives_the_power_it_promises():
    sd, effect = 0.3, 0.2
    pilot = stats.Difference(effect, sd / math.sqrt(5), 4, 5, sd, "paired t")
    needed = stats.runs_to_decide(pilot, power=0.8)

    def power(n):
        return reference.norm.sf(reference.norm.ppf(0.975) - effect / (sd / math.sqrt(n)))

    assert power(needed) >= 0.8 > power(needed - 1)
    assert stats.runs_to_decide(pilot, threshold=effect) is None


def test_infinite_degrees_of_freedom_are_the_normal_distribution():
    assert stats.t_quantile(0.975, math.inf) == pytest.approx(1.959964, abs=1e-6)
    assert stats.t_cdf(1.0, math.inf) == pytest.approx(reference.norm.cdf(1.0))
    assert stats.t_quantile(0.975, 4) == pytest.approx(2.776445, abs=1e-6)
