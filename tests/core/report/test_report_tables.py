"""Tables as Markdown, CSV and HTML; texts and numbers; the hand-written CSV files."""

from __future__ import annotations

import csv
import io
import math

import pytest

from shared.base.errors import UserError
from shared.report import html, markdown, published, text, verdicts
from shared.report.tables import Column, Row, Sample, Table, measured


def value(**changes):
    fields = dict.fromkeys(published.PAPER_COLUMNS, "")
    fields |= {
        "table": "t",
        "row": "r",
        "column": "c",
        "origin": "printed",
        "read_from": "table 1",
        "n": 10,
        "spread_kind": "std0",
    }
    fields |= {"value": "97.69", "spread": "0.17"} | changes
    names = {"value": "printed", "spread": "printed_spread"}
    return published.PaperValue(**{names.get(key, key): field for key, field in fields.items()})


def table():
    sample = Sample({0: 97.5, 2: 97.75, 1: 97.7}, "lite")
    paper = value()
    verdict = verdicts.cell(sample.numbers, 97.69, 0.17, 10, spread_kind="std0", rounding=0.005, tier="lite")
    cells = (
        measured(sample, verdict=verdict, published=paper),
        measured(Sample(), published=paper, command="run it"),
        "a | b",
    )
    columns = (Column("arm", "Arm"), Column("one", "One, %"), Column("two", "Two, %"), Column("kind", "Kind"))
    row = Row("exact", "Exact `p4`", cells)
    return Table("t", "Title", columns, (row,), caption="Caption.", commands=("compute",), notes=("Note.",))


GOLDEN = """## Title

Caption.

| Arm | One, % | Two, % | Kind |
| --- | --- | --- | --- |
| Exact `p4` | 97.65 ± 0.13 (n = 3, lite)<br>paper 97.69 ± 0.17, n = 10<br>Δ -0.04 [-0.29, 0.21]<br>\
**reproduced (lite)** | paper 97.69 ± 0.17, n = 10<br>**not run** | a \\| b |

Computed by `compute`.

Cells marked *not run* are filled by `run it`.

Note.
"""


def test_markdown_is_as_written_down_here():
    assert markdown.of_table(table()) == GOLDEN


def test_one_changed_method_changes_one_line():
    before = markdown.grid(["Arm", "x"], [["a", "1.00"], ["b", "2.00"]])
    after = markdown.grid(["Arm", "x"], [["a", "1.00"], ["b", "2000.00"]])
    changed = [pair for pair in zip(before.splitlines(), after.splitlines()) if pair[0] != pair[1]]
    assert len(changed) == 1


def test_csv_has_everything_about_each_cell():
    lines = list(csv.DictReader(io.StringIO(markdown.to_csv(table()))))
    assert [(line["row"], line["column"]) for line in lines] == [("exact", c) for c in ("one", "two", "kind")]
    one = lines[0]
    assert (one["mean"], one["n"], one["tier"], one["paper"]) == ("97.65", "3", "lite", "97.69")
    assert float(one["sd"]) == pytest.approx(0.132288, abs=1e-6)
    assert float(one["low"]) < float(one["difference"]) < float(one["high"])
    assert one["verdict"] == "reproduced (lite)"
    assert lines[1]["verdict"] == "not run"
    assert lines[2]["text"] == "a | b"


def test_rows_must_fit_the_columns_and_differ():
    columns = (Column("a", "A"), Column("b", "B"))
    with pytest.raises(ValueError, match="2 cells for 1 columns"):
        Table("t", "T", columns, (Row("r", "R", ("1", "2")),))
    with pytest.raises(ValueError, match="same key"):
        Table("t", "T", columns, (Row("r", "R", ("1",)), Row("r", "S", ("1",))))


@pytest.mark.parametrize(
    ("number", "decimals", "expected"),
    [
        (97.694999, 2, "97.69"),
        (-0.001, 2, "0.00"),
        (-0.01, 2, "-0.01"),
        (math.nan, 2, "NaN"),
        (math.inf, 1, "inf"),
    ],
)
def test_fixed_decimals(number, decimals, expected):
    assert text.fixed(number, decimals) == expected


@pytest.mark.parametrize("tie", [97.615, 0.285, -2.5e-3, 1234.5])
def test_a_tie_is_rounded_the_same_way_whatever_its_last_bits(tie):
    for off in (1 - 4e-16, 1 + 4e-16):
        assert text.fixed(tie * off, 2) == text.fixed(tie, 2)
        assert text.fixed(tie * off, 3) == text.fixed(tie, 3)
        assert text.scientific(tie * off) == text.scientific(tie)
        assert text.significant(tie * off, 2) == text.significant(tie, 2)
        assert text.thousands(tie * off) == text.thousands(tie)


def test_other_forms_of_numbers():
    assert text.signed(0.134, 2) == "+0.13"
    assert text.signed(-0.001, 2) == "0.00"
    assert text.plus_minus(97.651, math.nan, 2) == "97.65"
    assert [text.p_value(p) for p in (0.0312, 0.00031, 1e-14)] == ["p = 0.031", "p = 3e-4", "p < 1e-12"]
    sizes = [text.effect_size(d) for d in (-0.0, -2.13, 999.94, 7.8e9, -math.inf)]
    assert sizes == ["d = 0.0", "d = -2.1", "d = 999.9", "d > 1000", "d < -1000"]
    assert text.thousands(25570.0) == "25,570"
    assert text.spans([3, 0, 1, 2, 7]) == "0-3, 7"
    assert text.join(["a", "b", "c"]) == "a, b and c"
    assert text.significant(1 / 3) == "0.333333"
    assert text.significant(None) == text.significant(math.nan) == ""


def test_inline_markup_becomes_html_and_nothing_else_does():
    assert text.inline_html("a `b<c` **d** *e*") == "a <code>b&lt;c</code> <strong>d</strong> <em>e</em>"
    assert text.inline_html("[x](../a/b.csv)") == '<a href="../a/b.csv">x</a>'
    assert "<script>" not in text.inline_html("<script>alert(1)</script>")
    assert "<a" not in text.inline_html("[x](javascript:alert(1))")
    assert text.plain("a `b` **c** [d](e)") == "a b c d"


def test_statuses_differ_in_more_than_color():
    signs = {sign for _, sign in html.SIGNS.values()}
    assert len(signs) == len(html.SIGNS)


# -- paper.csv and deviations.csv --------------------------------------------------------------------------

HEADER = ",".join(published.PAPER_COLUMNS)
GOOD = "S1,t,r,c,accuracy,%,higher,97.70,0.17,std0,100,printed,,table 1,"


@pytest.fixture
def paper(tmp_path, monkeypatch):
    (tmp_path / "pipelines" / "p").mkdir(parents=True)
    (tmp_path / "datasets.yaml").write_text("")
    monkeypatch.setenv("REPRO_ROOT", str(tmp_path))

    def write(*lines, name="paper.csv", header=HEADER):
        (tmp_path / "pipelines" / "p" / name).write_text("\n".join([header, *lines]) + "\n")

    return write


def test_paper_values_keep_their_digits(paper):
    paper(GOOD)
    found = published.paper_values("p")["t", "r", "c"]
    assert found.text == "97.70 ± 0.17, n = 100"
    assert (found.value, found.spread, found.n) == (97.7, 0.17, 100)
    assert found.rounding == pytest.approx(0.005)
    assert value(value="25570").rounding == 0.5


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (GOOD.replace("97.70", "97,70"), "number of fields"),
        (GOOD.replace("97.70", "abc"), "value is 'abc', which is not a number"),
        (GOOD.replace("97.70", "nan"), "not a number"),
        (GOOD.replace("97.70", "1_000"), "value is '1_000', which is not a number"),
        (GOOD.replace("97.70", "0e999"), "value is '0e999', which is not a number"),
        (GOOD.replace("97.70", "9" * 5000), "which is not a number"),
        (GOOD.replace("97.70", "1e400"), "value is '1e400', which is not a number"),
        (GOOD.replace("97.70", ""), "field 'value' is empty"),
        (GOOD.replace("table 1", ""), "field 'read_from' is empty"),
        (GOOD.replace("printed", ""), "field 'origin' is empty"),
        (GOOD.replace("std0", "sd"), "spread_kind is 'sd'; use one of"),
        (
            GOOD.replace("printed", "guessed"),
            "origin is 'guessed'; use one of printed, logged, read",
        ),
        (GOOD.replace("std0", ""), "both spread and spread_kind"),
        (GOOD.replace("0.17", "-0.17"), "cannot be negative"),
        (GOOD.replace(",100,", ",0,"), "n is 0"),
        (GOOD.replace(",100,", ",many,"), "n is 'many'"),
        (f"{GOOD}\n{GOOD}", "was given before"),
    ],
)
def test_mistakes_in_paper_csv_are_named_with_their_line(paper, line, complaint):
    paper(line)
    with pytest.raises(UserError, match=r"pipelines/p/paper\.csv, line") as error:
        published.paper_values("p")
    assert complaint in str(error.value)


def test_each_number_says_where_it_comes_from_and_at_which_protocol_it_stands(paper):
    lines = [GOOD.replace(",r,", f",{o},").replace("printed,", f"{o},") for o in published.ORIGINS]
    paper(GOOD.replace("printed,,", "logged,3 epochs,"), *lines)
    found = {
        row: (value.origin, value.protocol) for (_, row, _), value in published.paper_values("p").items()
    }
    assert found == {"r": ("logged", "3 epochs")} | {origin: (origin, "") for origin in published.ORIGINS}
    for column in ("origin", "protocol"):
        paper(GOOD, header=HEADER.replace(f"{column},", ""))
        with pytest.raises(UserError, match=f"it lacks '{column}'"):
            published.paper_values("p")


def test_files_must_be_there_with_the_right_columns(paper):
    with pytest.raises(UserError, match=r"paper\.csv does not exist"):
        published.paper_values("p")
    paper(header="a,b")
    with pytest.raises(UserError, match="should start with the line claim,table"):
        published.paper_values("p")
    paper("x,y,z,,w,", name="deviations.csv", header=",".join(published.DEVIATION_COLUMNS))
    with pytest.raises(UserError, match="field 'why' is empty"):
        published.deviations("p")


@pytest.mark.parametrize(
    ("tables", "concerned"),
    [
        ("", "abc"),
        ("table_a", "a"),
        ("table_a *_c", "ac"),
        ("not table_a", "bc"),
        ("not *_a *_b", "c"),
        ("not", "abc"),
    ],
)
def test_a_deviation_names_the_tables_that_it_concerns(paper, tables, concerned):
    paper(f"x,y,z,v,w,{tables}", name="deviations.csv", header=",".join(published.DEVIATION_COLUMNS))
    (deviation,) = published.deviations("p")
    assert "".join(name for name in "abc" if deviation.concerns(f"table_{name}")) == concerned


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_cell_of_several_lines_is_one_text(paper, end):
    """As Alt+Enter in a spreadsheet makes them."""
    cells = [f'"first{end}second"', f'"a{end}b"', "ours", "why", "effect", ""]
    paper(",".join(cells), name="deviations.csv", header=",".join(published.DEVIATION_COLUMNS))
    (deviation,) = published.deviations("p")
    assert (deviation.what, deviation.paper) == ("first second", "a b")
