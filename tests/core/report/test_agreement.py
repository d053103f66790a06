"""What is counted, apart and once; and whether more numbers differ than chance makes differ."""

import dataclasses

import mini_paper
import numpy as np
import pytest

from shared.report import agreement, counts, figures, verdicts
from shared.report.contents import Report
from shared.report.published import PAPER_COLUMNS, PaperValue
from shared.report.tables import Cell, Column, Row, Sample, Table

COLUMNS = (Column("row", "Row"), Column("a", "A"), Column("b", "B"))


def paper_value(value, origin="printed", **fields):
    names = {"value": "printed", "spread": "printed_spread"}
    known = {names.get(name, name): "" for name in PAPER_COLUMNS}
    return PaperValue(**known | {"printed": str(value), "origin": origin, "n": 5} | fields)


def cell(numbers, value, origin="printed", tier="paper", **fields):
    sample = Sample(dict(enumerate(map(float, numbers))), tier)
    verdict = verdicts.cell(sample, value, 1.0, 5)
    return Cell("", "", verdict, sample, paper_value(value, origin), **fields)


def table(*rows, name="t", claims=False):
    made = tuple(Row(str(i), "", tuple(cells)) for i, cells in enumerate(rows))
    return Table(name, name, COLUMNS, made, claims=claims)


def counted(*tables):
    return {of: dict(kinds) for of, kinds in counts.count(counts.judged(tables)).items() if kinds}


NEAR, FAR, OTHER = [9.2, 10, 10.8, 9.6, 10.4], [19, 20, 21, 19.5, 20.5], [9.3, 10.9, 9.5, 10.6, 9.7]
READ = [10.1, 9.9, 10.9]


def test_measured_numbers_facts_curves_and_claims_are_counted_apart():
    fact = Cell("", "", verdicts.exactly([7.0], 7.0, tier="lite"), Sample({0: 7.0}, "lite"), paper_value(7))
    waits = dataclasses.replace(fact, verdict=verdicts.exactly([], 7.0), sample=Sample())
    own = Cell("", verdict=dataclasses.replace(cell(NEAR, 10).verdict, ours=True))
    found = counted(
        table((cell(NEAR, 10), cell(FAR, 10)), (cell(OTHER, 10, "logged"), cell(READ, 10, "read"))),
        table((fact, waits), name="facts"),
        table((cell(FAR, 10, "logged", steps=36), cell([8, 9, 10, 11], 9, "derived")), name="curve"),
        table((cell(NEAR, 10), own), name="claims", claims=True),
    )
    paper, lite = ("reproduced", "paper"), ("reproduced", "lite")
    assert found == {
        "claims": {paper: 1},
        "printed": {paper: 1, ("differs", "paper"): 1},
        "logged": {paper: 2},
        "curves": {("differs", "paper"): 1},
        "facts": {lite: 1, ("not run", ""): 1},
    }, "what is derived from other numbers is not counted"
    words = counts.lines(counts.count(counts.judged([table((fact, waits))])))
    assert words == {"facts, such as parameter counts": "1 equal, 1 not run"}


def test_one_measurement_counts_once_and_as_the_paper_prints_it():
    """An average over quarter turns of an exact network is its upright accuracy, but for an image or two."""
    again = [number + small for number, small in zip(NEAR, (0.01, -0.01, 0, 0.01, 0))]
    logged = cell(again, 20, "logged")
    assert logged.verdict.status == "differs"
    found = counts.judged([table((logged, cell(OTHER, 10, "logged"))), table((cell(NEAR, 10), ""), name="u")])
    assert [(one.of, one.table.name, one.verdict.status) for one in found] == [
        ("logged", "t", "reproduced"),
        ("printed", "u", "reproduced"),
    ]
    apart = [number + 0.2 * (-1) ** i for i, number in enumerate(NEAR)]
    assert len(counts.judged([table((cell(NEAR, 10), cell(apart, 10)))])) == 2
    assert len(counts.judged([table((cell(NEAR, 10), cell(NEAR[:3], 10)))])) == 1, "its first seeds"
    fewer = {**dict(enumerate(NEAR[:2])), 7: 1.0}
    other = dataclasses.replace(cell(NEAR, 10), sample=Sample(fewer, "paper"))
    assert len(counts.judged([table((cell(NEAR, 10), other))])) == 2, "other seeds"


def test_a_number_of_a_shorter_protocol_is_counted_as_not_judged():
    shown = cell(NEAR, 10)
    shown = dataclasses.replace(shown, verdict=verdicts.withheld(cell(NEAR, 10, tier="lite").verdict))
    assert counted(table((shown, ""))) == {"printed": {(None, "lite"): 1}}
    assert counts.tally({(None, "lite"): 2, ("differs", "paper"): 1}) == "1 differs, 2 not judged (2 lite)"
    assert not counted(table((cell(NEAR, 10, tier="demo"), "")))
    assert agreement.scores(counts.judged([table((shown, ""))])) == {"printed": [], "logged": []}


def judged(rng, count, paper_n=5, shift=0.0):
    """Numbers of runs that scatter like the paper's, ``shift`` deviations away from them."""
    cells = []
    for _ in range(count):
        ours, theirs = rng.normal(shift, size=5), rng.normal(size=paper_n)
        verdict = verdicts.cell(list(ours), theirs.mean(), theirs.std(ddof=1), paper_n)
        sample = Sample(dict(enumerate(ours)), "paper")
        cells.append(Cell("", "", verdict, sample, paper_value(theirs.mean())))
    return counts.judged([table(*((one, "") for one in cells))])


def test_scores_are_standard_normal_where_nothing_differs_and_are_not_where_it_does():
    rng = np.random.default_rng(0)
    found = np.array(agreement.scores(judged(rng, 400))["printed"])
    assert found.mean() == pytest.approx(0, abs=0.15)
    assert found.std() == pytest.approx(1, abs=0.1)
    assert np.mean(np.abs(found) > agreement.BEYOND) == pytest.approx(0.05, abs=0.03)
    assert np.mean(agreement.scores(judged(rng, 100, shift=2.0))["printed"]) > 1.5


def test_the_sentence_says_how_many_differ_and_how_many_would_by_chance():
    rng = np.random.default_rng(1)
    assert agreement.sentence(judged(rng, 60, shift=5.0)) == (
        "Of 60 measured numbers tested 60 differ; by chance alone about 3 would, and rarely more than 6."
    )
    one = agreement.sentence(judged(rng, 1))
    assert one.startswith("Of 1 measured number tested none differs; by chance alone fewer than 1 would")
    wide = dataclasses.replace(cell(NEAR, 10), verdict=verdicts.cell(NEAR[:3], 10.2, 0.1, 5))
    said = "and rarely more than 1. For 1 of them the interval is too wide to tell."
    assert said in agreement.sentence(counts.judged([table((cell(OTHER, 10), wide))]))
    assert agreement.sentence([]) == "No measured number of this paper has been tested yet."


def test_every_report_has_the_picture_and_the_sentence(mini):
    mini_paper.record()
    report = Report("mini")
    figure = report.figures[-1]
    assert figure.name == "agreement"
    assert "agreement.svg" in report.declared.artefacts
    assert agreement.sentence(report.judged) in figure.caption
    svg, _ = figures.render(figure)
    assert "by chance alone" in figure.caption
    assert svg.count("<path") > 10
    assert agreement.figure([]).draw is None, "no empty panel"
