"""A whole report from invented results: files, page, README; the same bytes every time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import jinja2
import mini_paper
import pytest

from shared.base.errors import UserError
from shared.report import counts, figures, html, page, render
from shared.report.contents import Report
from shared.report.tables import Cell
from shared.runs import config

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Checker(HTMLParser):
    """Collects ids, links and all that is shown or read out; complains about tags that do not nest."""

    def __init__(self, content):
        super().__init__()
        self.ids, self.links, self.tags, self.open, self.words = [], [], set(), [], []
        self.feed(content)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.note(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.note(tag, attributes)

    def note(self, tag, attributes):
        self.tags.add(tag)
        for name, value in attributes:
            self.words.append(value)
            if name == "id":
                self.ids.append(value)
            if name in ("href", "src", "xlink:href"):
                self.links.append(value)

    def handle_data(self, words):
        self.words.append(words)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> inside <{self.open[-1]}>"
        self.open.pop()


def written(demo=False):
    render.render_all(demo)
    return page.write(demo)


def test_the_page_is_well_formed_and_self_contained(mini):
    mini_paper.record()
    file = written()
    found = Checker(file.read_text(encoding="utf-8"))
    assert len(found.ids) == len(set(found.ids)), "two elements have the same id"
    assert "script" not in found.tags
    for link in found.links:
        if link.startswith("#"):
            assert link[1:] in found.ids, f"{link} leads nowhere"
        elif not link.startswith("data:"):
            assert "//" not in link, f"{link} is loaded from elsewhere"
            assert (file.parent / link).exists(), f"{link} is a dead link"
    assert "default-src 'none'" in file.read_text()


def hostile(number):
    """What would run, end an attribute or stand for another sign, if it were not escaped."""
    return f"""<script>alert({number})</script>&amp;"'"""


#: Where words of a paper stand: text of `mini_paper` as it is written there, by file.
WORDS = {
    "experiments.yaml": ['"A <mini> paper & its claims"'],
    "tables.py": ['"Turning helps"', '"Claims"', '"Errors of `two` arms."', '"Error, %"', '"Arm"'],
    "figures.py": ['"The curve"', '"Loss of `plain`."', '"A falling line."', '"Nothing yet"'],
    "paper.csv": ["text"],
    "deviations.csv": ["Length", "50 epochs", "2 epochs", '"time, mostly"', "a | little"],
    "results/paper/table1.env.json": ['"a note on the data"', '"A <CPU>"'],
}


def test_words_of_papers_are_shown_as_they_are_and_never_run(mini):
    mini_paper.record()
    expected = []
    for name, texts in WORDS.items():
        file = mini / "pipelines/mini" / name
        content = file.read_text()
        for text in texts:
            assert text in content
            expected.append(hostile(len(expected)))
            quoted = json.dumps(expected[-1])
            if name.endswith(".csv"):
                quoted = '"' + expected[-1].replace('"', '""') + '"'
            content = content.replace(text, quoted)
        if name == "tables.py":
            content = content.replace('"A note."', 'results.published("table1", "turned", "error").read_from')
        file.write_text(content)
    shown = written().read_text(encoding="utf-8")
    assert "<script" not in shown.lower()
    words = [value for value in Checker(shown).words if value]
    assert [text for text in expected if text not in "".join(words)] == []
    assert sum(expected[0] in value for value in words) == 3, "the title in contents, summary and heading"


def test_a_name_that_a_template_lacks_is_an_error(mini, monkeypatch):
    mini_paper.record()
    given, fill = {}, html.fill
    monkeypatch.setattr(html, "fill", lambda name, **values: given.update(values) or fill(name, **values))
    written()
    (paper,) = given["papers"]
    assert {block["template"] for block in paper["blocks"]} == {"claims.html", "table.html", "figure.html"}
    for values in (given, paper, paper["headline"], *paper["blocks"]):
        for name in list(values):
            value = values.pop(name)
            with pytest.raises(
                jinja2.UndefinedError, match=f"has no attribute '{name}'|'{name}' is undefined"
            ):
                fill("page.html", **given)
            values[name] = value


def test_templates_are_installed_with_the_package():
    root = Path(__file__).resolve().parents[3]
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    installed = {
        file
        for package, patterns in settings.items()
        for pattern in patterns
        for file in root.joinpath(*package.split(".")).glob(pattern)
    }
    others = {f for f in (root / "shared").rglob("*") if f.is_file() and f.suffix not in (".py", ".pyc")}
    assert others
    assert others == installed


def test_the_page_shows_values_verdicts_and_provenance(mini):
    mini_paper.record()
    shown = written().read_text(encoding="utf-8")
    for expected in (
        "A &lt;mini&gt; paper &amp; its claims",
        "5.00 ± 0.16",
        "n = 5, paper",
        "paper 5.00 ± 0.20, n = 10",
        "python -m pipelines.mini run table1 --tier paper",
        "python -m pipelines.mini run other --tier paper",
        "A &lt;CPU&gt;",
        "a note on the data",
        "made by earlier code",
        "pipelines/mini/results/paper/table1.csv",
        "<svg",
        "Not run yet.",
    ):
        assert expected in shown, expected
    assert "no verdict" not in shown


class Tables(HTMLParser):
    """Collects tables as rows of cells: tag, attributes, words."""

    def __init__(self, content):
        super().__init__()
        self.tables, self.inside = [], False
        self.feed(content)

    def handle_starttag(self, tag, attributes):
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append((tag, dict(attributes), []))
            self.inside = True

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("th", "td")

    def handle_data(self, words):
        if self.inside:
            self.tables[-1][-1][-1][2].append(words)


def grid(rows):
    """Every cell at its place, those that span rows in each of them."""
    placed = [{} for _ in rows]
    for number, row in enumerate(rows):
        for cell in row:
            column = next(c for c in range(len(rows[0])) if c not in placed[number])
            for spanned in range(number, number + int(cell[1].get("rowspan", 1))):
                placed[spanned][column] = cell
    return [[row[column] for column in sorted(row)] for row in placed]


def test_every_cell_says_which_column_it_belongs_to(mini):
    """Narrow screens show that instead of the heads of columns."""
    file = mini / "pipelines/mini/tables.py"
    file.write_text(
        file.read_text().replace("[part]", '[part, claims.effect("again", "+9", found, verdict)]')
    )
    mini_paper.record()
    tables = [grid(rows) for rows in Tables(written().read_text(encoding="utf-8")).tables]
    assert len(tables) == 5, "summary, claims, errors, deviations, records"
    for heads, *rows in tables:
        titles = ["".join(words) for _, _, words in heads]
        for row in rows:
            assert row[0][0] == "th"
            assert [(tag, labels.get("data-label")) for tag, labels, _ in row[1:]] == [
                ("td", title) for title in titles[1:]
            ]
    claims = [["".join(words) for _, _, words in row] for row in tables[1]]
    assert claims[0][:4] == ["Claim", "Verdict", "Network", "Ours [95 % interval]"]
    assert [row[2] for row in claims[1:]] == ["-", "again"]
    assert claims[1][0] == claims[2][0] == "C1 Turning helps"
    assert claims[1][4:5] + claims[2][4:5] == ["+2.00", "+9"]


def test_everything_is_not_run_at_first(mini):
    shown = written().read_text(encoding="utf-8")
    assert "not run" in shown
    assert "python -m pipelines.mini run table1 --tier lite" in shown
    assert "badge good" not in shown[shown.index("<main") :]
    assert "<svg" not in shown[shown.index("<main") :]


def test_demo_has_its_own_place_a_warning_and_no_verdicts(mini):
    mini_paper.record()
    mini_paper.record("demo")
    readme = (mini / "README.md").read_text()
    file = written(demo=True)
    assert file == mini / "reports/demo/index.html"
    shown = file.read_text(encoding="utf-8")
    assert "not comparable with the paper" in shown[: shown.index("<nav")]
    assert "n = 2, demo" in shown
    assert "no verdict (demo)" in shown
    assert "n = 5, paper" not in shown
    assert "✓" not in shown[shown.index("<main") :]
    for markdown in ("index.md", "mini/report.md", "mini/table1.md"):
        assert "not comparable with the paper" in (file.parent / markdown).read_text()
    assert (mini / "README.md").read_text() == readme
    assert not (mini / "reports/index.html").exists()


def test_the_same_results_give_the_same_bytes(mini):
    mini_paper.record()
    written()
    first = mini_paper.tree(mini / "reports")
    assert {"index.html", "index.md", "mini/report.md", "mini/table1.svg", "mini/table1.png"} <= set(first)
    written()
    assert mini_paper.tree(mini / "reports") == first
    code = (
        "import sys; from shared.report import claims, diff, page, render; render.render_all(); page.write();"
        "print([name for name in ('torch', 'scipy.stats', 'sklearn', 'seaborn') if name in sys.modules])"
    )
    here = str(Path(__file__).resolve().parents[3])
    extra = {"PYTHONHASHSEED": "1", "PYTHONPATH": here, "MPLBACKEND": "svg", "LC_ALL": "C"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        cwd=mini,
        env={**os.environ, **extra},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "[]", "reports are made without torch"
    assert mini_paper.tree(mini / "reports") == first


def test_generated_files_that_are_no_longer_made_disappear(mini):
    mini_paper.record()
    folder = render.render("mini")
    (folder / "old_table.md").write_text("stale")
    (folder / "old_figure.svg").write_text("stale")
    (folder / "notes.txt").write_text("kept")
    before = set(mini_paper.tree(folder))
    render.render("mini")
    assert before - set(mini_paper.tree(folder)) == {"old_table.md", "old_figure.svg"}


@pytest.mark.parametrize("recorded", [True, False])
def test_what_is_written_is_what_the_declaration_names(mini, recorded):
    """The workflow knows the files of a report by the declaration alone, whatever results there are."""
    if recorded:
        mini_paper.record()
    folder = render.render("mini")
    assert set(mini_paper.tree(folder)) == set(config.load("mini").artefacts)
    waiting = next(figure for figure in Report("mini").figures if figure.name == "empty")
    (said,) = (text.get_text() for axes in figures._not_run(waiting).axes for text in axes.texts)
    assert " ".join(said.split()).startswith(
        "Nothing yet Not run yet; computed by python -m pipelines.mini run"
    )


def test_a_table_that_is_not_declared_is_one_sentence_and_nothing_is_written(mini):
    file = mini / "pipelines/mini/experiments.yaml"
    file.write_text(file.read_text().replace("[claims, table1]", "[claims]"))
    with pytest.raises(UserError, match=r"names other tables .*see to table1.*tables: \[claims, table1\]$"):
        render.render("mini")
    assert not (mini / "reports").exists()


def test_deviations_stand_under_the_tables_that_they_concern(mini):
    folder = render.render("mini")
    for name in ("table1.md", "claims.md", "report.md"):
        words = (folder / name).read_text()
        assert "| Length | 50 epochs | 2 epochs | time, mostly | a \\| little |" in words
        assert ("| Claims | none |" in words) == (name != "table1.md")
        assert ("1 of 2; the others" in words) == (name == "table1.md")


# -- README ------------------------------------------------------------------------------------------------


def test_readme_gets_the_verdict_table_between_its_markers(mini):
    mini_paper.record()
    written()
    readme = (mini / "README.md").read_text()
    assert readme.startswith("# Title\n\n<!-- verdicts -->\n| Paper |")
    assert readme.endswith("<!-- /verdicts -->\n\nThe end.\n")
    assert "\nold\n" not in readme
    assert "**reproduced**" in readme
    assert page.update_readme() is False, "nothing to change the second time"


def test_readme_names_the_command_of_the_headline_itself(mini):
    mini_paper.record()
    report = Report("mini")
    found = report.headline()
    cells = [replace(c, command="run its_own") if isinstance(c, Cell) else c for c in found.row.cells]
    report.headline = lambda: replace(
        found, row=replace(found.row, cells=tuple(cells)), table=replace(found.table, commands=("run first",))
    )
    assert "`run its_own`" in page.verdict_table([report])
    cells = [replace(c, command="") if isinstance(c, Cell) else c for c in found.row.cells]
    row = replace(found.row, cells=tuple(cells))
    report.headline = lambda: replace(found, row=row, table=replace(found.table, commands=("run first",)))
    assert "`run first`" in page.verdict_table([report])


@pytest.mark.parametrize("content", ["# No markers\n", "only <!-- verdicts --> here\n"])
def test_readme_without_both_markers_is_left_alone(mini, content):
    (mini / "README.md").write_text(content)
    assert page.update_readme() is False
    assert (mini / "README.md").read_text() == content


def test_repeated_numbers_count_once_and_claims_of_ours_do_not(mini):
    mini_paper.record()
    report = Report("mini")
    claims, table = report.tables[0], next(table for table in report.tables if not table.claims)
    assert claims.claims
    own = [replace(row, cells=tuple(_own(cell) for cell in row.cells)) for row in claims.rows]
    again = [table, replace(table, name="again"), replace(claims, rows=tuple(own))]
    report.__dict__["tables"] = again  # in place of what the pipeline makes
    cells, counted = report.counts()
    assert dict(cells) == {("reproduced", "paper"): 2, ("not run", ""): 2}, "what is not run waits twice"
    assert not counted
    assert any("**holds**" in cell.lines() for _, _, cell in again[2].cells())


def _own(cell):
    if isinstance(cell, str) or cell.verdict is None:
        return cell
    return replace(cell, verdict=replace(cell.verdict, ours=True))


def test_counts_and_headline(mini):
    mini_paper.record()
    report = Report("mini")
    cells, claims = report.counts()
    assert dict(cells) == {("reproduced", "paper"): 2, ("not run", ""): 1}
    assert dict(claims) == {("reproduced", "paper"): 1}
    assert counts.tally(cells) == "2 reproduced, 1 not run"
    assert counts.tally({**cells, ("reproduced", "lite"): 3}) == "5 reproduced (3 lite), 1 not run"
    headline = report.headline()
    assert headline.row.key == "C1"
    assert headline.ours.startswith("+2.04 [")
