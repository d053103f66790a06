"""A whole report from invented results: files, demo, README; the same bytes every time."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import mini_paper
import pytest

from shared.base.errors import UserError
from shared.report import counts, figures, page, render
from shared.report.contents import Report
from shared.runs import config


def written(demo=False):
    render.render_all(demo)
    return page.write(demo)


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


def test_demo_has_its_own_place_a_warning_and_no_verdicts(mini):
    mini_paper.record()
    mini_paper.record("demo")
    readme = (mini / "README.md").read_text()
    file = written(demo=True)
    assert file == mini / "reports/demo/index.html"
    for page_file in (file, file.parent / "mini/index.html"):
        shown = page_file.read_text(encoding="utf-8")
        assert "not comparable with the paper" in shown[: shown.index("<h2")]
        assert 'class="badge good" role="img"' not in shown
        assert "claims is contradicted" not in shown
    assert "n = 2, demo" in shown
    assert "no verdict (demo)" in shown
    assert "n = 5, paper" not in shown
    for markdown in ("index.md", "mini/report.md", "mini/table1.md"):
        assert "not comparable with the paper" in (file.parent / markdown).read_text()
    assert (mini / "README.md").read_text() == readme
    assert not (mini / "reports/index.html").exists()


def test_the_same_results_give_the_same_bytes(mini):
    mini_paper.record()
    written()
    first = mini_paper.tree(mini / "reports")
    assert {
        "index.html",
        "index.md",
        "mini/index.html",
        "mini/report.md",
        "mini/table1.svg",
        "mini/table1.png",
    } <= set(first)
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


def test_readme_shows_the_weakest_comparison_of_the_headline_and_its_command(mini):
    file = mini / "pipelines/mini/tables.py"
    weaker = (
        """[part, claims.effect("weaker", "+1.50", replace(found, value=1.5), verdict)], command="run it\""""
    )
    content = file.read_text().replace("[part]", weaker)
    file.write_text("from dataclasses import replace\n" + content)
    mini_paper.record()
    (line,) = page.verdict_table([Report("mini")]).splitlines()[2:]
    assert line.startswith("| [A <mini> paper & its claims](reports/mini/report.md) | **C1** Turning helps")
    assert "<br>`run it` | **reproduced**<br>" in line
    assert "paper +1.50<br>ours +1.50 [" in line
    assert "(the weakest of 2)" in line
    assert line.count("[") == 2, "the link, and one interval"


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
    counted = report.tally()
    numbers = {("reproduced", "paper"): 2, ("not run", ""): 2}
    assert dict(counted["printed"]) == numbers, "what is not run waits twice"
    assert not counted["claims"]
    assert any("**holds**" in cell.lines() for _, _, cell in again[2].cells())


def _own(cell):
    if isinstance(cell, str) or cell.verdict is None:
        return cell
    return replace(cell, verdict=replace(cell.verdict, ours=True))


def test_counts_and_headline(mini):
    mini_paper.record()
    report = Report("mini")
    counted = report.tally()
    cells = counted["printed"]
    assert dict(cells) == {("reproduced", "paper"): 2, ("not run", ""): 1}
    assert dict(counted["claims"]) == {("reproduced", "paper"): 1}
    assert counts.tally(cells) == "2 reproduced, 1 not run"
    lite = {**cells, ("reproduced", "lite"): 3}
    assert counts.tally(lite) == "5 reproduced (3 lite), 1 not run"
    headline = report.headline()
    assert headline.row.key == "C1"
    assert headline.ours.startswith("+2.04 [")
