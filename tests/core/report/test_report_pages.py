"""The start page and the page of each paper: whole, self-contained, and nothing in them but what we wrote."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import jinja2
import mini_paper
import pytest
from page_checker import Checker, check

from shared.report import captions, figures, forest, html, page, paper_page, render, summary, theme, verdicts
from shared.report.claims import effect
from shared.report.contents import Report
from shared.report.results import Results
from shared.report.stats import Difference
from shared.report.tables import Part
from shared.report.verdicts import Verdict


def written(demo=False):
    """The start page and that of the paper."""
    render.render_all(demo)
    start = page.write(demo)
    return start, start.parent / "mini/index.html"


def test_pages_are_well_formed_and_self_contained(mini):
    mini_paper.record()
    for name in ("docs/glossary.md", "docs/verdicts.md"):
        (mini / name).parent.mkdir(exist_ok=True)
        (mini / name).touch()
    seen = {}
    for file in written():
        found = check(file, seen)
        content = file.read_text()
        assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in content
        scripts = found.by_tag.get("script", [])
        assert "".join(scripts) == (paper_page.script() if file.parent.name == "mini" else "")
        assert ("script-src" in content) == bool(scripts), "the script that is there may run, and no other"
        assert not [name for _, given in found.elements for name in given if name.startswith("on")]


def test_the_policy_names_the_script_itself(monkeypatch):
    before = paper_page.script_hash()
    monkeypatch.setattr(html, "source", lambda name: "another")
    assert paper_page.script_hash() != before


def hostile(number):
    """What would run, end an attribute or stand for another sign, if it were not escaped."""
    return f"""<script>alert({number})</script>&amp;"'"""


#: Where words of a paper stand: text of `mini_paper` as it is written there, by file.
WORDS = {
    "experiments.yaml": ['"A <mini> paper & its claims"', '"Table 1"'],
    "tables.py": ['"Turning helps"', '"Errors of `two` arms."', '"Error, %"', '"Arm"', '"+2.00"', '""'],
    "figures.py": ['"The curve"', '"Loss of `plain`."', '"A falling line."', '"Nothing yet"'],
    "paper.csv": ["text"],
    "deviations.csv": ["Length", "50 epochs", "2 epochs", '"time, mostly"', "a | little"],
    "captions.md": ["Nobody, nowhere", "Turning is all."],
    "results/paper/table1.env.json": ['"a note on the data"', '"A <CPU>"', '"float32"'],
}


def test_words_of_papers_are_shown_as_they_are_and_never_run(mini):
    mini_paper.record()
    (mini / "pipelines/mini/captions.md").write_text("## paper: Nobody, nowhere\n\nTurning is all.\n")
    expected = []
    for name, texts in WORDS.items():
        file = mini / "pipelines/mini" / name
        content = file.read_text()
        for text in texts:
            assert text in content
            expected.append(hostile(len(expected)))
            quoted = expected[-1] if name.endswith(".md") else json.dumps(expected[-1])
            if name.endswith(".csv"):
                quoted = '"' + expected[-1].replace('"', '""') + '"'
            content = content.replace(text, quoted)
        if name == "tables.py":
            content = content.replace('"A note."', 'results.published("table1", "turned", "error").read_from')
        file.write_text(content)
    start, paper = (file.read_text(encoding="utf-8") for file in written())
    assert (start.lower().count("<script"), paper.lower().count("<script")) == (0, 1)
    words = "".join(word for shown in (start, paper) for word in Checker(shown).words if word)
    assert [text for text in expected if text not in words] == []


def test_a_name_that_a_template_lacks_is_an_error(mini, monkeypatch):
    mini_paper.record()
    given, fill = {}, html.fill

    def keep(name, **values):
        given[name] = values
        return fill(name, **values)

    monkeypatch.setattr(html, "fill", keep)
    written()
    inner = [given["paper.html"]["groups"][0], *given["paper.html"]["runs"], *given["start.html"]["cards"]]
    for values in (*given.values(), *inner):
        for name in list(values):
            value = values.pop(name)
            match = f"has no attribute '{name}'|'{name}' is undefined"
            with pytest.raises(jinja2.UndefinedError, match=match):
                all(fill(template, **all_values) for template, all_values in given.items())
            values[name] = value


def test_the_page_of_a_paper_shows_values_verdicts_and_where_they_come_from(mini):
    mini_paper.record()
    shown = written()[1].read_text(encoding="utf-8")
    for expected in (
        "A &lt;mini&gt; paper &amp; its claims",
        "5.00 ± 0.16",
        "n = 5, paper",
        "paper 5.00 ± 0.20, n = 10",
        "python -m pipelines.mini run table1 --tier paper",
        "python -m pipelines.mini rerun table1 --tier paper --arm plain",
        "python -m pipelines.mini run other --tier paper",
        "A &lt;CPU&gt;",
        "a note on the data",
        "made by earlier code",
        "pipelines/mini/results/paper/table1.csv",
        "commit 01234567, A &lt;CPU&gt;, float32, 90 s a run",
        "turned = True",
        '<a class="ours" href="#runs-table1-plain">',
        "<svg",
        "Not run yet.",
    ):
        assert expected in shown, expected


def test_every_cell_says_which_column_it_belongs_to(mini):
    """Narrow screens show that instead of the heads of columns."""
    mini_paper.record()
    found = Checker(written()[1].read_text(encoding="utf-8"))
    cells = [given for tag, given in found.elements if tag == "td"]
    assert cells
    assert all(given.get("data-label") for given in cells)
    judged = [given for given in cells if "data-verdict" in given]
    assert [(one["data-verdict"], one.get("data-tier"), one["data-origin"]) for one in judged][::2] == [
        ("good", "paper", "printed"),
        ("none", None, "printed"),
    ]


def test_everything_is_not_run_at_first(mini):
    start, paper = (file.read_text(encoding="utf-8") for file in written())
    assert "Its headline has not been run" in start
    assert "python -m pipelines.mini run table1 --tier lite" in paper
    main = paper[paper.index('<section id="numbers"') :]
    assert "badge good" not in main
    assert "<svg" not in main


def test_a_card_says_what_is_claimed_and_what_came_of_it(mini):
    mini_paper.record()
    (mini / "pipelines/mini/captions.md").write_text("## paper: Nobody, nowhere\n\nTurning *is* all.\n")
    start = written()[0].read_text(encoding="utf-8")
    words = " ".join("".join(Checker(start).by_tag["article"]).split())
    for expected in (
        "Nobody, nowhere",
        "Claims: Turning is all.",
        "Its headline holds; none of 1 decided claims is contradicted.",
        "1 holds",
        "Headline: Turning helps",
    ):
        assert expected in words, expected
    assert 'href="mini/index.html#claims"' in start
    assert captions.unused(Results("mini")) == []


def test_claims_that_need_a_look_stand_first_and_ours_apart(mini):
    mini_paper.record()
    report = Report("mini")
    (table,) = [table for table in report.tables if table.claims]
    (row,) = table.rows

    def judged(key, **changes):
        first, *others = row.cells
        first = replace(first, verdict=replace(first.verdict, **changes))
        return replace(row, key=key, cells=(first, *others))

    rows = [judged(str(status), status=status) for status in (*verdicts.STATUSES, None)]
    rows.append(judged("mine", ours=True))
    report.__dict__["tables"] = [replace(table, rows=tuple(rows))]
    found = summary.summary(report)
    assert [claim.word for claim in found.claims] == ["differs", "open", "not judged", "holds", "run in part"]
    assert [claim.key for claim in found.own] == ["mine"]
    assert sum(count for _, _, count in found.bar) == 5
    waits = replace(found.claims[-1], parts=(replace(found.claims[-1].parts[0], ours=""),))
    assert (waits.word, waits.waits) == ("not run", True)


# -- contents ----------------------------------------------------------------------------------------------


def test_a_figure_stands_with_its_table_and_titles_in_the_contents_are_unique(mini):
    report = Report("mini")
    (table,) = [table for table in report.tables if not table.claims]
    made = replace(table, name="table9", title="Table 1: again")
    figure = report.figures[0]
    others = [replace(figure, name=name, title="Table 1: again", draw=None) for name in ("alone", "late")]
    report.__dict__["tables"] = [table, made]
    report.__dict__["figures"] = [figure, *others]
    found = paper_page.groups(report)
    assert [(group.name, group.table is not None, len(group.figures)) for group in found] == [
        ("table1", True, 1),
        ("table9", True, 0),
        ("alone", False, 1),
        ("late", False, 1),
    ]
    shorts = [group.short for group in found]
    assert shorts[0] == "The curve"
    assert len(set(shorts)) == 4


# -- pictures of claims ------------------------------------------------------------------------------------


def compared(value, se, verdict, reference="-", label=""):
    return effect(label, reference, Difference(value, se, 9, 10, 1.0, "paired t"), verdict)


def test_a_forest_puts_ours_and_the_papers_on_one_axis():
    holds = Verdict(verdicts.REPRODUCED, least=0.0)
    drawn = forest.forest([compared(4, 0.5, holds, "+6.00 (se 1.0)"), compared(1, 0.2, holds, "close")])
    first, second = drawn.lines
    assert first.ours[1] < first.ours[0] < first.ours[2]
    assert first.paper[0] > first.ours[0]
    assert first.paper[2] == pytest.approx(100 - forest.MARGIN)
    assert second.paper is None
    assert first.limit == second.limit == forest.MARGIN
    places = {words: place for place, words in drawn.ticks}
    assert places["0"] == forest.MARGIN
    assert len(places) > 2
    assert (places["4"] - places["0"]) * 1.5 == pytest.approx(places["6"] - places["0"], abs=0.02)


def test_a_band_stands_for_no_difference_and_another_threshold_moves_the_line():
    same = Verdict(verdicts.REPRODUCED, least=-0.5, most=0.5)
    (line,) = forest.forest([compared(0.1, 0.1, same)]).lines
    assert line.limit is None
    left, width = line.band
    assert left == forest.MARGIN
    assert left < line.ours[1]
    assert line.ours[2] < left + width
    above = Verdict(verdicts.DIFFERS, least=2.0)
    (line,) = forest.forest([compared(1.0, 0.1, above)]).lines
    assert line.limit == pytest.approx(100 - forest.MARGIN)


def test_what_is_not_run_shows_the_paper_alone_and_words_show_nothing():
    waits = Verdict(verdicts.NOT_RUN)
    drawn = forest.forest([Part("", "+2.5", "", waits), Part("", "exact", "1e-7", waits)])
    assert [(line.ours, line.paper is None) for line in drawn.lines] == [(None, False), (None, True)]
    assert not forest.forest([Part("", "exact", "1e-7", waits)]).drawn


def test_a_number_in_another_unit_has_no_axis():
    part = replace(compared(0.3, 0.1, Verdict(verdicts.REPRODUCED, least=0.0)), ours="1.2 times")
    drawn = forest.forest([part])
    assert drawn.lines[0].margin
    assert drawn.ticks == ()


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("+2.50", (2.5, 2.5, 2.5)),
        ("-1 (sd 0.3)", (-1, -1, -1)),
        ("+2.0 (± 0.5)", (2.0, 1.5, 2.5)),
        ("2.5", None),
        ("5.1 to 9.3 times", None),
    ],
)
def test_the_papers_effect_is_read_from_its_text(reference, told):
    assert Part("", reference, "", Verdict(None)).told == told


def test_the_weakest_comparisons_stand_for_many():
    holds, differs = Verdict(verdicts.REPRODUCED, least=0.0), Verdict(verdicts.DIFFERS, least=0.0)
    parts = [compared(value, 0.1, holds, label=f"{data}: {value}") for data in "ab" for value in (3, 2, 1)]
    assert [part.label for part in forest.weakest(parts)] == ["a: 1", "b: 1"]
    parts[3] = replace(parts[3], verdict=differs)
    assert [part.label for part in forest.weakest(parts)] == ["a: 1", "b: 3"]
    assert forest.weakest(parts[:2]) == tuple(parts[:2])


# -- colors ------------------------------------------------------------------------------------------------


def luminance(color):
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colors", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_words_can_be_read_on_their_ground(colors):
    """WCAG 2.2, level AA: 4.5 to 1 for text."""
    for ground in ("--ground", "--card", "--stripe"):
        for ink in ("--ink", "--soft", "--accent", "--good", "--bad", "--open", "--none"):
            light, dark = sorted((luminance(colors[ground]), luminance(colors[ink])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{ink} on {ground}"


def test_every_color_of_the_style_sheet_is_declared():
    used = set(re.findall(r"var\((--[\w-]+)\)", html.source("style.css")))
    assert used <= set(theme.LIGHT)
    assert set(theme.LIGHT) == set(theme.DARK)
    assert figures.INK in theme.SWAPS
