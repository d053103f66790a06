"""The propositions and the theorem as experiments: their numbers as rows of a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipelines.lconv import propositions, regression, stated
from pipelines.lconv.settings import Settings
from shared.runs.api import Context, Row

#: Sample sizes at which a symmetry found on one sample is tried on another (T9).
SAMPLE_SIZES = (100, 1000, 10_000, 100_000)


def propositions_run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Propositions 1 to 5 and the extra identities E1 and E2 on matrices drawn from each seed.

    Rows: as `pipelines.lconv.propositions` names them, ``p1_error`` and so on.
    """
    return {
        seed: [Row(*row) for name in propositions.NAMES for row in propositions.run(name, seed)]
        for seed in seeds
    }


def regression_run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Theorem 1 and Corollary 1 on a regression problem drawn from each seed.

    Rows: ``t1_...`` to ``t8_...`` as `pipelines.lconv.regression.run_tests` names them, and ``transfer``:
    how far a symmetry computed from one sample is from one of another sample's second moments, by sample
    size (T9).
    """
    rows = {}
    for seed in seeds:
        tests = regression.run_tests(seed, settings.samples)
        transfer = np.asarray(regression.transfer(SAMPLE_SIZES, 1, seed))[:, 0]
        rows[seed] = [Row(name, "", float(value)) for name, value in tests.items()]
        rows[seed] += [Row("transfer", n, float(value)) for n, value in zip(SAMPLE_SIZES, transfer)]
    return rows


def stated_run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """What the paper states and prints about its propositions.

    Rows: as `pipelines.lconv.stated.run` has them.
    """
    return {seed: [Row(*row) for row in stated.run(seed)] for seed in seeds}


def corollary_run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """All symmetries of Corollary 1, and what a row of ones does to them.

    Rows: as `pipelines.lconv.stated.corollary` names them.
    """
    found = {seed: stated.corollary(seed, settings.samples) for seed in seeds}
    return {seed: [Row(name, "", value) for name, value in one.items()] for seed, one in found.items()}
