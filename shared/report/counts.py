"""How often each verdict occurs, and what verdicts mean, in words."""

from __future__ import annotations

from collections.abc import Mapping

from shared.report import verdicts

#: A status and the tier of the runs.
Kind = tuple[str, str]


def phrases(counts: Mapping[Kind, int]) -> dict[str, str]:
    """For each status that occurs, how often, and at a shorter protocol: ``7 reproduced (3 lite)``."""
    found = {}
    for status in verdicts.STATUSES:
        tiers = {tier: number for (of, tier), number in counts.items() if of == status and number}
        if tiers:
            short = [f"{number} {tier}" for tier, number in tiers.items() if tier not in ("", "paper")]
            found[status] = f"{sum(tiers.values())} {status}" + (f" ({', '.join(short)})" if short else "")
    return found


def tally(counts: Mapping[Kind, int]) -> str:
    """``7 reproduced (3 lite), 1 differs``; ``none`` if there is nothing to count."""
    return ", ".join(phrases(counts).values()) or "none"


def rules() -> tuple[str, ...]:
    """The rule for verdicts in words, for readers; `shared.report.verdicts` has it in full."""
    return (
        f"A cell needs {verdicts.MIN_RUNS} seeds or more, else it says *too few runs*.",
        "A cell *differs* if the 95 % interval of (our mean - the paper's value) leaves out 0. The interval "
        "joins our standard error over seeds with the paper's (Welch), allows for the rounding of the "
        "printed number, and treats a number printed without spread as the mean of its n runs (one, if n is "
        "not stated) that scatter like ours.",
        f"Otherwise it is *reproduced*, unless half of the interval is longer than {verdicts.WIDEST:g} of "
        "the paper's standard deviations: then our runs could not have disagreed, and the cell says *too few "
        "runs*. (More seeds narrow the interval, and so do more test images where a shorter protocol "
        "tests on a part of them.)",
        "A claim such as 'A beats B' is *reproduced* if the 95 % interval of the difference over seeds "
        "(paired where both ran the same seeds, else Welch) lies above the threshold, *differs* if it lies "
        "below, *too few runs* if it holds the threshold. 'A equals B' is tested by two one-sided tests at "
        "5 % within a stated margin.",
        "If nothing differs from the paper, up to 5 % of the cells still say *differs* by chance: in a "
        "table of 20 cells one lone *differs* near the limit means little.",
        "A statement that is ours and not the paper's *holds* or *does not hold*, and is not counted above. "
        "A number that several tables show is counted once.",
        "The tier says how much of the protocol was followed: *paper* is the paper's training, *lite* a "
        "declared shorter one on the same data. Where seeds, test images or the number format are not the "
        "paper's, the captions and the deviations say so. The arms of an experiment are shown at one tier, "
        "the highest that has seeds enough of all of them. ± is the standard deviation "
        "(n - 1) between seeds.",
    )
