"""Which tier of an experiment a report shows."""

from __future__ import annotations

import pandas as pd

from shared.report import verdicts


def shown(arms: list[list[pd.DataFrame]]) -> list[pd.DataFrame]:
    """Of each arm the frame to show, out of its frames by tier, the highest first (rule: `Results.frame`)."""
    able = [[enough(frame) for frame in frames] for frames in arms]
    common = [tier for tier, of_arms in enumerate(zip(*(one for one in able if any(one)))) if all(of_arms)]
    found = []
    for frames, is_able in zip(arms, able):
        chosen = common[:1] if any(is_able) else []
        order = [*chosen, *(tier for tier, one in enumerate(is_able) if one), *range(len(frames))]
        found.append(next((frames[tier] for tier in order if len(frames[tier])), pd.DataFrame()))
    return found


def enough(frame: pd.DataFrame) -> bool:
    """Whether one arm's rows come from seeds enough for a verdict."""
    return frame["seed"].nunique() >= verdicts.MIN_RUNS
