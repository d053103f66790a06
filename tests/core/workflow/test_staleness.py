"""Reports and dvc.lock are made again after a change, and only then."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from toy_plans import Plan, plan, stamp_texts

from shared.report import page, render
from shared.workflow import cli, dvc_files, orchestrate, staleness


def snakemake(toy: Any) -> Plan:
    """What the rules of the report, the page and dvc.lock do, in their order; returns the plan."""
    made = plan()
    assert cli.main(["table"], paper="toy") == 0
    assert cli.main(["report", "--page"]) == 0
    assert cli.main(["sync"]) == 0
    (toy.root / staleness.SYNC_DONE).touch()
    return made


REPORT, PAGE, SYNC = (
    Path(s).name
    for s in (staleness.of_report("toy", "reports"), staleness.of_page("reports"), staleness.SYNC)
)


@pytest.mark.parametrize(
    ("change", "renewed"),
    [
        (lambda toy: None, set()),
        (lambda toy: os.utime(toy.folder / "paper.csv", (0, 0)), set()),
        (lambda toy: toy.edit("paper.csv", "0.1", "0.2"), {REPORT, PAGE}),
        (lambda toy: (toy.root / "reports/toy/report.md").write_text("edited by hand"), {REPORT}),
        (lambda toy: (toy.root / "reports/toy/table1.csv").unlink(), {REPORT}),
        (lambda toy: (toy.root / "reports/toy/more.svg").write_text("not ours"), {REPORT}),
        (lambda toy: (toy.root / "reports/index.md").write_text("edited by hand"), {PAGE}),
        (lambda toy: (toy.root / "reports/index.html").unlink(), {PAGE}),
        (lambda toy: (toy.root / "README.md").write_text("edited by hand"), {PAGE}),
        (lambda toy: toy.declare("A toy", "The toy"), {REPORT, PAGE, SYNC}),
        (lambda toy: (toy.root / "dvc.lock").write_text("edited by hand"), {SYNC}),
    ],
)
def test_a_change_renews_exactly_what_it_touches(toy, change, renewed):
    orchestrate.finish(snakemake(toy))
    before = stamp_texts(toy.root)
    change(toy)
    plan(train="never")
    after = stamp_texts(toy.root)
    demo = {name for name in after if "demo" in name}
    assert {name for name in after if after[name] != before[name]} - demo == renewed


def test_a_template_renews_the_page_and_the_reports(toy):
    template = toy.root / "shared/report/templates/page.html"
    template.parent.mkdir(parents=True)
    template.write_text("old")
    orchestrate.finish(snakemake(toy))
    before = stamp_texts(toy.root)
    template.write_text("new")
    plan()
    after = stamp_texts(toy.root)
    assert after[PAGE] != before[PAGE]
    assert after[REPORT] != before[REPORT]


def test_reports_are_rendered_again_only_after_a_change(toy):
    orchestrate.finish(snakemake(toy))
    report, name = toy.root / "reports/toy/report.md", REPORT
    before = stamp_texts(toy.root)
    demo = Path(staleness.of_report("toy", "reports/demo")).name

    plan()
    assert stamp_texts(toy.root)[name] == before[name]
    assert stamp_texts(toy.root)["dvc.stamp"] == before["dvc.stamp"]
    assert stamp_texts(toy.root)[demo] != before[demo]  # never rendered

    os.utime(toy.folder / "paper.csv", (0, 0))
    plan()
    assert stamp_texts(toy.root)[name] == before[name]
    toy.edit("paper.csv", "0.1", "0.2")
    plan()
    assert stamp_texts(toy.root)[name] != before[name]

    before = stamp_texts(toy.root)
    report.write_text("edited by hand")
    plan()
    assert stamp_texts(toy.root)[name] != before[name]


@pytest.mark.parametrize(("module", "name", "stamp"), [(render, "render", REPORT), (page, "write", PAGE)])
def test_an_edit_while_it_is_rendered_is_rendered_the_next_time(toy, monkeypatch, module, name, stamp):
    finish_rendering = getattr(module, name)

    def edited_meanwhile(*arguments: Any) -> Path:
        where = finish_rendering(*arguments)
        toy.edit("paper.csv", "0.1", "0.2")
        return where

    monkeypatch.setattr(module, name, edited_meanwhile)
    orchestrate.finish(snakemake(toy))
    before = stamp_texts(toy.root)
    plan()
    assert stamp_texts(toy.root)[stamp] != before[stamp]
    monkeypatch.setattr(module, name, finish_rendering)
    orchestrate.finish(snakemake(toy))
    before = stamp_texts(toy.root)
    plan()
    assert stamp_texts(toy.root)[stamp] == before[stamp]


def test_an_edit_while_others_are_rendered_is_rendered_the_next_time(toy):
    orchestrate.finish(snakemake(toy))
    made, before = plan(), stamp_texts(toy.root)
    toy.edit("paper.csv", "0.1", "0.2")  # after the plan, which has no rule for this report
    orchestrate.finish(made)
    plan()
    assert stamp_texts(toy.root)[REPORT] != before[REPORT]


def test_an_edit_while_dvc_is_asked_is_looked_at_the_next_time(toy, monkeypatch):
    finish_sync = dvc_files.sync
    monkeypatch.setattr(dvc_files, "sync", lambda: (finish_sync(), toy.declare("A toy", "The toy")))
    orchestrate.finish(snakemake(toy))
    before = stamp_texts(toy.root)
    plan()
    assert stamp_texts(toy.root)["dvc.stamp"] != before["dvc.stamp"]


def test_what_failed_to_render_is_rendered_again(toy):
    report = toy.root / "reports/toy/report.md"
    report.parent.mkdir(parents=True)
    report.write_text("of last week")
    os.utime(report, (0, 0))
    made = plan()
    orchestrate.finish(made)
    before = stamp_texts(toy.root)
    plan()
    assert all(text != before[name] for name, text in stamp_texts(toy.root).items())
