"""Tables and claims from descriptions: columns of each kind, missing arms, the template's tables."""

from __future__ import annotations

import re

import mini_paper
import numpy as np
import pandas as pd
import pytest

from pipelines._template import tables as template
from shared.base.errors import UserError
from shared.report import claims, markdown, text, verdicts
from shared.report.build import (
    Filled,
    Line,
    Quantity,
    before_after,
    change,
    compared,
    curve,
    declared,
    gap,
    plain,
    table,
    words,
)
from shared.report.protocol import lacking, protocol
from shared.report.results import Results
from shared.report.tables import Cell, Column, Sample, per_seed
from shared.runs import config

ERROR, LOSS = Quantity("error"), Quantity("loss")
PLAIN, TURNED, LATE = ("table1", "plain"), ("table1", "turned"), ("other", "late")
HEAD = Column("arm", "Arm")
FIELDS = {"protocol": "", "price": None, "device": ""}
LINES = [
    Line("plain", "Plain", arms={"base": "plain"}, words={"kind": "none"}),
    Line("turned", "Turned", arms={"base": "plain"}, words={"kind": "exact"}, headline=True),
    Line("late", "Never run", LATE, arms={"base": LATE}, words={"kind": "late"}),
]


CAPTIONS = """# Words

## table1: Errors: of two arms

What is *compared*. {protocol}
And more.

- On {device},
  in two lines.
- The price: {price}.

- Always.

- {once}

## any: Any

### once

Said once.

## claims: Claims

Caption.

### C2

Turning helps on {data}
"""


@pytest.fixture
def results(mini):
    mini_paper.record()
    (mini / "pipelines/mini/captions.md").write_text(CAPTIONS)
    return Results("mini")


def column(results, made, lines=LINES):
    """The cells of one column as text, by row."""
    found = table(results, "table1", (HEAD, made), lines, **FIELDS)
    return {row.key: "\n".join(cell.lines()) for row, _, cell in found.cells()}


# -- columns -----------------------------------------------------------------------------------------------


def test_a_number_is_judged_beside_one_at_the_same_protocol_alone(mini):
    """The paper's beside runs of the tier paper; one at a shorter protocol beside what declares the same."""
    file, place = mini / "pipelines/mini/paper.csv", ("table1", "plain", "error")
    printed = file.read_text()

    def text(tier, ours="", papers=""):
        file.write_text(printed.replace(",printed,,table", f",printed,{papers},table"))
        sample = Sample(dict(enumerate((4.9, 5.0, 5.1, 5.0))), tier)
        cell = Results("mini").cell(*place, sample, experiment="table1", protocol=ours)
        assert cell.paper
        assert cell.difference.startswith("0.00 [") or tier == "demo"
        return cell.verdict.text

    assert (text("paper"), text("lite")) == ("reproduced", "not judged (lite)")
    assert text("lite", "3 epochs", "3 epochs") == "reproduced (3 epochs)"
    assert text("paper", "3 epochs", "3 epochs") == "reproduced (3 epochs)", "the third of a long training"
    for tier in ("lite", "paper"):
        assert text(tier, "3 epochs") == text(tier, "", "3 epochs") == f"not judged ({tier})"
        assert text(tier, "5 epochs", "3 epochs") == f"not judged ({tier})"
    assert text("demo") == text("demo", "3 epochs", "3 epochs") == "no verdict (demo)"


def test_compared_stands_beside_the_papers_number(results):
    found = column(results, compared("error", "Error, %", ERROR))
    assert found["plain"] == (
        "5.00 ± 0.16 (n = 5, paper)\npaper 5.00 ± 0.20, n = 10\nΔ 0.00 [-0.21, 0.21]\n**reproduced**"
    )
    assert found["late"] == "paper 1.0 ± 0.1, n = 3\n**not run**"
    assert ("table1", "turned", "error") in results.asked


def test_what_is_counted_has_no_chance_in_it(results):
    counted = column(results, compared("error", "Error", Quantity("error", counted=True)))
    assert counted["plain"].endswith("**not equal**"), "the mean is the paper's, but not every run's number"
    whole = Quantity("error", reduce=lambda v: round(v[0]), form=text.thousands, counted=True)
    assert column(results, compared("error", "Error", whole))["turned"].endswith("paper 3\n**equal**")


def test_an_error_that_runs_share_widens_the_interval(results):
    seen = []

    def shared(results, arms, what):
        seen.append((arms, what.metric))
        return 1.0

    what = Quantity("error", shared_se=shared)
    assert "[-1.97, 1.97]" in column(results, compared("error", "Error", what), LINES[:1])["plain"]
    (part,) = claims.compare(results, what, claims.above(), [("", TURNED, PLAIN, "")])
    assert part.ours == "-2.04 [-4.00, -0.08]", "the same rule in claims, of the difference"
    assert seen == [((PLAIN,), "error"), ((TURNED, PLAIN), "error")]


def test_plain_is_compared_with_nothing(results):
    found = column(
        results, plain("error", "Error", Quantity("error", decimals=1, note=lambda r, where: where[1]))
    )
    assert found["plain"] == "5.0 ± 0.2 (n = 5, paper)\nplain"
    assert found["late"] == "**not run**\nlate"
    assert column(results, plain("e", "E", ERROR.at(7), absent="none"))["plain"] == "none"
    assert column(results, plain("e", "E", ERROR.at(7), absent="none"))["late"] == "**not run**"


def test_words_are_those_of_the_line_or_of_its_arm(results):
    assert column(results, words("kind", "Kind"))["turned"] == "exact"
    by_arm = {"plain": "one", "turned": "two", "late": "three"}
    assert list(column(results, words("kind", "Kind", by_arm)).values()) == ["one", "two", "three"]


def test_change_is_taken_from_the_base_by_seed(results):
    found = column(results, change("change", "Change", ERROR))
    assert found["plain"] == "-", "itself"
    assert found["turned"].startswith("-2.04 [-2.15, ")
    finer = column(results, change("change", "Change", ERROR, decimals=3))["turned"]
    assert finer.startswith("-2.04")
    assert len(finer) == len(found["turned"]) + 3
    (line_of_claim,) = claims.compare(results, ERROR, claims.above(), [("", TURNED, PLAIN, "")], decimals=3)
    assert line_of_claim.ours == finer
    line = [Line("late", "Never run", LATE, arms={"base": PLAIN})]
    assert column(results, change("change", "Change", ERROR), line)["late"] == "-"
    assert gap(Sample({0: 1.0, 1: 2.0}, "lite"), Sample({0: 1.0, 1: 3.0}, "paper")) == "-", "two tiers"


def test_before_and_after_of_one_arm_or_several(results):
    found = column(results, before_after("loss", "Loss", "loss", ("", "base")))
    assert found == {"plain": "2.2e+00 → 7.0e-01\n2.2e+00 → 7.0e-01", "turned": found["plain"], "late": "-"}


def test_a_column_of_its_own_sees_its_place(results):
    made = Filled(
        "own", "Own", lambda p: f"{p.table} {p.where()} {p.where('base')} {p.line.title} {p.column}"
    )
    assert column(results, made)["late"] == f"table1 {LATE} {LATE} Never run own"


# -- quantities --------------------------------------------------------------------------------------------


def test_a_quantity_is_taken_at_its_steps(results):
    assert LOSS.of(results, PLAIN).values[0] == pytest.approx(2 * (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert LOSS.at(0).of(results, PLAIN).values[1] == pytest.approx(2.1)
    assert LOSS.at(0, 1, reduce=np.ptp).of(results, PLAIN).values[1] == pytest.approx(1.0)
    assert Quantity("loss", last=True).of(results, PLAIN).values[2] == pytest.approx(0.7)


def test_differences_are_those_of_the_seeds_that_both_have():
    first, second = Sample({0: 3.0, 1: 5.0, 2: 1.0}, "paper"), Sample({2: 4.0, 1: 1.0}, "lite")
    assert first - second == Sample({1: 4.0, 2: -3.0}, "lite")
    assert first - Sample({7: 1.0}, "lite") == Sample()
    assert per_seed(max, first, second, Sample({1: 9.0}, "paper")) == Sample({1: 9.0}, "lite")


# -- tables ------------------------------------------------------------------------------------------------


def test_a_table_has_its_words_and_says_what_computes_it(results):
    columns = (HEAD, plain("e", "E", ERROR))
    made = table(results, "table1", columns, LINES, protocol="Two epochs.", price=None, device="a CPU")
    assert (made.title, made.caption) == ("Errors: of two arms", "What is *compared*. Two epochs. And more.")
    assert [row.headline for row in made.rows] == [False, True, False]
    assert made.commands == tuple(results.command(name) for name in ("table1", "other"))
    assert made.footnotes()[1:] == (
        "Cells marked *not run* are filled by `python -m pipelines.mini run other --tier paper`.",
        "On a CPU, in two lines.",
        "Always.",
        "Said once.",
    )


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        ("## table2: Title\n", "unknown block 'table1'; did you mean 'table2'?"),
        ("", "unknown block 'table1' (known: none)"),
        (None, "unknown block 'table1'"),
        ("## table1: Title\n\n{protocl}\n", "table1: unknown field 'protocl'; did you mean 'protocol'?"),
        ("## table1: {t}\n", "table1: unknown field 't'"),
        ("## table1: Title\n\n- {}\n", "table1: a '{' stands alone"),
        ("## table1: Title\n\n{protocol:>9999999999}\n", "table1: a '{' stands alone"),
        ("## table1: Title\n\n{protocol.__class__}\n", "table1: a '{' stands alone"),
        ("## table1: Title}\n", "table1: a '}' stands alone"),
        ("## table1: Title\n" + "a" * (4 << 20), " has more than 4,194,304 bytes"),
        ("## table1 Title\n", "write the heading '## table1 Title' as '## name: title'"),
        ("## table1: A\n## table1: B\n", "two blocks are called 'table1'"),
        ("## table1.svg: A\n\nSaid.\n", "say below 'table1.svg' what the picture shows: 'Alt: ...'"),
    ],
)
def test_mistakes_in_captions_are_named(results, mini, file, complaint):
    path = mini / "pipelines/mini/captions.md"
    path.unlink()
    if file is not None:
        path.write_text(file)
    with pytest.raises(UserError, match=re.escape(complaint)) as caught:
        table(results, "table1", (HEAD,), LINES[:0], protocol="")
    assert str(caught.value).startswith("pipelines/mini/captions.md")


def test_what_a_row_compares_with_is_computed_by_commands_too(results):
    lines = [Line("plain", "Plain", arms={"base": LATE})]
    made = table(results, "any", (HEAD, change("c", "C", ERROR)), lines, experiment="table1")
    assert made.commands == tuple(results.command(name) for name in ("table1", "other"))


def test_rows_are_declared_beside_the_arms(results, mini):
    file = mini / "pipelines/mini/experiments.yaml"
    rows = 'rows: {turned: Turned, plain: {title: "Plain", base: turned, kind: none}}'
    file.write_text(file.read_text().replace("      tiers:", f"      {rows}\n      tiers:", 1))
    turned, plain_row = declared(Results("mini"), "table1")
    assert turned == Line("turned", "Turned", TURNED)
    assert plain_row == Line("plain", "Plain", PLAIN, {"base": TURNED}, {"kind": "none"})
    assert declared(Results("mini"), "other") == []


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ("{plane: Plane}", "unknown arm 'plane'; did you mean 'plain'?"),
        ("{plain: {title: Plain, base: turnt}}", "unknown arm 'turnt'; did you mean 'turned'?"),
        ("{plain: {base: turned}}", "plain: the key 'title' is missing"),
        ("{plain: {title: 3}}", "title of the row plain should be a text, not 3"),
        ("{plain: 3}", "plain should hold keys and values, not 3"),
        ("[plain]", "rows should hold keys and values"),
    ],
)
def test_mistakes_in_rows_are_named_with_their_line(mini, rows, complaint):
    file = mini / "pipelines/mini/experiments.yaml"
    file.write_text(file.read_text().replace("      tiers:", f"      rows: {rows}\n      tiers:", 1))
    with pytest.raises(UserError, match=re.escape(complaint)) as caught:
        config.load("mini")
    assert str(caught.value).startswith("pipelines/mini/experiments.yaml, line 13: ")


def test_an_arm_that_is_not_declared_is_named(results):
    with pytest.raises(UserError, match="unknown arm 'plane'"):
        table(results, "table1", (HEAD, plain("e", "E", ERROR)), [Line("plane", "Plane")], **FIELDS)


def test_an_experiment_of_its_own(results):
    made = table(results, "any", (HEAD, plain("e", "E", ERROR)), [Line("plain", "P")], experiment="table1")
    assert made.rows[0].cells[0].sample.n == 5


# -- claims ------------------------------------------------------------------------------------------------


def test_pairs_are_judged_by_a_rule(results):
    pairs = [("", PLAIN, TURNED, "+2"), ("late", PLAIN, LATE, "")]
    first, late = claims.compare(results, ERROR, claims.above(), pairs)
    assert (first.reference, first.verdict.status, first.verdict.n) == ("+2", verdicts.REPRODUCED, 5)
    assert first.ours.startswith("+2.04 [1.9")
    assert (late.ours, late.verdict.status) == ("", verdicts.NOT_RUN)
    assert claims.compare(results, ERROR, claims.above(3.0), pairs)[0].verdict.status == verdicts.DIFFERS
    assert claims.compare(results, ERROR, claims.within(3.0), pairs)[0].verdict.status == verdicts.REPRODUCED


def test_parts_of_one_sample_of_two_and_of_independent_ones(results):
    samples = [ERROR.of(results, where) for where in (PLAIN, TURNED)]
    two = claims.part("", "", samples, claims.above())
    one = claims.part("", "", [samples[0] - samples[1]], claims.above())
    assert one.ours == two.ours
    apart = claims.part("", "", samples, claims.above(), paired=False, decimals=3)
    assert apart.verdict.method.startswith("Welch")
    assert apart.ours.startswith("+2.040 [")
    few = [Sample({0: 1.0}, "paper"), Sample({0: 2.0, 1: 2.0}, "paper")]
    assert claims.part("", "", few, claims.above(), paired=False).verdict.status == verdicts.TOO_FEW


def test_bounds_hold_for_every_run():
    sample = Sample({0: 1e-7, 1: 3e-7, 2: 2e-7}, "paper")
    kept = claims.bound("", "exact", sample, most=1e-6)
    assert (kept.ours, kept.verdict.status) == ("3.0e-07", verdicts.REPRODUCED)
    broken = claims.bound("", "", sample, least=2e-7)
    assert (broken.ours, broken.verdict.status) == ("1.0e-07", verdicts.DIFFERS)
    assert claims.bound("", "", sample, most=1, form=lambda s: f"{s.n} runs").ours == "3 runs"
    assert claims.bound("", "", Sample(), most=1).verdict.status == verdicts.NOT_RUN


def test_claims_of_several_rows_say_the_same_of_different_things(results):
    parts = claims.compare(results, ERROR, claims.above(), [("", PLAIN, TURNED, "")])
    made = claims.claim(results, "C2-digits", parts, "table1", said="C2", ours=True, data="digits")
    assert made.title == "**C2-digits** Turning helps on digits"
    assert made.cells[0].command == results.command("table1")
    assert made.cells[0].verdict.ours
    with pytest.raises(UserError, match="unknown block 'C3'"):
        claims.claim(results, "C3", parts, "table1")


def test_the_table_of_claims_names_each_command_once(results):
    row = claims.row(
        "C1", "Turning helps", claims.compare(results, ERROR, claims.above(), [("", PLAIN, TURNED, "")])
    )
    made = claims.table(results, [row], ["table1", "other", "table1"])
    assert (made.name, made.claims, len(made.commands)) == ("claims", True, 2)


# -- protocols ---------------------------------------------------------------------------------------------


def test_a_protocol_is_read_from_the_records(results):
    phrases = ("{epochs} epochs", "turned: {turned}", "{missing} of them", "always")
    assert protocol(results, "table1", phrases) == "Ours: 2 epochs, turned: 0 and 1, always."
    assert protocol(results, "table1", phrases, ["plain"]) == "Ours: 2 epochs, always.", "0 is left out"
    assert "turned: none, " in protocol(results, "table1", phrases[:2] + phrases[3:], ["plain"], zero="none")
    assert protocol(results, "other", phrases) == "", "no runs"


def test_data_that_was_not_at_hand_is_named(results):
    titles = {"done": "Done", "big": "Big Data"}
    assert lacking(results, {"done": "table1"}, titles) is None
    note = lacking(results, {"done": "table1", "big": "other"}, titles)
    assert note.startswith(
        "Not run: data not available. Big Data was not at hand; `python -m pipelines get big`"
    )
    assert "`python -m pipelines.mini run other --tier paper` fills the cells" in note


# -- the template ------------------------------------------------------------------------------------------

GOLDEN = """## Table 1: test error on turned digits

Percent of wrong answers, mean ± standard deviation over seeds. *Turn gap*: the largest relative change of a \
logit under a quarter turn, zero to rounding for an exactly invariant network.

| Model | Error, % | Turn gap | Parameters |
| --- | --- | --- | --- |
| Z2CNN (plain) | 6.00 ± 1.00 (n = 3, demo)<br>paper 5.03<br>**no verdict (demo)** | 5.0e-01 (n = 3, demo) | \
3,946 (n = 3, demo) |
| P4CNN (quarter turns) | paper 2.28<br>**not run** | **not run** | **not run** |

Computed by `python -m pipelines._template run table1 --tier demo`; the same fills the cells marked *not run*.
"""


class OneArm:
    """Results of the template's plain network only."""

    def read(self, paper, experiment, tier):
        values = {"error": (5.0, 6.0, 7.0), "turn_gap": (0.5,) * 3, "parameters": (3946.0,) * 3}
        rows = [
            (f"run{seed}", experiment, "z2cnn", seed, metric, np.nan, value)
            for metric, numbers in values.items()
            for seed, value in enumerate(numbers)
        ]
        return pd.DataFrame(rows, columns=["run", "experiment", "arm", "seed", "metric", "step", "value"])

    def environments(self, paper, experiment, tier):
        return {}


def test_the_templates_tables_are_as_written_down_here():
    found, table1 = template.tables(Results("_template", demo=True, source=OneArm()))
    assert markdown.of_table(table1) == GOLDEN
    assert [row.key for row in found.rows] == ["P4-helps"]
    assert found.rows[0].headline
    assert found.missing_commands() == table1.commands


def test_a_curve_is_one_cell_which_shows_its_furthest_step(mini, results):
    file = mini / "pipelines/mini/paper.csv"
    lines = file.read_text()
    for row, step, value in (
        *(("plain", s, v) for s, v in ((0, 2.25), (1, 1.4), (2, 0.7))),
        ("late", 0, 2.0),
    ):
        lines += f"C1,curves,{row},{step},loss,,lower,{value},0.2,std,5,logged,,logs,\n"
    file.write_text(lines)
    found = Results("mini")
    made = curve("curve", "Curve", Quantity("loss"), printed=lambda place: ("curves", place.line.key))
    cells = {row.key: cell for row, _, cell in table(found, "table1", (HEAD, made), LINES, **FIELDS).cells()}
    cell = cells["plain"]
    steps = {step: Quantity("loss").at(step).of(found, PLAIN) for step in range(3)}
    gaps = {s: abs(steps[s].summary.mean - v) / 0.2 for s, v in ((0, 2.25), (1, 1.4), (2, 0.7))}
    furthest = max(gaps, key=gaps.get)
    assert (cell.steps, cell.verdict.step, cell.sample) == (3, furthest, steps[furthest])
    assert cell.text.startswith(f"at {furthest}: ")
    assert cell.published.column == str(furthest)
    assert {("curves", "plain", str(step)) for step in range(3)} <= found.asked
    assert not cell.note
    file.write_text(f"{lines}C1,curves,plain,77,loss,,lower,1.0,0.2,std,5,logged,,logs,\n")
    longer = table(Results("mini"), "table1", (HEAD, made), LINES[:1], **FIELDS).cells()
    assert next(iter(longer))[2].note == "3 of 4 steps", "ours does not go so far"
    assert cells["late"].verdict.status == "not run"
    assert cells["turned"] == Cell("-"), "no numbers of the paper"


def test_a_claim_is_judged_by_a_shorter_protocol_only_if_its_row_says_so():
    def text(*parts, **options):
        return claims.row("C", "said", parts, **options).cells[0].verdict.text

    gap = {seed: 1.0 + seed / 10 for seed in range(4)}
    lite, full = (claims.part("", "", [Sample(gap, tier)], claims.above()) for tier in ("lite", "paper"))
    counted = verdicts.exactly([3.0], 3.0, tier="lite")
    fact = claims.Part("", "", "3", counted)
    assert (text(full), text(lite)) == ("reproduced", "not judged (lite)")
    assert text(lite, at_lite=True) == "reproduced (lite)"
    assert text(lite, ours=True) == "holds (lite)"
    assert text(lite, ours=True, at_lite=False) == "not judged (lite)"
    assert text(full, lite) == "not judged (lite)", "all parts have to hold"
    assert text(fact) == "reproduced (lite)", "a fact does not depend on the protocol"
    assert text(claims.part("", "", [Sample()], claims.above())) == "not run"
    assert claims.row("C", "said", [lite]).parts[0].verdict.difference is not None, "shown all the same"
