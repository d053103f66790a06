"""How often each verdict occurs, apart by what is judged, and what verdicts mean, in words.

Measured numbers, curves, facts and claims are never added up: that a network has as many parameters as the
paper's says nothing of its accuracy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from shared.report import verdicts
from shared.report.tables import Cell, Column, Row, Table
from shared.report.verdicts import DIFFERS, REPRODUCED, Verdict

#: A status (None: shown and not judged) and the tier of the runs.
Kind = tuple[str | None, str]
#: What is counted apart, in the order in which it is told.
CLASSES = {
    "claims": "claims",
    "printed": "measured, printed in the paper",
    "logged": "measured, in its logs or figures",
    "curves": "curves in its logs or figures",
    "facts": "facts, such as parameter counts",
}
#: The class of a measured number by the origin of the paper's; what is derived follows from others.
_MEASURED = {"printed": "printed", "logged": "logged", "read": "logged"}
#: A fact is reproduced if it is the same.
_FACTS = {REPRODUCED: "equal", DIFFERS: "not equal"}


@dataclass(frozen=True)
class Judged:
    """A cell that counts, with its class and its place."""

    of: str
    table: Table
    row: Row
    column: Column
    cell: Cell
    verdict: Verdict


def class_of(table: Table, cell: Cell) -> str:
    """What a cell counts as, one of `CLASSES`; "" for what is ours, no number, or derived from others."""
    verdict = cell.verdict
    if verdict is None or verdict.ours or (verdict.status is None and verdict.reason != verdicts.SHORTER):
        return ""
    if table.claims:
        return "claims"
    if cell.published is None:
        return ""
    if verdict.method == verdicts.EQUALITY:
        return "facts"
    found = _MEASURED.get(cell.published.origin, "")
    return "curves" if cell.steps else found


def judged(tables: Iterable[Table]) -> list[Judged]:
    """Every cell that counts; of one measurement that is judged several times the first.

    An average beside its only part, a table and a figure that show the same runs, two angles of an exact
    network: two measured numbers are one if our values differ by less than a twentieth of their spread with
    every seed (`verdicts.one_measurement`). What the paper prints comes before what its logs say.
    """
    found = [
        Judged(of, table, row, column, cell, cell.verdict)
        for table in tables
        for row, column, cell in table.cells()
        if cell.verdict is not None and (of := class_of(table, cell))
    ]
    order = list(CLASSES)
    first = sorted(found, key=lambda one: (one.verdict.status is None, order.index(one.of)))
    kept = {id(one) for one in _once(first)}
    return [one for one in found if id(one) in kept]


def _once(found: Iterable[Judged]) -> Iterator[Judged]:
    measured = verdicts.Measurements()
    facts = set()
    for one in found:
        values = one.cell.sample.values
        if one.of in ("printed", "logged") and values:
            if measured.is_known(values):
                continue
            measured.add(values)
        elif one.of == "facts" and values and one.cell.published:
            fact = (one.cell.published.value, tuple(sorted(values.items())))
            if fact in facts:
                continue
            facts.add(fact)
        yield one


def count(found: Iterable[Judged]) -> dict[str, Counter[Kind]]:
    """How often each status and tier occurs in each class, the classes in their order."""
    counted: dict[str, Counter[Kind]] = {of: Counter() for of in CLASSES}
    for one in found:
        counted[one.of][one.verdict.status, one.verdict.tier] += 1
    return counted


def lines(counted: Mapping[str, Mapping[Kind, int]], but: Iterable[str] = ()) -> dict[str, str]:
    """Of each class that occurs words and counts: ``{"claims": "7 reproduced (3 lite), 1 differs"}``."""
    there = (of for of, kinds in counted.items() if of not in but and sum(kinds.values()))
    return {CLASSES[of]: tally(counted[of], of) for of in there}


def phrases(counts: Mapping[Kind, int], of: str = "") -> dict[str | None, str]:
    """For each status that occurs, how often, and at a shorter protocol: ``7 reproduced (3 lite)``."""
    found: dict[str | None, str] = {}
    for status in (*verdicts.STATUSES, None):
        tiers = {tier: number for (one, tier), number in counts.items() if one == status and number}
        if tiers:
            word = _FACTS.get(status or "", status) if of == "facts" else status
            short = [f"{number} {tier}" for tier, number in tiers.items() if tier not in ("", "paper")]
            said = f" ({', '.join(short)})" if short and of != "facts" else ""
            found[status] = f"{sum(tiers.values())} {word or 'not judged'}{said}"
    return found


def tally(counts: Mapping[Kind, int], of: str = "") -> str:
    """``7 reproduced (3 lite), 1 differs``; ``none`` if there is nothing to count."""
    return ", ".join(phrases(counts, of).values()) or "none"


def rules() -> tuple[str, ...]:
    """The rule for verdicts in words, for readers; `shared.report.verdicts` has it in full."""
    return (
        f"A cell needs {verdicts.MIN_RUNS} seeds or more, else it says *too few runs*.",
        "A cell *differs* if the 95 % interval of (our mean - the paper's value) leaves out 0. The interval "
        "joins our standard error over seeds with the paper's (Welch), allows for the rounding of the "
        "printed number, and treats a number printed without spread as the mean of its n runs (one, if n is "
        "not stated) that scatter like ours.",
        f"Otherwise it is *reproduced*, unless half of the interval is longer than {verdicts.WIDEST:g} "
        "standard deviations (the paper's, else ours): then our runs could not have disagreed, and the cell "
        "says *too few runs*. (More seeds narrow the interval, and so do more test images where only a part "
        "of them is tested.)",
        "A curve has one verdict: it *differs* if its furthest step does, at a level that keeps all of its "
        "steps together at 5 %.",
        "A number of a shorter protocol is judged only beside a reference at that very protocol. Else it is "
        "shown with its difference, and *not judged*.",
        "A claim such as 'A beats B' is *reproduced* if the 95 % interval of the difference over seeds "
        "(paired where both ran the same seeds, else Welch) lies above the threshold, *differs* if it lies "
        "below, *too few runs* if it holds the threshold. 'A equals B' is tested by two one-sided tests at "
        "5 % within a stated margin.",
        "If nothing differs from the paper, up to 5 % of the cells still say *differs* by chance: in a "
        "table of 20 cells one lone *differs* near the limit means little.",
        "Counted apart are measured numbers that the paper prints, those of its authors' logs and notebooks, "
        "curves, and facts in which there is no chance, which are equal or not. One measurement that several "
        "numbers rest on counts once; what follows from other numbers, such as a mean of them, does not "
        "count.",
        "A statement that is ours and not the paper's *holds* or *does not hold*, and is not counted.",
        "The tier says how much of the protocol was followed: *paper* is the paper's training, *lite* a "
        "declared shorter one on the same data. Where seeds, test images or the number format are not the "
        "paper's, the captions and the deviations say so. The arms of an experiment are shown at one tier, "
        "the highest that has seeds enough of all of them. ± is the standard deviation "
        "(n - 1) between seeds.",
    )
