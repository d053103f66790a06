"""How often the rules for verdicts err, by simulation; writes the tables of docs/verdicts.md.

    python scripts/verdict_rates.py

Runs and the paper's runs are drawn from normal distributions with deviation 1, whose means differ by a known
number of deviations. Everything is seeded: the same tables come out, which a test checks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from shared.report import stats, verdicts  # noqa: E402
from shared.report.verdicts import DIFFERS, REPRODUCED, Printed, Verdict  # noqa: E402

PAGE = ROOT / "docs" / "verdicts.md"
#: Simulated verdicts of each number of the tables: of cells and claims, and of curves.
DRAWS, CURVES = 1000, 100
#: Our runs, and what is known of the paper's number: its runs, and whether their spread is printed.
RUNS = (2, 3, 5, 10)
REFERENCES = {
    "mean of 100, ± printed": (100, True),
    "mean of 5, ± printed": (5, True),
    "mean of 5, no ±": (5, False),
    "one run": (1, False),
}
#: A curve: its steps, how neighbors go together, and the runs behind the paper's.
STEPS, NEIGHBORS, PAPERS = 12, 0.9, 10


def rates(judge: Callable[..., Verdict], *settings: Any, draws: int = DRAWS) -> dict[str | None, float]:
    """The share of each status among simulated verdicts: ``judge`` of a generator and the settings."""
    rng = np.random.default_rng(0)
    found = [judge(rng, *settings).status for _ in range(draws)]
    return {status: found.count(status) / draws for status in dict.fromkeys(found)}


def cell(rng: np.random.Generator, n: int, papers: int, printed: bool, off: float) -> Verdict:
    """The verdict on a number that is ``off`` deviations away from the truth."""
    theirs = rng.normal(off, size=papers)
    spread = theirs.std(ddof=1) if printed else None
    return verdicts.cell(list(rng.normal(size=n)), theirs.mean(), spread, papers)


def claim(rng: np.random.Generator, n: int, rule: str, true: float) -> Verdict:
    """The verdict on a claim about a difference by seed with this true mean and deviation 1."""
    found = stats.one_sample(list(rng.normal(true, size=n)))
    return verdicts.beats(found) if rule == "above" else verdicts.same(found, margin=1.0)


def curve(rng: np.random.Generator, n: int, off: float, everywhere: bool) -> Verdict:
    """The verdict on a curve that is ``off`` deviations away at all steps or at one."""
    ours, theirs = walk(rng, n), walk(rng, PAPERS)
    theirs[:, slice(None) if everywhere else STEPS // 2] += off
    papers = {i: Printed(theirs[:, i].mean(), theirs[:, i].std(ddof=1), PAPERS) for i in range(STEPS)}
    return verdicts.curve({i: list(ours[:, i]) for i in range(STEPS)}, papers)


def walk(rng: np.random.Generator, n: int) -> np.ndarray:
    """Curves whose neighboring steps go together."""
    values = rng.normal(size=(n, STEPS))
    for i in range(1, STEPS):
        values[:, i] = NEIGHBORS * values[:, i - 1] + (1 - NEIGHBORS**2) ** 0.5 * values[:, i]
    return values


def numbers() -> str:
    """Table of cells."""
    rows = []
    for n in RUNS:
        for words, known in REFERENCES.items():
            true, one, three = (rates(cell, n, *known, off) for off in (0, 1, 3))
            shares = (true.get(DIFFERS), true.get(REPRODUCED), one.get(REPRODUCED), three.get(REPRODUCED))
            rows.append((str(n), words, *map(percent, shares)))
    header = ("our runs", "the paper's number", "true: *differs*", "true: *reproduced*")
    return grid((*header, "off by one: *reproduced*", "off by three: *reproduced*"), rows)


def claims() -> str:
    """Table of claims."""
    columns = (
        *(("above", true, DIFFERS) for true in (1, 3)),
        *(("above", true, REPRODUCED) for true in (1, 3, 0, -1)),
        ("alike", 0, DIFFERS),
        *(("alike", true, REPRODUCED) for true in (0, 1, 3)),
    )
    rows = [
        (str(n), *(percent(rates(claim, n, rule, true).get(status)) for rule, true, status in columns))
        for n in RUNS
    ]
    return grid(("our runs", *(f"{rule}, {true}: *{status}*" for rule, true, status in columns)), rows)


def curves() -> str:
    """Table of curves."""
    rows = []
    for n in RUNS:
        settings = ((0, True), (1, True), (3, True), (3, False))
        found = [rates(curve, n, *one, draws=CURVES) for one in settings]
        shares = [found[0].get(DIFFERS), *(one.get(REPRODUCED) for one in found)]
        rows.append((str(n), *map(percent, shares)))
    off = ("off by one everywhere", "off by three everywhere", "off by three at one step")
    header = ("our runs", "true: *differs*", "true: *reproduced*")
    return grid((*header, *(f"{words}: *reproduced*" for words in off)), rows)


TABLES = {"numbers": numbers, "claims": claims, "curves": curves}


def percent(share: float | None) -> str:
    """``5 %``; ``-`` if it never happened."""
    return f"{100 * share:.0f} %" if share else "-"


def grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---:"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def filled(page: str, made: dict[str, str]) -> str:
    """The page with these tables between their marks."""
    for name, table in made.items():
        before, start, rest = page.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        if not start or not end:
            raise ValueError(f"docs/verdicts.md lacks the marks of {name}")
        page = f"{before}{start}{table}{end}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(), {name: make() for name, make in TABLES.items()}))
