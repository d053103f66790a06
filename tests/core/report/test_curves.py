"""A curve against the paper's: one verdict over all of its steps."""

import math

import numpy as np
import pytest

from shared.report import verdicts
from shared.report.verdicts import DIFFERS, REPRODUCED, TOO_FEW, Printed, curve

STEPS = range(36)


def noise(rng, n, correlation=0.9):
    """Curves of independent seeds, whose neighboring steps go together."""
    values = rng.normal(size=(n, len(STEPS)))
    for i in STEPS[1:]:
        values[:, i] = correlation * values[:, i - 1] + math.sqrt(1 - correlation**2) * values[:, i]
    return values


def judged(ours, theirs, known=True, **fields):
    papers = {
        step: Printed(theirs[:, step].mean(), theirs[:, step].std(ddof=1) if known else None, len(theirs))
        for step in STEPS
    }
    return curve({step: list(ours[:, step]) for step in STEPS}, papers, **fields)


def test_one_step_far_away_makes_the_curve_differ_and_is_named():
    rng = np.random.default_rng(0)
    ours, theirs = noise(rng, 10), noise(rng, 10)
    same = judged(ours, theirs)
    assert same.status == REPRODUCED
    ours[:, 7] += 5
    far = judged(ours, theirs)
    assert (far.status, far.step) == (DIFFERS, 7)
    assert "furthest at 7" in far.reason
    assert far.low > 0
    assert far.p < 0.05 < same.p


def test_all_steps_together_err_in_at_most_one_case_of_twenty():
    """Judged by itself, one of 36 steps differs by chance in most curves."""
    rng = np.random.default_rng(1)
    pairs = [(noise(rng, 5), noise(rng, 10)) for _ in range(150)]
    together = np.mean([judged(*pair).status == DIFFERS for pair in pairs])
    assert together <= 0.08
    alone = [
        any(
            verdicts.cell(list(a[:, s]), b[:, s].mean(), b[:, s].std(ddof=1), len(b)).status == DIFFERS
            for s in STEPS
        )
        for a, b in pairs[:40]
    ]
    assert np.mean(alone) > 0.25


def test_few_runs_that_lie_close_together_by_chance_do_not_make_a_curve_differ():
    """Degrees of freedom estimated at each step would call 4 of 10 true curves different."""
    rng = np.random.default_rng(5)
    found = [judged(rng.normal(size=(3, 36)), rng.normal(size=(100, 36))).status for _ in range(60)]
    assert found.count(DIFFERS) <= 5


def test_repeated_steps_count_once_and_the_number_of_steps_does_not_matter_then():
    rng = np.random.default_rng(2)
    ours, theirs = rng.normal(size=(5, 1)), rng.normal(size=(10, 1))
    single = verdicts.cell(list(ours[:, 0]), theirs.mean(), theirs.std(ddof=1), 10)
    many = judged(np.repeat(ours, 36, 1) + 1e-3 * rng.normal(size=(5, 36)) * ours.std(), theirs.repeat(36, 1))
    assert "1 distinct" in many.method
    assert many.p == pytest.approx(single.p, rel=0.05)


def test_intervals_too_wide_to_disagree_decide_nothing():
    rng = np.random.default_rng(3)
    assert judged(noise(rng, 3), noise(rng, 10)).status == TOO_FEW
    assert judged(noise(rng, 5), noise(rng, 1), known=False).status == TOO_FEW
    assert judged(noise(rng, 2), noise(rng, 10)).reason == "fewer than 3 runs"
    assert judged(noise(rng, 3), noise(rng, 10) + 100).status == DIFFERS, "wide, and still too far away"
    ours, papers = {0: [1.0, 1.1, 0.9, 1.0, 1.0, 1.05]}, {0: Printed(1.0, 0.1, 9, shared_se=0.4)}
    assert curve(ours, papers).reason == verdicts.SHARED, "more runs would not decide"


def test_rounding_is_forgiven_and_an_error_that_seeds_share_widens():
    ours = {0: [1.04, 1.0399, 1.0401], 1: [2.0, 2.0001, 1.9999]}
    papers = {0: Printed(1.0, 1e-4, 9), 1: Printed(2.0, 1e-4, 9)}
    assert curve(ours, papers).status == DIFFERS
    for more in ({"rounding": 0.05}, {"shared_se": 0.05}):
        known = {step: Printed(one.value, one.spread, one.n, **more) for step, one in papers.items()}
        assert curve(ours, known).status != DIFFERS


def test_a_curve_without_the_same_steps_is_refused():
    for ours, papers in (({}, {}), ({0: [1.0] * 3}, {1: Printed(1.0)}), ({0: [1.0], 1: [1.0, 2.0]}, {})):
        with pytest.raises(ValueError, match="same steps"):
            curve(ours, papers)
    assert curve({0: [1.0] * 3}, {0: Printed(1.0)}, tier="demo").text == "no verdict (demo)"
